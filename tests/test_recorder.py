"""The recorder: what it makes of bytes, and that what is played and recorded is what was played."""

from __future__ import annotations

import errno
import io
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from builders import DATE, HELLO, JSON, NDJSON, SSE, TEXT, cuts, line, message, records
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from ollama_harness import FakeOllama, RecordingStore, Script
from ollama_harness.errors import RecorderError, RecordingError, ServerUnreachable
from ollama_harness.matrix._raw_socket import PATIENCE_S, resets_are_real
from ollama_harness.recorder import Probe, Progress, default_probes, record
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.live_request import LiveEnd, converse
from ollama_harness.recorder.response_reader import ResponseReader
from ollama_harness.recordings import draft, on_disk
from ollama_harness.recordings.recording import Frame, Headers, RecordedEnd, Recording, Request, Response
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.message_parts import Raw
from ollama_harness.script.script import Segment, http_date
from ollama_harness.server.transport import abort

LIBRARY = packaged_store()
ASK = Request(method="POST", path="/api/generate", json={"model": "m"})
PROBE = Probe(name="generate-small", request=ASK)
STREAM = message(b"", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked")
#: How much earlier than planned a record may seem to come: 6 digits are kept; two clocks of Windows differ by a tick.
EARLY_S = 0.02


class Kept:
    """A sink that keeps all it is given."""

    def __init__(self, on_frame: Callable[[], None] = lambda: None) -> None:
        self.response: Response | None = None
        self.data, self.sizes, self.times = b"", list[int](), list[float]()
        self._on_frame = on_frame

    def head(self, response: Response) -> None:
        self.response = response

    def body(self, data: bytes) -> None:
        self.data += data

    def frame(self, at_s: float, size: int) -> None:
        self.sizes.append(size)
        self.times.append(at_s)
        self._on_frame()

    @property
    def frames(self) -> list[bytes]:
        ends = [sum(self.sizes[: n + 1]) for n in range(len(self.sizes))]
        return [self.data[end - size : end] for end, size in zip(ends, self.sizes, strict=True)]


def pair() -> tuple[socket.socket, socket.socket]:
    """A connection on the loopback: the client's end and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


def seen(
    wire: bytes,
    then: Callable[[socket.socket], Any] = lambda _: None,
    *,
    method: str = "POST",
    timeout_s: float = PATIENCE_S,
) -> tuple[Kept, LiveEnd]:
    """What is made of an answer that is there already when it is read; `then` is done to the server's end before."""
    client, server = pair()
    with client, server:
        server.sendall(wire)
        then(server)
        kept = Kept()
        return kept, converse(client, "a", Request(method=method, path="/"), kept, timeout_s=timeout_s)


def finish(server: socket.socket) -> None:
    server.shutdown(socket.SHUT_WR)


# ------------------------------------------------------------------------------------------ bytes


def test_order_and_spelling_of_a_head_survive() -> None:
    fields = ("X-oDD: a", "content-TYPE: text/plain", "DATE:  now\t", "x-odd: ", "Transfer-Encoding: Chunked")
    kept, _ = seen(message(b"0\r\n\r\n", *fields, status="299 What it Says"))
    assert kept.response is not None
    assert (kept.response.status, kept.response.reason) == (299, "What it Says")
    assert kept.response.headers == (
        ("X-oDD", "a"),
        ("content-TYPE", "text/plain"),
        ("DATE", "now"),
        ("x-odd", ""),
        ("Transfer-Encoding", "Chunked"),
    )


def test_a_head_that_only_a_lenient_reader_reads_is_recorded_too() -> None:
    kept, end = seen(b"HTTP/1.1 200 OK\nX-A: b\n  c\nContent-Length: 2\n\nok")
    assert kept.response is not None
    assert kept.response.headers == (("X-A", "b c"), ("Content-Length", "2"))
    assert (kept.data, end.how) == (b"ok", RecordedEnd.COMPLETE)


def test_times_are_kept_to_the_microsecond(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 10.0123456])
    monkeypatch.setattr("ollama_harness.recorder.live_request.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    _, end = seen(message(b"ok", "Content-Length: 2"))
    assert end == LiveEnd(RecordedEnd.COMPLETE, 0.012346)


def test_interim_answers_are_passed_over() -> None:
    interim = message(b"", status="100 Continue") + message(b"", "Link: </a>", status="103 Early Hints")
    kept, end = seen(interim + message(b"ok", "Content-Length: 2", "X-A: b"))
    assert kept.response is not None
    assert (kept.response.status, kept.response.headers) == (200, (("Content-Length", "2"), ("X-A", "b")))
    assert (kept.data, end.how) == (b"ok", RecordedEnd.COMPLETE)


def test_each_chunk_is_a_frame_and_neither_extensions_nor_trailers_are() -> None:
    kept, end = seen(STREAM + b"3;a=b\r\none\r\n3 \r\ntwo\r\n0;c\r\nX-Trailer: yes\r\n\r\n")
    assert (kept.frames, end.how) == ([b"one", b"two"], RecordedEnd.COMPLETE)


def test_what_comes_after_the_answer_is_not_part_of_it() -> None:
    kept, end = seen(message(b"ok", "Content-Length: 2") + b"HTTP/1.1 200 OK\r\n\r\n")
    assert (kept.data, end.how) == (b"ok", RecordedEnd.COMPLETE)


@pytest.mark.parametrize(
    ("wire", "method"),
    [
        (message(b"", "Content-Length: 5"), "HEAD"),
        (message(b"", "Transfer-Encoding: chunked"), "HEAD"),
        (message(b"", status="204 No Content"), "GET"),
        (message(b"", status="304 Not Modified"), "GET"),
        (message(b"", "Content-Length: 0"), "POST"),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(wire: bytes, method: str) -> None:
    kept, end = seen(wire, method=method)
    assert (kept.sizes, end.how) == ([], RecordedEnd.COMPLETE)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_body_that_the_end_of_the_connection_ends_is_whole(version: bytes) -> None:
    kept, end = seen(message(b"as much as comes").replace(b"HTTP/1.1", version), finish)
    assert (kept.data, end.how) == (b"as much as comes", RecordedEnd.COMPLETE)


@pytest.mark.parametrize(
    ("wire", "frames"),
    [
        (STREAM, []),
        (STREAM + b"3\r\none\r\n", [b"one"]),
        (STREAM + b"3\r\none\r\n5\r\ntw", [b"one", b"tw"]),
        (STREAM + b"3\r\none\r\n0\r\n", [b"one"]),
        (message(b"half", "Content-Length: 8"), [b"half"]),
    ],
)
def test_a_fin_before_the_end_keeps_what_came(wire: bytes, frames: list[bytes]) -> None:
    kept, end = seen(wire, finish)
    assert (kept.frames, end.how) == (frames, RecordedEnd.EOF)


@pytest.mark.skipif(not resets_are_real(), reason="this system makes a FIN of an RST")
def test_a_reset_in_mid_stream_keeps_what_came() -> None:
    client, server = pair()
    with client:
        server.sendall(STREAM + b"3\r\none\r\n5\r\ntw")

        def reset() -> None:
            if len(kept.sizes) == 1:
                abort(server)

        kept = Kept(on_frame=reset)
        end = converse(client, "a", Request(method="POST", path="/"), kept, timeout_s=PATIENCE_S)
    assert (kept.frames, end.how) == ([b"one", b"tw"], RecordedEnd.RESET)
    assert kept.times == sorted(kept.times)
    assert end.at_s >= kept.times[-1]


def test_silence_ends_a_recording_and_counts_from_the_last_byte() -> None:
    kept, end = seen(STREAM + b"3\r\none\r\n", timeout_s=0.1)
    assert (kept.frames, end.how) == ([b"one"], RecordedEnd.TIMEOUT)
    assert end.at_s >= kept.times[-1] + 0.1 - EARLY_S


@pytest.mark.parametrize(
    ("wire", "then", "problem"),
    [
        (b"220 mail.example ESMTP\r\n\r\n", finish, "the answer is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", finish, "the answer is not HTTP"),
        (message(b"ok", "Content-Length: two"), finish, "the answer is not HTTP"),
        (STREAM + b"3\r\none\r\nzz\r\n", finish, "the answer is not HTTP"),
        (STREAM + b"3\r\nonetwo\r\n", finish, "the answer is not HTTP"),
        (message(b"", "Upgrade: x", status="101 Switching Protocols"), finish, "the answer is not HTTP"),
        (b"", finish, "there was no answer: the server closed the connection"),
        (b"HTTP/1.1 200 OK\r\n", finish, "there was no answer: the server closed the connection"),
        (b"", lambda _: None, r"there was no answer: nothing arrived for 0\.1 s \(allow more with --timeout\)"),
    ],
)
def test_anything_but_an_http_answer_is_an_error(
    wire: bytes, then: Callable[[socket.socket], Any], problem: str
) -> None:
    with pytest.raises(RecorderError, match=problem):
        seen(wire, then, timeout_s=PATIENCE_S if then is finish else 0.1)


def test_a_request_has_the_headers_that_http_needs_and_no_more() -> None:
    def sent(request: Request) -> bytes:
        return ResponseReader(Kept()).request(request, "a:1")

    head = b"POST /api/chat HTTP/1.1\r\nHost: a:1\r\n"
    ask = Request(method="POST", path="/api/chat")
    assert sent(ask) == head + b"Content-Length: 0\r\n\r\n"
    assert sent(replace(ask, body="{x")) == head + b"Content-Length: 2\r\n\r\n{x"
    fields = b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n"
    assert sent(replace(ask, json={"a": 1})) == head + fields + b'{"a":1}'
    assert sent(replace(ask, method="GET")) == b"GET /api/chat HTTP/1.1\r\nHost: a:1\r\n\r\n"
    given = replace(ask, method="GET", headers=(("Origin", "http://b"), ("hOST", "evil.example")))
    assert sent(given) == b"GET /api/chat HTTP/1.1\r\nhOST: evil.example\r\nOrigin: http://b\r\n\r\n"


# ------------------------------------------------------------------------------------------ play, record, compare

#: Names of headers that mean nothing to HTTP.
_names = st.from_regex(r"[Xx]-[A-Za-z0-9]{1,6}", fullmatch=True)
_values = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=8)
_values = _values.map(lambda text: "".join(char for char in text if not 0x7F <= ord(char) < 0xA0))


@st.composite
def played(draw: st.DrawFn, framings: tuple[str, ...] = ("chunked", "length", "close")) -> Recording:
    """A recording that can be told from its wire: frames of any size, in any framing, whole or cut off."""
    media_type = draw(st.sampled_from([NDJSON, SSE, JSON, TEXT, "image/png"]))
    json_lines = st.lists(records.map(line), max_size=1 if media_type == JSON else 5).map(b"".join)
    body = draw(json_lines if media_type in (JSON, NDJSON) else json_lines | st.binary(max_size=60))
    pieces = draw(cuts(body)) if body else []
    framing = draw(st.sampled_from(framings))
    ended = (
        RecordedEnd.COMPLETE if framing == "close" else draw(st.sampled_from([RecordedEnd.COMPLETE, RecordedEnd.EOF]))
    )
    missing = 0 if ended is RecordedEnd.COMPLETE else 1
    fields: Headers = {
        "chunked": (("Transfer-Encoding", "chunked"),),
        "length": (("Content-Length", str(len(body) + missing)),),
        "close": (),
    }[framing]
    odd: Headers = tuple(draw(st.lists(st.tuples(_names, _values), max_size=3)))
    return Recording(
        id="1.0.0/generate-small",
        ollama_version="1.0.0",
        recorded_at="2026-11-22T19:20:02+00:00",
        platform="Linux",
        request=replace(ASK, headers=(("X-Probe", "1"),)),
        response=Response(
            status=draw(st.sampled_from([200, 201, 400, 404, 500, 503])),
            reason=draw(st.sampled_from(["OK", "Not Found", "", "A  b"])),
            headers=(*odd, ("Content-Type", media_type), ("Date", DATE), *fields),
            head_at_s=0.0,
        ),
        frames=tuple(Frame(at_s=0.0, data=data) for data in pieces),
        ended=ended,
        ended_at_s=0.0,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


def again(server: FakeOllama, one: Recording, *, speed: float = 0.0) -> Recording:
    """What the recorder makes of a recording that is played to it."""
    server.clear()
    server.play(one, speed=speed)
    probe = Probe(name=one.name, request=one.request, intervention=one.intervention, note=one.note)
    with tempfile.TemporaryDirectory() as directory:
        session = record(server.url, [probe], Path(directory), timeout_s=PATIENCE_S)
        assert session.failures == ()
        return on_disk.load(Path(directory) / session.ids[0], id=one.id)


def without_date(response: Response) -> tuple[int, str, Headers]:
    headers = ((name, "" if name == "Date" else value) for name, value in response.headers)
    return response.status, response.reason, tuple(headers)


def check_same(made: Recording, one: Recording) -> None:
    assert made.request == one.request
    assert without_date(made.response) == without_date(one.response)
    assert made.body == one.body
    assert (made.ended, made.suffix) == (one.ended, one.suffix)
    assert (made.intervention, made.note) == (one.intervention, one.note)
    if one.response.header("transfer-encoding"):
        assert [frame.data for frame in made.frames] == [frame.data for frame in one.frames]


@given(played())
def test_what_is_played_and_recorded_is_what_was_played(server: FakeOllama, one: Recording) -> None:
    check_same(again(server, one), one)


@pytest.mark.same_on_each_python
def test_every_kind_of_recording_survives_being_played_and_recorded(server: FakeOllama) -> None:
    """One of each route, status, kind of body and end."""
    recordings = LIBRARY.of_version(LIBRARY.newest)
    kinds = {(one.request.path, one.response.status, one.suffix, one.ended): one for one in recordings}
    assert 20 < len(kinds) < len(recordings)
    for one in kinds.values():
        check_same(again(server, one), one)


@pytest.mark.parametrize("name", ["chat-stream", "generate-cold", "pull-stream", "v1-chat-stream", "tags"])
def test_no_frame_is_recorded_earlier_than_it_was_played(server: FakeOllama, name: str) -> None:
    """Later is the machine's doing, and bounded by patience only: what is late here is no error of the recorder's."""
    one = LIBRARY.get(f"{LIBRARY.newest}/{name}")
    made = again(server, one, speed=1.0)
    check_same(made, one)
    times = [(made.response.head_at_s, one.response.head_at_s)]
    if one.response.header("transfer-encoding"):
        times += [(ours.at_s, theirs.at_s) for ours, theirs in zip(made.frames, one.frames, strict=True)]
        times += [(made.ended_at_s, one.ended_at_s)]  # the last chunk; another end cannot be seen to come
    for ours, theirs in times:
        assert theirs - EARLY_S <= ours <= theirs + PATIENCE_S


@given(played(framings=("chunked", "close")))
def test_what_falls_silent_is_recorded_as_far_as_it_came(one: Recording) -> None:
    wire = Script.from_recording(replace(one, ended=RecordedEnd.TIMEOUT)).render(date=DATE).wire
    kept, end = seen(wire, timeout_s=0.01)  # all is there already, so that no machine is too slow for it
    assert (kept.data, end.how) == (one.body, RecordedEnd.TIMEOUT)


# ------------------------------------------------------------------------------------------ sessions


def test_recordings_lie_under_their_version_and_a_second_session_beside_it(server: FakeOllama, tmp_path: Path) -> None:
    server.clear()
    probes = default_probes().only(("version", "chat-stream"))
    for session in (None, "again"):
        made = record(server.url, probes, tmp_path, model="smollm2:135m", session=session)
        folder = f"{session + '/' if session else ''}{LIBRARY.newest}"
        assert (made.ids, made.folder) == ((f"{folder}/version", f"{folder}/chat-stream"), tmp_path / folder)
        assert made.version == LIBRARY.newest
    store = RecordingStore(tmp_path)
    assert store.versions == (LIBRARY.newest,)
    assert store.get(f"again/{LIBRARY.newest}/chat-stream").ollama_version == LIBRARY.newest
    assert store.get(f"{LIBRARY.newest}/chat-stream").request.json["model"] == "smollm2:135m"


def test_set_up_and_clean_up_are_sent_and_not_recorded(server: FakeOllama, tmp_path: Path) -> None:
    server.clear()
    session = record(server.url, default_probes().only(("delete", "copy")), tmp_path, model="smollm2:135m")
    assert [id_.rpartition("/")[2] for id_ in session.ids] == ["copy", "delete"]
    asked = [(entry.head.method, entry.body) for entry in server.journal.entries if entry.head and entry.body]
    assert [method for method, _ in asked] == ["POST", "DELETE", "POST", "DELETE", "DELETE"]
    assert all(b"ollama-harness-probe" in body for _, body in asked)
    assert len(list(tmp_path.rglob("*.*"))) == 5  # a folder, named by a version, and two files a recording


def test_a_probe_without_an_answer_is_a_failure_and_the_others_are_asked(server: FakeOllama, tmp_path: Path) -> None:
    server.clear()
    one = LIBRARY.get(f"{LIBRARY.newest}/chat-stream")
    script = Script.from_recording(one, speed=0)
    garbage = replace(script, segments=(*script.segments[:2], Segment(script.segments[1].at_s, (Raw(b"zz\r\n"),))))
    server.play(garbage, path="/api/chat")
    missing = Request(method="POST", path="/api/show", json={"model": "nobody"})
    probes = [
        Probe(name="a", request=one.request),
        Probe(name="b", request=ASK, before=(missing,)),
        Probe(name="c", request=Request(method="GET", path="/api/tags")),
    ]
    session = record(server.url, probes, tmp_path)
    assert [failure.name for failure in session.failures] == ["a", "b"]
    assert "not HTTP" in session.failures[0].why
    assert session.failures[1].why == "the set-up failed: POST /api/show gave 404"
    assert sorted(path.name for path in session.folder.iterdir()) == ["c.json", "c.meta.json"]


def test_a_server_that_is_gone_fails_the_probes_that_are_left(tmp_path: Path) -> None:
    server = FakeOllama(speed=0)
    server.start()
    probes = [Probe(name=name, request=Request(method="GET", path="/api/tags")) for name in "abc"]
    session = record(
        server.url,
        probes,
        tmp_path,
        on_progress=lambda now: server.stop() if now.name == "b" and server.is_running() else None,
    )
    assert [id_[-1] for id_ in session.ids] == ["a"]
    assert [failure.name for failure in session.failures] == ["b", "c"]
    assert "cannot be reached" in session.failures[0].why


def test_an_interrupt_keeps_what_is_finished_and_nothing_else(server: FakeOllama, tmp_path: Path) -> None:
    server.clear()

    def interrupt(now: Progress) -> None:
        if now.name == "chat-history" and now.frames == 3:
            raise KeyboardInterrupt

    probes = default_probes().only(("chat-stream", "chat-history"))
    with pytest.raises(KeyboardInterrupt):
        record(server.url, probes, tmp_path, model="smollm2:135m", on_progress=interrupt)
    assert RecordingStore(tmp_path).ids == (f"{LIBRARY.newest}/chat-stream",)
    assert len(list((tmp_path / LIBRARY.newest).iterdir())) == 2


class FullDisk(io.BytesIO):
    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_error_and_keeps_what_is_finished(
    server: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.clear()
    create = draft._create

    def full(path: Path) -> IO[bytes]:
        return FullDisk() if path.name.startswith("chat-history") else create(path)

    monkeypatch.setattr(draft, "_create", full)
    probes = default_probes().only(("chat-stream", "chat-history"))
    with pytest.raises(RecordingError, match=r"chat-history\.meta\.json: cannot be written: No space left on device"):
        record(server.url, probes, tmp_path, model="smollm2:135m")
    assert sorted(path.suffix for path in (tmp_path / LIBRARY.newest).iterdir()) == [".json", ".ndjson"]


def test_no_proxy_is_asked(server: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.clear()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert record(server.url, default_probes().only(("version",)), tmp_path).failures == ()


def test_secrets_reach_the_server_and_never_the_disk(server: FakeOllama, tmp_path: Path) -> None:
    """Also where a secret lies in two frames, and a frame's size is what it was."""
    server.clear()
    headers = (("Content-Type", NDJSON), ("Set-Cookie", "id=s3cret"), ("Transfer-Encoding", "chunked"))
    frames = (b'{"a":1}\n{"api_k', b'ey":"s3', b'cret","b":"Bearer s3cret"}\n', line(HELLO))
    response = Response(status=200, reason="OK sk-s3cret-s3cret", headers=headers, head_at_s=0.0)
    request = replace(ASK, headers=(("Authorization", "Bearer s3cret"),), json={"password": "s3cret"})
    one = replace(
        LIBRARY.get(f"{LIBRARY.newest}/chat-stream"),
        request=request,
        response=response,
        frames=tuple(Frame(at_s=0.0, data=data) for data in frames),
    )
    server.play(one)
    probe = Probe(
        name="generate-small",
        request=request,
        intervention="killed with token=s3cret",
        note="asked with password=s3cret",
    )
    session = record(server.url, [probe], tmp_path)
    entry = server.journal.entries[-1]
    assert entry.head is not None
    assert dict(entry.head.headers)["Authorization"] == "Bearer s3cret"
    assert entry.body == b'{"password":"s3cret"}'
    assert not any(b"s3" in path.read_bytes() for path in session.folder.iterdir())
    made = RecordingStore(tmp_path).get(session.ids[0])
    assert (made.response.reason, made.note) == ("OK ****************", "asked with password=******")
    assert made.intervention == "killed with token=******"
    assert [len(frame.data) for frame in made.frames] == list(map(len, frames))
    assert made.body == b"".join(frames).replace(b"s3cret", b"******")


def test_homes_and_hosts_go_on_request(server: FakeOllama, tmp_path: Path) -> None:
    server.clear()
    request = replace(ASK, json={"path": "/home/ada/x", "host": socket.gethostname()})
    for flags, kept in (({}, True), ({"redact_home": True, "redact_host": True}, False)):
        session = record(server.url, [Probe(name="a", request=request)], tmp_path, **flags)
        made = RecordingStore(tmp_path).get(session.ids[0]).request.json
        assert (made == request.json) is kept
        assert kept or made == {"path": "/home/***/x", "host": "*" * len(socket.gethostname())}


# ------------------------------------------------------------------------------------------ whom it refuses to record


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        ("It works!", 200, "is not an Ollama: GET /api/version gave 200 and no version"),
        ("{}", 200, "gave 200 and no version"),
        ("[]", 200, "gave 200 and no version"),
        ('{"version":5}', 200, "gave 200 and no version"),
        ('{"version":"1.0"}', 500, "gave 500 and no version"),
        ('{"version":"../up"}', 200, "and not up to 100 letters"),
        ('{"version":""}', 200, "and not up to 100 letters"),
        ('{"version":"1.0 "}', 200, "and not up to 100 letters"),
    ],
)
def test_another_server_is_refused_and_nothing_is_written(
    tmp_path: Path, answer: str, status: int, problem: str
) -> None:
    with HTTPServer() as other:
        other.expect_request("/api/version").respond_with_data(answer, status=status)
        with pytest.raises(RecorderError, match=problem):
            record(other.url_for(""), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_ollama_without_models_is_refused_where_one_is_needed(tmp_path: Path) -> None:
    with HTTPServer() as other:
        other.expect_request("/api/version").respond_with_json({"version": "1.0"})
        other.expect_request("/api/tags").respond_with_json({"models": []})
        with pytest.raises(RecorderError, match="has no model called 'm'; it has none; pull one on that server"):
            record(other.url_for(""), out=tmp_path / "out", model="m")
        assert not (tmp_path / "out").exists()
        assert record(other.url_for(""), default_probes().only(("tags",)), tmp_path / "out").ids == ("1.0/tags",)


def test_a_host_where_nothing_listens_is_refused(tmp_path: Path) -> None:
    with FakeOllama(listens=False) as server, pytest.raises(ServerUnreachable, match="cannot be reached") as caught:
        record(server.url, out=tmp_path / "out")
    assert server.url in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://a.example", "cannot be recorded: only plain HTTP shows the frames"),
        ("ftp://a.example", "cannot be recorded"),
        ("http://u:s3cret@a.example", "--host holds a user name"),
        ("http://a.example/ollama", "has more than a host and a port; write http://a.example:80"),
        ("http://a.example?x=1", "has more than a host and a port"),
        ("a.example:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("no such host.invalid", "."),
    ],
)
def test_a_url_that_cannot_be_recorded_is_refused_without_its_secrets(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises(RecorderError, match=problem) as caught:
        record(url, out=tmp_path / "out")
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("127.0.0.1", "127.0.0.1:11434"),
        ("localhost:8080", "localhost:8080"),
        ("http://a.example", "a.example:80"),
        ("http://[::1]:1/", "[::1]:1"),
        ("", "127.0.0.1:11434"),
    ],
)
def test_a_host_is_read_as_the_client_reads_it(url: str, authority: str) -> None:
    assert Address.of(url).authority == authority


def test_a_take_has_a_name_that_any_system_takes(tmp_path: Path) -> None:
    for name in ("", "../x", "A", "a b", "-a"):
        with pytest.raises(RecorderError, match="cannot be the name of a session"):
            record("http://127.0.0.1:1", out=tmp_path, session=name)


@given(played(), st.data())
def test_however_the_bytes_come_the_frames_are_the_chunks(one: Recording, data: st.DataObject) -> None:
    wire = Script.from_recording(one).render(date=http_date(0)).wire
    kept = Kept()
    reader = ResponseReader(kept)
    reader.request(one.request, "a")
    for number, piece in enumerate(data.draw(cuts(wire))):
        reader.receive(piece, float(number))
    if not reader.whole:
        reader.receive(b"", 99.0)
        reader.end()
    assert (kept.data, reader.whole) == (one.body, one.ended is RecordedEnd.COMPLETE)
    assert kept.times == sorted(kept.times)
    if one.response.header("transfer-encoding"):
        assert kept.frames == [frame.data for frame in one.frames]
