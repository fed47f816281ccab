"""What other tools captured, as recordings: `curl -i`, HAR files, raw bytes."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
from pathlib import Path
from typing import Any

import pytest
from builders import in_one_test
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.cli import commands
from ollama_harness.errors import HarnessError, RecordingError
from ollama_harness.recorder.captures._http import is_http, read_http
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import RecordedEnd, Recording, Request
from ollama_harness.recordings.store import OwnRecordings, packaged_store
from ollama_harness.script.script import Script
from ollama_harness.server.fake_ollama import FakeOllama

pytestmark = pytest.mark.same_everywhere

DATE = "Fri, 27 Nov 2026 10:00:00 GMT"
HI = b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n'
END = b'{"model":"m","message":{"role":"assistant","content":""},"done":true}\n'
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nDate: {DATE}\r\n".encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

SAMPLES = packaged_store().of_version(packaged_store().newest)
WHOLE = [one for one in SAMPLES if one.ended is RecordedEnd.COMPLETE and one.request.method != "HEAD"]


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def imported(folder: Path, content: bytes | Any, *options: str, file: str = "chat-mine.txt") -> list[Recording]:
    """What `import` makes of a file with this content."""
    done = run(folder, content, *options, file=file)
    assert done.exit_code == 0, (done.output, done.exception)
    store = OwnRecordings(folder / "out")
    return [store.get(id_) for id_ in sorted(store.own_ids)]


def run(folder: Path, content: bytes | Any, *options: str, file: str = "chat-mine.txt") -> Result:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / file).write_bytes(data)
    return CliRunner().invoke(commands, ["import", str(folder / file), "--out", str(folder / "out"), *options])


def refused(folder: Path, content: bytes | Any, *options: str, file: str = "chat-mine.txt") -> str:
    """The error for a file with this content, which leaves nothing behind."""
    done = run(folder, content, *options, file=file)
    assert isinstance(done.exception, HarnessError), done.output
    assert not (folder / "out").exists()
    return str(done.exception).replace(str(folder), "")


# ------------------------------------------------------------------------------------------- responses


@in_one_test("one", WHOLE)
def test_the_bytes_of_each_recording_become_that_recording(one: Recording) -> None:
    wire = Script.from_recording(one, speed=0).render(date=DATE).wire
    exchange = read_http(wire, Path("x"))
    undated = [(name, DATE if name == "Date" else value) for name, value in one.response.headers]
    assert (exchange.response.status, exchange.response.reason) == (one.response.status, one.response.reason)
    assert list(exchange.response.headers) == undated
    assert (exchange.body, exchange.suffix) == (one.body, one.suffix)
    if one.response.header("transfer-encoding"):
        assert exchange.chunks == tuple(frame.data for frame in one.frames)


def test_what_curl_prints_has_its_records_20_ms_apart(tmp_path: Path) -> None:
    """curl has read the chunks away, and the head still speaks of them."""
    [one] = imported(tmp_path, CHUNKED + HI + END)
    assert [(frame.at_s, frame.data) for frame in one.frames] == [(0.02, HI), (0.04, END)]
    assert (one.name, one.recorded_at, one.note) == (
        "chat-mine",
        "2026-11-27T10:00:00+00:00",
        "imported from chat-mine.txt",
    )
    assert (one.request.method, one.request.path, one.request.json["model"]) == ("POST", "/api/chat", "m")
    assert one.request.any_content
    assert one.response.header("transfer-encoding") == "chunked"


def test_each_chunk_is_a_frame_whatever_is_in_it(tmp_path: Path) -> None:
    pieces = [HI[:9], HI[9:] + END[:1], END[1:]]
    wire = CHUNKED + chunk(pieces[0], b";a=b") + chunk(pieces[1]) + chunk(pieces[2]) + b"0\r\nX-T: 1\r\n\r\n"
    [one] = imported(tmp_path, wire)
    assert [frame.data for frame in one.frames] == pieces
    assert [round(frame.at_s, 2) for frame in one.frames] == [0.02, 0.04, 0.06]


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /api/chat\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 200 OK\n\n",
    ],
)
def test_of_several_heads_the_last_one_counts(tmp_path: Path, before: bytes) -> None:
    [one] = imported(tmp_path, before + CHUNKED + HI)
    assert (one.response.status, one.response.media_type, one.body) == (200, "application/x-ndjson", HI)
    assert len(one.response.headers) == 3


def test_a_head_of_http_2_gets_a_reason_and_a_framing(tmp_path: Path) -> None:
    [one] = imported(tmp_path, b"HTTP/2 404 \r\ncontent-type: application/json\r\n\r\n{}", file="show-x.txt")
    assert (one.response.status, one.response.reason) == (404, "Not Found")
    assert one.response.headers == (("content-type", "application/json"), ("Transfer-Encoding", "chunked"))


def test_a_body_that_curl_decompressed_has_no_content_encoding(tmp_path: Path) -> None:
    [one] = imported(tmp_path, HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n" + HI)
    assert one.response.header("content-encoding") is None
    assert one.response.header("content-length") == str(len(HI))


def test_a_request_in_the_capture_is_the_request(tmp_path: Path) -> None:
    body = b'{"model":"m","stream":true}'
    sent = b"POST http://h:1/api/generate?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    [one] = imported(tmp_path, sent + CHUNKED + HI)
    assert one.request == Request(method="POST", path="/api/generate", json={"model": "m", "stream": True})
    [one] = imported(tmp_path, b"GET /api/tags HTTP/1.1\r\nHost: h\r\n\r\n" + HEAD + b"\r\n")
    assert one.request == Request(method="GET", path="/api/tags")


@pytest.mark.parametrize(
    ("options", "file", "content", "asked"),
    [
        (["--path", "/api/generate"], "x.txt", HI, "POST /api/generate"),
        (["--path", "/api/tags"], "x.txt", b"{}\n", "GET /api/tags"),
        (["--path", "/api/delete", "--method", "POST"], "x.txt", b"{}\n", "POST /api/delete"),
        (["--name", "generate-x"], "chat-x.txt", HI, "POST /api/generate"),
        ([], "generate-x.txt", b"{}\n", "POST /api/generate"),
        ([], "GET api ps.txt", b"{}\n", "GET /api/ps"),
        ([], "answer.txt", HI, "POST /api/chat"),
    ],
)
def test_the_request_is_what_is_given_or_what_tells(
    tmp_path: Path, options: list[str], file: str, content: bytes, asked: str
) -> None:
    [one] = imported(tmp_path, CHUNKED + content, *options, file=file)
    assert f"{one.request.method} {one.request.path}" == asked


def test_an_answer_to_head_has_no_body_whatever_its_head_says(tmp_path: Path) -> None:
    [one] = imported(tmp_path, HEAD + b"Content-Length: 9\r\n\r\n", "--method", "HEAD", "--path", "/api/tags")
    assert (one.request.method, one.frames, one.response.header("content-length")) == ("HEAD", (), "9")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (HI[1:], 'has no head: it begins with b\'"model"'),
        (HI + END, "give the output of curl with its option -i, a HAR file"),
        (b'{"version":"0.9.6"}', 'has no head: it begins with b\'{"version"'),
        (b"", "has no head: it begins with b''"),
        (CHUNKED.decode().encode("utf-16"), "is UTF-16, so these are not the bytes that were sent; let curl write"),
        (HEAD, "its head has no end, because no empty line follows; capture"),
        (HEAD + b"no header\r\n\r\n", "line 4: is no header: b'no header'"),
        (b"HTTP/1.1\r\n\r\n", "line 1: is no status line"),
        (CHUNKED + chunk(HI)[:-4], f"chunk 1: has {len(HI) - 2} of its {len(HI)} bytes"),
        (CHUNKED + chunk(HI)[:-2], "chunk 1: is longer than its"),
        (CHUNKED + chunk(HI), "chunk 2: is missing: the answer ends before its last chunk"),
        (CHUNKED + chunk(HI) + b"x\r\n", "chunk 2: has no size"),
        (CHUNKED + chunk(HI) + b"0\r\n", "chunk 2: is the last one, and no empty line follows"),
        (CHUNKED + b"0\r\n\r\nmore", "4 bytes follow the answer; give each answer a file"),
        (HEAD + b"Content-Length: 9\r\n\r\nabc", "the body has 3 of the 9 bytes that Content-Length says"),
        (HEAD + b"Content-Length: 2\r\n\r\nabc", "line 6: 1 bytes follow the answer"),
        (HEAD + b"Content-Encoding: br\r\n\r\n\xff", "the body is compressed (br); capture it without"),
        (b"GET / HTTP/1.1\r\n\r\n", "line 3: is no status line: b''"),
    ],
)
def test_what_is_no_whole_response_is_refused_with_its_place(tmp_path: Path, content: bytes, problem: str) -> None:
    assert problem in refused(tmp_path, content)


def test_an_answer_to_nothing_that_is_known_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, CHUNKED + b'{"error":"x"}', file="answer.txt")
    assert "which request got this answer; give --path /api/chat, or name the file after it" in message


@given(st.binary(max_size=60) | st.binary(max_size=60).map(CHUNKED.__add__))
def test_any_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    exchange = None
    with contextlib.suppress(RecordingError):
        exchange = read_http(data, Path("x"))
    assert exchange is None or is_http(data)
    assert exchange is None or b"".join(exchange.chunks or [exchange.body]) == exchange.body


# ------------------------------------------------------------------------------------------- HAR


def entry(url: str = "http://h:11434/api/chat?x=1", **changes: Any) -> dict[str, Any]:
    """An entry of a HAR file: a streamed answer to a POST."""
    text = (HI + END).decode()
    return {
        "startedDateTime": "2026-11-27T10:00:00.000Z",
        "timings": {"blocked": 5, "send": 1, "wait": 99, "receive": 400},
        "request": {"method": "POST", "url": url, "postData": {"mimeType": "x", "text": '{"model":"m"}'}},
        "response": {
            "status": 200,
            "statusText": "OK",
            "headers": [
                {"name": ":status", "value": "200"},
                {"name": "content-type", "value": "application/x-ndjson"},
                {"name": "content-encoding", "value": "gzip"},
            ],
            "content": {"size": len(text), "text": text},
        },
        **changes,
    }


def har(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "entries": list(entries)}}


def answering(**changes: Any) -> dict[str, Any]:
    return {"response": {**entry()["response"], **changes}}


def test_an_entry_is_a_recording_with_its_times(tmp_path: Path) -> None:
    [one] = imported(tmp_path, har(entry("http://h/favicon.ico"), entry(), entry("http://h/")), file="my page.har")
    assert (one.name, one.recorded_at) == ("my-page", "2026-11-27T10:00:00+00:00")
    assert one.request == Request(method="POST", path="/api/chat", json={"model": "m"})
    assert one.response.headers == (("content-type", "application/x-ndjson"), ("Transfer-Encoding", "chunked"))
    assert (one.response.head_at_s, one.ended_at_s) == (0.1, 0.5)
    assert [(frame.at_s, frame.data) for frame in one.frames] == [(0.3, HI), (0.5, END)]


def test_several_entries_are_numbered_in_their_order(tmp_path: Path) -> None:
    several = har(entry(), entry("http://h/api/tags", request={"method": "GET", "url": "http://h/api/tags"}))
    found = imported(tmp_path, several, "--name", "page", file="x.har")
    assert [(one.name, one.request.path) for one in found] == [("page-1", "/api/chat"), ("page-2", "/api/tags")]


def test_a_body_in_base64_is_decoded(tmp_path: Path) -> None:
    content = {"size": 3, "text": base64.b64encode(b"\xff\r\n").decode(), "encoding": "base64"}
    [one] = imported(tmp_path, har(entry(**answering(content=content))), file="x.har")
    assert one.body == b"\xff\r\n"


def test_without_times_records_are_20_ms_apart(tmp_path: Path) -> None:
    [one] = imported(tmp_path, har(entry(timings={"send": -1, "wait": -1, "receive": -1})), file="x.har")
    assert (one.response.head_at_s, [frame.at_s for frame in one.frames]) == (0.02, [0.04, 0.06])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (answering(status=0), "it has no answer"),
        (answering(content={"size": 9}), "its body was not saved"),
    ],
)
def test_an_entry_that_cannot_be_played_is_left_out_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    done = run(tmp_path, har(entry(**changes), entry()), file="x.har")
    assert done.exit_code == 0
    assert f"log.entries[0] (POST /api/chat) is left out: {why}" in done.stderr
    assert "1 recording is in" in done.stdout
    (tmp_path / "alone").mkdir()
    assert f"log.entries: {why}" in refused(tmp_path / "alone", har(entry(**changes)), file="x.har")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "x.har: line 1, column 2: is no JSON"),
        (b"text", "x.har: line 1, column 1: is no JSON"),
        ({"log": 1}, "is no HAR file: it has no log.entries"),
        ([], "is no HAR file"),
        (har(), "holds no exchange with Ollama"),
        (har(entry("http://h/index.html")), "holds no exchange with Ollama: no entry with an answer has a path"),
        (har(1), "log.entries[0]"),
        (har({"request": {}}), "log.entries[0].request.url"),
        (har(entry(startedDateTime="today")), "log.entries[0].startedDateTime: is 'today', not an ISO 8601 time"),
        (har(entry(**answering(status="200"))), "log.entries[0].response.status"),
        (har(entry(**answering(headers=[{"name": "a", "value": "b\n"}]))), "log.entries[0].response.headers[0]"),
        (har(entry(**answering(content={"text": "?", "encoding": "base64"}))), "content.text: is no base64"),
    ],
)
def test_what_is_no_har_file_is_refused_with_its_place(tmp_path: Path, content: Any, problem: str) -> None:
    assert problem in refused(tmp_path, content, file="x.har")


def test_a_har_file_has_the_requests(tmp_path: Path) -> None:
    assert "leave out --method and --path" in refused(tmp_path, har(entry()), "--path", "/api/chat", file="x.har")


# ------------------------------------------------------------------------------------------- bodies

EVENTS = b': keep-alive\n\ndata:{"object":"chat.completion.chunk","model":"m"}\n\ndata:[DONE]\n\n'


@pytest.mark.parametrize(
    ("file", "body", "head", "options", "asked"),
    [
        ("chat-two-tools.ndjson", HI + END, "", [], "POST /api/chat"),
        ("v1-chat-heartbeats.sse", EVENTS, "", [], "POST /v1/chat/completions"),
        ("odd.sse", EVENTS, "", [], "POST /v1/chat/completions"),
        ("odd.ndjson", b"no JSON\n", "", ["--name", "generate-odd"], "POST /api/generate"),
        ("odd.ndjson", b"no JSON\n", "", ["--path", "/api/pull"], "POST /api/pull"),
        ("chat-x.ndjson", HI, "POST /api/generate\n429\nRetry-After: 3\n", [], "POST /api/generate"),
        ("chat-x.ndjson", HI, "POST /api/generate", ["--path", "/api/pull", "--method", "PUT"], "PUT /api/pull"),
    ],
)
def test_a_stream_alone_is_played_as_it_is(
    tmp_path: Path, file: str, body: bytes, head: str, options: list[str], asked: str
) -> None:
    """A head file tells what it answers, or else its name, or else the objects in it."""
    if head:
        (tmp_path / file).with_suffix(".head").write_text(head, "utf-8")
    [one] = imported(tmp_path, body, *options, file=file)
    assert f"{one.request.method} {one.request.path}" == asked
    assert one.body == body
    assert len(one.frames) > 1 or b"\n" not in body[:-1]
    assert one.response.status == (429 if "429" in head else 200)
    assert one.response.header("retry-after") == ("3" if "429" in head else None)
    method, path = asked.split()
    with FakeOllama(recordings=tmp_path / "out", speed=0) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.request(method, path, body='{"model":"any","stream":true}')
        assert connection.getresponse().read() == body
        connection.close()


def test_a_stream_of_which_nothing_tells_what_it_answers_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, b"{}\n", file="odd.ndjson")
    assert "neither its name nor the objects in it say which request it answers" in message


def test_a_recording_is_none_to_import(tmp_path: Path) -> None:
    (tmp_path / "chat-x.meta.json").write_text("{}", "utf-8")
    assert "is a recording, because chat-x.meta.json is there" in refused(tmp_path, HI, file="chat-x.ndjson")


# ------------------------------------------------------------------------------------------- writing


def test_secrets_are_blanked_as_the_recorder_does(tmp_path: Path) -> None:
    secret = {"Authorization": "Bearer s3cret", "password": "s3cret"}
    one_entry = entry()
    one_entry["request"]["postData"]["text"] = json.dumps(secret)
    one_entry["response"]["headers"].append({"name": "X-Api-Key", "value": "s3cret"})
    one_entry["response"]["content"]["text"] = '{"token":"s3cret"}\n'
    [one] = imported(tmp_path, har(one_entry), file="x.har")
    assert [path for path in (tmp_path / "out").iterdir() if b"s3cret" in path.read_bytes()] == []
    assert one.request.json["password"] == "******"
    assert one.body == b'{"token":"******"}\n'
    assert CliRunner().invoke(commands, ["check", str(tmp_path / "out")]).exit_code == 0


def test_with_a_version_the_recordings_count_for_it(tmp_path: Path) -> None:
    [one] = imported(tmp_path, CHUNKED + HI, "--ollama-version", "0.13.5")
    assert (one.id, one.ollama_version) == ("0.13.5/chat-mine", "0.13.5")
    assert on_disk.load(tmp_path / "out" / "0.13.5" / "chat-mine", id=one.id) == one


def test_a_recording_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    imported(tmp_path, CHUNKED + HI)
    [one] = imported(tmp_path, CHUNKED + END)
    assert one.body == END


def test_two_files_of_one_name_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "chat-mine.txt").write_bytes(CHUNKED + HI)
    message = refused(tmp_path, CHUNKED + HI, str(tmp_path / "b" / "chat-mine.txt"))
    assert "two of the files would become chat-mine; import one at a time" in message


def test_one_wrong_file_keeps_the_others_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_bytes(HI)
    assert "wrong.txt: " in refused(tmp_path, CHUNKED + HI, str(tmp_path / "wrong.txt"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--name", "A b"], "'A b' is no name of a recording"),
        (["--path", "api"], "'api' is not of the form /api/chat"),
        (["--method", "post"], "'post' is not of the form POST"),
        (["--ollama-version", "../x"], "'../x' is no version"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, options: list[str], problem: str) -> None:
    done = run(tmp_path, CHUNKED + HI, *options)
    assert (done.exit_code, problem in done.output) == (2, True), done.output
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(commands, ["import", str(tmp_path / "none.txt"), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, RecordingError)
    assert "none.txt: cannot be read" in str(done.exception)


def test_the_example_of_the_page_plays_what_curl_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "own-recordings.md").read_text("utf-8")
    [arguments] = re.findall("^ollama-harness (import .*)$", page, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    Path("answer.txt").write_bytes(CHUNKED + HI + END)
    done = CliRunner().invoke(commands, arguments.split())
    assert (done.exit_code, "1 recording is in bytes" in done.output) == (0, True), done.output
    with FakeOllama(recordings="bytes", speed=0) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.request("POST", "/api/chat", body='{"model":"any"}')
        assert connection.getresponse().read() == HI + END
        connection.close()
