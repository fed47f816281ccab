"""Bytes of one's own: what they answer, that they are played as they are, and what they leave to the others."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from builders import DONE, JSON, in_one_test, line, recording
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers.rules.routes import routing
from ollama_harness.cli import commands
from ollama_harness.errors import HarnessError, RecordingError, UnknownName
from ollama_harness.faults import drop_terminal_record
from ollama_harness.matrix.results import Results
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.endpoints import endpoint_of, frames_in, is_endpoint, request_for
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import OwnRecordings, packaged_store
from ollama_harness.server.fake_ollama import FakeOllama

pytestmark = pytest.mark.same_on_each_python

NEWEST = packaged_store().newest

#: Two calls in one turn, as a bug report had them: the model `m` is on no server.
TWO_TOOLS = b"".join(
    b'{"model":"m","created_at":"2026-01-01T00:00:0%dZ","message":{"role":"assistant","content":"","tool_calls":'
    b'[{"id":"call_%d","function":{"index":%d,"name":"roll_die","arguments":{}}}]},"done":%s}\n' % (n, n, n, done)
    for n, done in enumerate((b"false", b"true"))
)
#: Comments between the events, and no blank after the colon.
HEARTBEATS = (
    b": keep-alive\n\n"
    b'data:{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
    b": keep-alive\n\ndata:[DONE]\n"
)
CHAT = {"model": "anything", "messages": [{"role": "user", "content": "Hi"}]}


def asked(server: FakeOllama, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def loaded(folder: Path, name: str, body: bytes, head: str | None = None) -> Recording:
    """The recording of a body that is put into a folder under this name."""
    (folder / name).write_bytes(body)
    stem = folder / name.rpartition(".")[0]
    if head is not None:
        stem.with_name(stem.name + ".head").write_text(head, encoding="utf-8", newline="")
    return on_disk.load(stem, id=f"1.0.0/{stem.name}")


# ------------------------------------------------------------------------------------------- what a body answers


@pytest.mark.parametrize(
    ("name", "body", "endpoint"),
    [
        ("POST v1 chat completions two.sse", b"", "POST /v1/chat/completions"),
        ("POST_v1_chat_completions.sse", b"", "POST /v1/chat/completions"),
        ("POST %2Fapi%2Fchat.ndjson", b"", "POST /api/chat"),
        ("get-api-tags.json", b"{}", "GET /api/tags"),
        ("GET-api-chat.json", b"{}", "GET /api/chat"),
        ("api-generate-cut.ndjson", b"", "POST /api/generate"),
        ("chat-two-tools.ndjson", TWO_TOOLS, "POST /api/chat"),
        ("chat.json", b"{}", "POST /api/chat"),
        ("v1-chat-heartbeats.sse", HEARTBEATS, "POST /v1/chat/completions"),
        ("v1-messages-x.sse", b"", "POST /v1/messages"),
        ("embeddings-x.json", b"{}", "POST /api/embeddings"),
        ("embed-x.json", b"{}", "POST /api/embed"),
        ("delete-pulled.json", b"{}", "DELETE /api/delete"),
        ("Bug 1234 (Zürich).ndjson", TWO_TOOLS, "POST /api/chat"),
        ("chat-in-events.sse", HEARTBEATS, "POST /v1/chat/completions"),
        ("chatty.ndjson", b'{"response":"Hi"}', "POST /api/generate"),
        ("x.sse", b'\xef{\r\n\r\ndata: {"type":\r\ndata: "response.created"}\r\n\r\n', "POST /v1/responses"),
        ("x.ndjson", b'no JSON\n[1]\n{"message":{"role":"assistant"}}', "POST /api/chat"),
    ],
)
def test_the_name_or_the_objects_tell_what_a_body_answers(
    tmp_path: Path, name: str, body: bytes, endpoint: str
) -> None:
    one = loaded(tmp_path, name, body)
    assert f"{one.request.method} {one.request.path}" == endpoint
    assert (one.name, one.body, one.request.any_content) == (name.rpartition(".")[0], body, True)


def is_answer(one: Recording) -> bool:
    """Whether a recording is an ordinary answer: its endpoint exists, and it is named after it."""
    return one.response.status == 200 and not one.name.startswith(("cors-", "error-", "fault-", "blob-", "v1-model"))


ANSWERS = [one for one in packaged_store().of_version(NEWEST) if is_answer(one) and one.request.method != "HEAD"]


@in_one_test("one", ANSWERS)
def test_the_name_of_each_recording_tells_its_endpoint(one: Recording) -> None:
    assert endpoint_of(one.name, one.suffix, b"") == (one.request.method, one.request.path)


#: Endpoints whose answers tell nothing: a text, nothing at all, or a status that several endpoints send.
SILENT = ("/", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/status")


@in_one_test("one", [one for one in ANSWERS if one.request.path not in SILENT and one.body and one.name != "ps-empty"])
def test_the_objects_of_each_recording_tell_its_endpoint(one: Recording) -> None:
    assert endpoint_of("x", one.suffix, one.body) == (one.request.method, one.request.path)


def test_ollama_has_each_endpoint_that_a_name_can_mean() -> None:
    names = {one.name: endpoint_of(one.name, one.suffix, b"") for one in ANSWERS}
    endpoints = {endpoint for endpoint in names.values() if endpoint is not None}
    assert len(endpoints) > 10
    assert {(method, path) for method, path in endpoints if method not in routing(NEWEST).methods(path)} == set()


@pytest.mark.parametrize("path", ["/api/chat", "/v1/models/m", "/", "/api/blobs/sha256:0"])
def test_a_path_of_ollamas_is_one(path: str) -> None:
    assert is_endpoint(path)


@pytest.mark.parametrize("path", ["/api/chats", "/v1", "/favicon.ico", "", "/api/chat/"])
def test_another_path_is_none(path: str) -> None:
    assert not is_endpoint(path)


def test_a_head_beside_the_body_says_what_it_answers(tmp_path: Path) -> None:
    head = "POST /v1/chat/completions\r\n429 application/json\r\nRetry-After: 3\r\nX-A:\r\n"
    one = loaded(tmp_path, "anything.json", b'{"error":"slow down"}', head)
    assert (one.request.method, one.request.path) == ("POST", "/v1/chat/completions")
    assert (one.response.status, one.response.reason) == (429, "Too Many Requests")
    assert one.response.headers == (
        ("Retry-After", "3"),
        ("X-A", ""),
        ("Content-Type", "application/json"),
        ("Date", ""),
        ("Content-Length", "21"),
    )


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ("GET /x", [("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked")]),
        (
            "GET /x HTTP/1.1\n200",
            [("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked")],
        ),
        (
            "GET /x\ncontent-type: application/x-ndjson\ncontent-length: 3\n",
            [("content-type", "application/x-ndjson"), ("content-length", "3"), ("Date", "")],
        ),
    ],
)
def test_what_a_head_does_not_say_is_as_ollama_sends_it(tmp_path: Path, head: str, headers: Any) -> None:
    assert list(loaded(tmp_path, "x.ndjson", b"{}\n", head).response.headers) == headers


@pytest.mark.parametrize(
    ("head", "place"),
    [
        ("", "x.head: line 1: is ''"),
        ("/api/chat", "x.head: line 1: is '/api/chat'"),
        ("POST api/chat", "x.head: line 1"),
        ("POST /api/chat\n20 a/b", "x.head: line 2: is '20 a/b'"),
        ("POST /api/chat\n200 a/b\n\nA: b", "x.head: line 3: is ''"),
        ("POST /api/chat\nA: b\n200 a/b", "x.head: line 3"),
        ("POST /api/chat\n200 text/event-stream", "x.ndjson: the head says 'text/event-stream'"),
        ("POST /api/chat\nContent-Length: 7", "Content-Length"),
    ],
)
def test_a_wrong_head_is_named_with_its_line(tmp_path: Path, head: str, place: str) -> None:
    with pytest.raises(RecordingError) as caught:
        loaded(tmp_path, "x.ndjson", b"{}\n", head)
    assert place in str(caught.value)


def test_a_head_without_a_body_and_a_head_beside_a_meta_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.head").write_text("POST /api/chat", encoding="utf-8")
    [stem] = on_disk.find(tmp_path)
    with pytest.raises(RecordingError, match=r"x\.head: the body beside it is missing"):
        on_disk.load(stem, id="1/x")
    stem = on_disk.save(recording(line(DONE), id="1/x"), tmp_path)
    with pytest.raises(RecordingError, match=r"x\.head: stands beside x\.meta\.json"):
        on_disk.load(stem, id="1/x")


@pytest.mark.parametrize("name", ["x.ndjson", "chatty.json", "notes.txt", "POST nothing.sse", "POST.bin"])
def test_a_body_of_which_nothing_tells_what_it_answers_is_refused_with_the_three_ways(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(RecordingError) as caught:
        loaded(tmp_path, name, b'{"error":"any"}')
    message = str(caught.value)
    assert f"{name}: neither its name nor the objects in it say which request it answers; name it" in message
    assert f"chat-{name}" in message
    assert f"put {name.rpartition('.')[0]}.head beside it with the line POST /api/chat" in message


# ------------------------------------------------------------------------------------------- how it is played


@given(st.binary(max_size=80) | st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"data: 1", b": x"])).map(b"".join))
def test_the_frames_of_any_bytes_are_these_bytes(body: bytes) -> None:
    assert b"".join(frames_in(".sse", body)) == body
    assert b"".join(frames_in(".ndjson", body)) == body
    assert all(frames_in(".sse", body))


def test_an_event_is_a_frame_whatever_ends_its_lines() -> None:
    events = [b"data: 1\n\n", b": beat\r\n\r\n", b"data: 2\r\r", b"event: x\r\ndata: 3\n\n", b"data: 4\r\n"]
    assert list(frames_in(".sse", b"".join(events))) == events


@pytest.mark.parametrize("suffix", [".ndjson", ".sse", ".json"])
def test_the_request_that_is_made_up_streams_as_the_body_does(suffix: str) -> None:
    for path in ("/api/chat", "/v1/chat/completions"):
        assert request_for(("POST", path), suffix, b"").streams is (suffix != ".json")


def test_the_request_that_is_made_up_names_the_model_of_the_body() -> None:
    wrapped = b'data: {"type":"response.created","response":{"model":"m"}}\n\n'
    assert request_for(("POST", "/api/chat"), ".ndjson", TWO_TOOLS).json["model"] == "m"
    assert request_for(("POST", "/v1/responses"), ".sse", wrapped).json["model"] == "m"
    assert request_for(("GET", "/api/tags"), ".json", b"{}").json is None


@pytest.mark.parametrize(
    "body",
    [TWO_TOOLS, TWO_TOOLS.replace(b"\n", b"\r\n"), TWO_TOOLS.rstrip(), b'{"half":', b"\xff\x00\n\n\n", b""],
)
def test_bytes_are_played_as_they_are_to_any_model(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "chat-mine.ndjson").write_bytes(body)
    with FakeOllama(recordings=tmp_path, speed=0) as server:
        assert asked(server, "POST", "/api/chat", CHAT)[::2] == (200, body)
        assert asked(server, "POST", "/api/chat", {"model": "m"})[::2] == (200, body)
        entry = server.journal.entries[0]
        assert (entry.answered_by, entry.why) == (f"{NEWEST}/chat-mine", "your own bytes for this method and path")


def test_events_are_played_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "v1-chat-heartbeats.sse").write_bytes(HEARTBEATS)
    with FakeOllama(recordings=tmp_path, speed=0) as server:
        status, headers, body = asked(server, "POST", "/v1/chat/completions", {**CHAT, "stream": True})
        assert (status, headers["Content-Type"], body) == (200, "text/event-stream", HEARTBEATS)
        assert server.journal.wait_until_settled(timeout_s=10)
        [entry] = server.journal.entries
        assert len(entry.sent) == 5  # four events, the first with the head, and the last chunk


def test_what_is_ones_own_comes_before_what_ollama_refuses(tmp_path: Path) -> None:
    """The version may not have the endpoint, and the request may be one that it refuses."""
    (tmp_path / "0.5.7").mkdir()
    (tmp_path / "0.5.7" / "v1-messages-mine.json").write_bytes(b"{}")
    with FakeOllama(recordings=tmp_path) as server:
        assert asked(server, "POST", "/v1/messages", "no object")[::2] == (200, b"{}")
        assert asked(server, "GET", "/v1/messages")[0] == 404


def test_of_two_the_one_that_streams_as_asked_answers(tmp_path: Path) -> None:
    (tmp_path / "chat-a.ndjson").write_bytes(TWO_TOOLS)
    (tmp_path / "chat-b.json").write_bytes(b"{}")
    (tmp_path / "chat-c.json").write_bytes(b"[]")
    with FakeOllama(recordings=tmp_path, speed=0) as server:
        assert asked(server, "POST", "/api/chat", CHAT)[2] == TWO_TOOLS
        assert asked(server, "POST", "/api/chat", {**CHAT, "stream": False})[2] == b"{}"


def test_everything_else_is_answered_as_before(tmp_path: Path) -> None:
    (tmp_path / "chat-mine.ndjson").write_bytes(TWO_TOOLS)
    with FakeOllama(recordings=tmp_path, speed=0) as server:
        server.play("chat-stream", path="/api/show")
        assert asked(server, "GET", "/api/version")[2] == packaged_store().get(f"{NEWEST}/version").body
        assert asked(server, "POST", "/api/generate", {"model": "nosuch", "prompt": "Hi"})[0] == 404
        assert (
            asked(server, "POST", "/api/show", {"model": "m"})[2] == packaged_store().get(f"{NEWEST}/chat-stream").body
        )
        server.play("chat-mine", path="/api/show")
        assert asked(server, "POST", "/api/show", {"model": "m"})[2] == TWO_TOOLS


def test_the_faults_of_a_server_strike_what_is_ones_own(tmp_path: Path) -> None:
    (tmp_path / "chat-mine.ndjson").write_bytes(TWO_TOOLS)
    with FakeOllama(recordings=tmp_path, speed=0, faults=[drop_terminal_record()]) as server:
        assert asked(server, "POST", "/api/chat", CHAT)[2] == TWO_TOOLS.splitlines(keepends=True)[0]


def test_an_own_recording_with_its_request_comes_before_one_of_the_package(tmp_path: Path) -> None:
    asks = packaged_store().get(f"{NEWEST}/chat-stream").request.json
    said = [{"message": {"role": "assistant", "content": text}, "done": text == ""} for text in ("Mine.", "")]
    on_disk.save(recording(*map(line, said), id="1/mine", path="/api/chat", request_json=asks), tmp_path)
    with FakeOllama(recordings=tmp_path, speed=0) as server:
        asked(server, "POST", "/api/chat", asks)
        asked(server, "POST", "/api/chat", {**asks, "stream": False, "options": {}})
        asked(server, "POST", "/api/chat", {**asks, "format": "json"})
        found = [(entry.answered_by, entry.step) for entry in server.journal.entries]
    assert found[:2] == [(f"{NEWEST}/mine", "recording"), (f"{NEWEST}/mine", "made")]
    assert found[2][0].startswith(f"{NEWEST}/chat-format-json")


# ------------------------------------------------------------------------------------------- where it lies


def ids(folder: Path, *files: str, version: str | None = None) -> tuple[set[str], str]:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TWO_TOOLS)
    store = OwnRecordings(folder, version=version)
    return set(store.own_ids), store.newest


def test_files_at_the_top_count_for_the_version_that_is_served(tmp_path: Path) -> None:
    assert ids(tmp_path, "a.ndjson") == ({f"{NEWEST}/a"}, NEWEST)
    assert ids(tmp_path, version="0.9.6") == ({"0.9.6/a"}, "0.9.6")
    assert ids(tmp_path, version="0.13.5") == ({"0.13.5/a"}, "0.13.5")


def test_a_folder_is_a_version_and_the_newest_is_served(tmp_path: Path) -> None:
    files = ("0.9.6/a.ndjson", "0.12.11/b.ndjson", "again/0.24.0/c.ndjson", "top.ndjson")
    own = {"0.9.6/a", "0.12.11/b", "again/0.24.0/c", "0.12.11/top"}
    assert ids(tmp_path, *files) == (own, "0.12.11")


def test_the_version_that_is_named_is_served(tmp_path: Path) -> None:
    ids(tmp_path, "0.9.6/chat-a.ndjson", "0.12.11/chat-b.ndjson")
    with FakeOllama(recordings=tmp_path, version="0.9.6", speed=0) as server:
        asked(server, "POST", "/api/chat", CHAT)
        assert server.journal.entries[0].answered_by == "0.9.6/chat-a"
    with pytest.raises(UnknownName, match=r"0\.13\.5"):
        FakeOllama(recordings=tmp_path, version="0.13.5")


def test_an_own_recording_takes_the_place_of_a_packaged_one_of_its_name(tmp_path: Path) -> None:
    ids(tmp_path, f"{NEWEST}/chat-stream.ndjson")
    store = OwnRecordings(tmp_path)
    assert store.get(f"{NEWEST}/chat-stream").body == TWO_TOOLS
    assert store.get("0.5.7/chat-stream").body != TWO_TOOLS
    assert store.ids == packaged_store().ids


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ((), "holds no recording"),
        (("bugs/a.ndjson",), "bugs: is no version of Ollama; call it after the version"),
        (("0.9.6/a.ndjson", "a.ndjson"), "counts for the same version; rename one of the two"),
        (("a\x07.ndjson",), "cannot be printed"),
    ],
)
@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows allows no such name")
def test_a_folder_that_cannot_be_used_is_an_error_in_words(
    tmp_path: Path, files: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(HarnessError) as caught:
        ids(tmp_path, *files)
    assert problem in str(caught.value)


# ------------------------------------------------------------------------------------------- the commands


def serving(*arguments: str) -> subprocess.Popen[str]:
    """`ollama-harness serve` in a process of its own."""
    flags = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32" else {}
    command = [sys.executable, "-u", "-m", "ollama_harness", "serve", "--port", "0", "--speed", "0", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", **flags)


def test_the_example_of_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "own-recordings.md").read_text("utf-8")
    [(name, text)] = re.findall(r"cat > (\S+) <<'END'\n(.*?)\nEND\n", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("bytes").mkdir()
    body = f"{text}\n".encode()
    Path(name).write_bytes(body)
    [row] = harness(*re.findall(r"ollama-harness (list recordings .*)", page)[0].split())
    assert row["request"] == "POST /v1/chat/completions"
    process = serving(*re.findall(r"ollama-harness serve (.*)", page)[0].split())
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/v1/chat/completions", body=json.dumps(CHAT))
        assert connection.getresponse().read() == body
        connection.close()
    finally:
        process.kill()
        process.communicate()


def test_the_names_on_the_page_mean_what_the_page_says() -> None:
    page = (Path(__file__).parent.parent / "docs" / "own-recordings.md").read_text("utf-8")
    [item] = re.findall(r"^3\. (.*?)^4\. ", page, re.DOTALL | re.MULTILINE)
    names = re.findall("`([^`]+)`", item)
    assert len(names) > 10
    assert [name for name in names if endpoint_of(f"{name} x", "", b"") is None] == []
    [spaced] = re.findall(r"`(POST v1 .*?)\.sse`", page)
    assert endpoint_of(spaced, ".sse", b"") == ("POST", "/v1/chat/completions")


def harness(*arguments: str) -> Any:
    done = CliRunner().invoke(commands, [*arguments, "--json"] if arguments[0] != "show" else arguments)
    assert done.exit_code == 0, done.output
    return done.output if arguments[0] == "show" else json.loads(done.output)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two-tools.ndjson").write_bytes(TWO_TOOLS)
    (tmp_path / "beats.sse").write_bytes(HEARTBEATS)
    return tmp_path


def test_list_shows_how_each_body_was_understood(folder: Path) -> None:
    rows = harness("list", "recordings", "--recordings", str(folder))
    assert [(row["recording"], row["request"]) for row in rows] == [
        (f"{NEWEST}/beats", "POST /v1/chat/completions"),
        (f"{NEWEST}/two-tools", "POST /api/chat"),
    ]
    rows = harness("list", "recordings", "--recordings", str(folder), "--ollama-version", "0.9.6")
    assert {row["recording"] for row in rows} == {"0.9.6/beats", "0.9.6/two-tools"}


def test_a_stream_of_ones_own_is_played_in_the_scenarios_for_any_stream(folder: Path) -> None:
    scenarios = {
        row["scenario"]: row["recordings"] for row in harness("list", "scenarios", "--recordings", str(folder))
    }
    assert scenarios["stream"] == scenarios["cut-after-record"] == ["two-tools"]
    assert scenarios["embed"] == []


def test_show_and_prove_play_it(folder: Path) -> None:
    shown = harness("show", "requests/stream", "--recordings", str(folder))
    assert f"requests/stream/{NEWEST}/two-tools" in shown
    assert "pass: yielded all 2 records" in shown
    [proof] = harness("prove", "--scenario", "stream", "--recordings", str(folder))
    assert (proof["scenario"], proof["problem"]) == ("stream", "")


def test_run_plays_it_alone_and_only_where_the_faults_apply(folder: Path, tmp_path: Path) -> None:
    arguments = ["run", "--recordings", str(folder), "--client", "requests", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(commands, [*arguments, "--scenario", "stream", "--scenario", "record-dropped"])
    assert (done.exit_code, "0 not as expected" in done.output) == (0, True), done.output
    cells = Results.load(tmp_path / "out").cells
    assert {(one.scenario, one.recording) for one in cells} == {("stream", f"{NEWEST}/two-tools")}


def test_a_stream_that_is_whole_before_the_cut_makes_no_canary_fail(folder: Path, tmp_path: Path) -> None:
    """The canaries earn their verdicts on the recordings of the package."""
    (folder / "two-tools.ndjson").write_bytes(
        TWO_TOOLS.replace(b"\n", b"\n" + TWO_TOOLS.partition(b"\n")[0] + b"\n", 1)
    )
    arguments = ["run", "--recordings", str(folder), "--client", "requests", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(commands, [*arguments, "--scenario", "cut-after-record"])
    assert (done.exit_code, "0 not as expected" in done.output) == (0, True), done.output
    cells = Results.load(tmp_path / "out").cells
    perfect = {"canary-perfect", "canary-perfect-pieces"}
    assert {(one.client, one.verdict) for one in cells} == {(name, "pass") for name in {"requests", *perfect}}


def test_a_folder_without_a_stream_leaves_no_cell(folder: Path) -> None:
    (folder / "two-tools.ndjson").unlink()
    done = CliRunner().invoke(commands, ["show", "requests/stream", "--recordings", str(folder)])
    assert isinstance(done.exception, HarnessError)
    assert "stream plays none of these recordings" in str(done.exception)


def test_check_finds_nothing_wrong_with_any_bytes(folder: Path) -> None:
    (folder / "chat-broken.ndjson").write_bytes(b"{\n")
    done = CliRunner().invoke(commands, ["check", str(folder)])
    assert (done.exit_code, done.output) == (0, "3 recordings are valid, 0 defects found\n")


def test_check_finds_a_line_that_is_no_json_in_a_recording(tmp_path: Path) -> None:
    on_disk.save(recording(b"{}\n{\n"), tmp_path)
    on_disk.save(recording(b"{", media_type=JSON, id="1/b"), tmp_path)
    done = CliRunner().invoke(commands, ["check", str(tmp_path)])
    assert done.exit_code == 2
    assert "b.json: line 1: is no JSON" in done.output
    assert "generate-small.ndjson: line 2: is no JSON" in done.output


def test_what_is_ones_own_can_be_kept_as_a_recording() -> None:
    with tempfile.TemporaryDirectory() as name:
        one = loaded(Path(name), "two-tools.ndjson", TWO_TOOLS)
        assert on_disk.load(on_disk.save(one, Path(name) / "saved"), id=one.id) == one
