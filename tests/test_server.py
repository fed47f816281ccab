"""FakeOllama as its users see it: what answers, what the journal shows, and that no input crashes it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug import Response

from ollama_harness.errors import FaultDoesNotApply, PortInUse, UnknownName
from ollama_harness.faults import (
    Fault,
    after_record,
    before_head,
    close_at,
    close_on_accept,
    drop_terminal_record,
    lock_step,
    never_read,
    refuse,
    replace_with_error,
    stall_at,
)
from ollama_harness.matrix._raw_socket import connect, leave_and_read, read_exactly, read_to_end, request
from ollama_harness.script.message_parts import Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment, http_date
from ollama_harness.server import _connection as connection_module
from ollama_harness.server import _playback
from ollama_harness.server._connection import Connection
from ollama_harness.server.engine import Engine
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy
from ollama_harness.server.transport import Transport


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeOllama]:
    """For properties: one server for all examples."""
    with FakeOllama(speed=0) as server:
        yield server


def ask(server: FakeOllama, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------ what answers


@pytest.mark.parametrize(
    ("method", "path", "body", "recording"),
    [
        ("GET", "/", None, "root-get"),
        ("GET", "/api/version", None, "version"),
        ("GET", "/api/tags", None, "tags"),
        ("POST", "/api/show", {"model": "smollm2:135m"}, "show"),
        ("POST", "/api/embed", {"model": "smollm2-embed:135m", "input": "Why is the sky blue?"}, "embed-one"),
    ],
)
@pytest.mark.parametrize("version", ["0.5.7", "0.32.15"])
def test_the_chosen_versions_recordings_answer(version: str, method: str, path: str, body: Any, recording: str) -> None:
    with FakeOllama(version=version, speed=0) as server:
        status, _, content = ask(server, method, path, body)
        expected = server.store.get(f"{version}/{recording}")
        assert (status, content) == (expected.response.status, expected.body)
        assert server.journal.entries[-1].answered_by == expected.id


def test_a_model_that_is_not_there_gets_ollamas_404_and_the_journal_names_those_that_are(server: FakeOllama) -> None:
    status, headers, body = ask(server, "POST", "/api/chat", {"model": "llama3", "messages": [{"role": "user"}]})
    assert (status, headers["Content-Type"]) == (404, "application/json; charset=utf-8")
    assert json.loads(body) == {"error": "model 'llama3' not found"}
    entry = server.journal.entries[-1]
    assert entry.answered_by == "rule model-missing"
    assert {"smollm2:135m", "smollm2-tools:135m"} <= set(entry.why.partition("there are ")[2].split(", "))


def test_an_unknown_route_gets_the_404_that_was_recorded(server: FakeOllama, store: Any) -> None:
    status, headers, body = ask(server, "GET", "/no/such/route")
    recorded = store.get("0.32.15/error-unknown-route")
    assert (status, headers["Content-Type"], body) == (404, "text/plain", recorded.body)
    assert server.journal.entries[-1].answered_by == "rule route-not-found"


def test_the_last_play_wins_whatever_the_body_says(server: FakeOllama, store: Any) -> None:
    server.play("generate-stream")
    server.play("generate-raw")
    _, _, body = ask(server, "POST", "/api/generate", {"model": "anything", "prompt": "x"})
    assert body == store.get("0.32.15/generate-raw").body


def test_expectations_of_pytest_httpserver_come_first(server: FakeOllama) -> None:
    server.expect_request("/api/version").respond_with_json({"version": "mine"})
    server.expect_oneshot_request("/api/tags", method="GET").respond_with_data("once")
    assert json.loads(ask(server, "GET", "/api/version")[2]) == {"version": "mine"}
    assert ask(server, "GET", "/api/tags")[2] == b"once"
    assert b'"models"' in ask(server, "GET", "/api/tags")[2], "the oneshot is used up, the recording answers"
    assert [entry.answered_by for entry in server.journal.entries][:2] == ["expectation", "expectation"]
    server.check()


@pytest.mark.parametrize("path", ["/api/tags", "/mine", "/no/such/route"], ids=["recording", "expectation", "404"])
def test_the_date_of_each_answer_is_that_of_its_moment(
    path: str, server: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the recording's, and not that of the answer before."""
    server.expect_request("/mine").respond_with_data("mine")
    began, (_, now, _) = datetime.now(UTC).replace(microsecond=0), ask(server, "GET", path)
    assert began <= parsedate_to_datetime(now["Date"]) <= datetime.now(UTC)
    given = [http_date(86400.0 * day) for day in range(1, 4)]
    dates = iter(given)
    monkeypatch.setattr("ollama_harness.server._serving.http_date", lambda: next(dates))
    assert [ask(server, "GET", path)[1]["Date"] for _ in given] == given
    assert [entry.date for entry in server.journal.entries][1:] == given


def test_a_broken_order_of_expectations_fails_as_in_pytest_httpserver(server: FakeOllama) -> None:
    server.expect_ordered_request("/first").respond_with_data("1")
    assert ask(server, "GET", "/second")[0] == 500
    with pytest.raises(AssertionError, match="No handler found"):
        server.check()


def test_a_streamed_response_of_a_handler_is_sent_piece_by_piece(server: FakeOllama) -> None:
    first_read = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        assert first_read.wait(20), "the second piece is made only after the first was read"
        yield b"two"

    server.expect_request("/live").respond_with_handler(lambda _: Response(pieces(), direct_passthrough=True))
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/live", None, "Connection: close"))
        seen = b""
        while not seen.endswith(b"3\r\none\r\n"):
            seen += sock.recv(4096)
        first_read.set()
        assert read_to_end(sock).data == b"3\r\ntwo\r\n0\r\n\r\n"


def test_an_exception_in_a_handler_is_kept_for_check(server: FakeOllama) -> None:
    def broken(_: object) -> Response:
        raise LookupError("mine")

    server.expect_request("/broken").respond_with_handler(broken)
    assert ask(server, "GET", "/broken")[0] == 500
    with pytest.raises(LookupError, match="mine"):
        server.check()


def test_faults_of_the_server_strike_what_they_can_and_the_rest_is_noted() -> None:
    with FakeOllama(speed=0, faults=[drop_terminal_record()]) as server:
        body = ask(server, "POST", "/api/generate", {"model": "smollm2:135m", "prompt": "x"})[2]
        assert b'"done":true' not in body
        ask(server, "GET", "/api/version")
        assert "drop_terminal_record() was left out" in server.journal.entries[-1].why


def test_with_any_model_every_model_is_answered() -> None:
    with FakeOllama(speed=0, any_model=True) as server:
        assert ask(server, "POST", "/api/generate", {"model": "llama3", "prompt": "x"})[0] == 200


def test_names_are_checked_when_given() -> None:
    with pytest.raises(UnknownName, match=r"did you mean 0\.32\.15"):
        FakeOllama(version="0.32.1")
    server = FakeOllama()
    with pytest.raises(UnknownName, match="did you mean"):
        server.play("generate-steam")
    with pytest.raises(FaultDoesNotApply, match="there is no record 99"):
        server.play("generate-one-token", close_at(after_record(99)))


# ------------------------------------------------------------------------------------------------ the journal


def test_the_journal_shows_what_was_received_and_which_side_left(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {"model": "smollm2:135m"}, "X-Mine: 1"))
        assert server.journal.wait_for(lambda entries: bool(entries and entries[0].ended_by), timeout_s=20)
    assert server.journal.wait_for(lambda entries: entries[0].client_left_s is not None, timeout_s=20)
    entry = server.journal.entries[0]
    assert entry.request_line == "POST /api/generate HTTP/1.1"
    assert entry.head is not None
    assert ("X-Mine", "1") in entry.head.headers
    assert json.loads(entry.body) == {"model": "smollm2:135m"}
    assert (entry.connection, entry.index, entry.ended_by) == (1, 1, EndedBy.SERVER)


def test_a_client_that_leaves_ends_its_stream(server: FakeOllama) -> None:
    server.play("generate-stream", stall_at(after_record(2)))
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        read_exactly(sock, 1)
    assert server.journal.wait_for(lambda entries: entries[0].client_left_s is not None, timeout_s=20)


def test_a_client_that_leaves_a_slow_stream_is_noticed_between_two_records() -> None:
    with FakeOllama(speed=0.001) as server:  # the next record would be half a minute away
        server.play("generate-stream", speed=0.01)
        server.play("generate-stream", stall_at(after_record(1)), speed=0.05)
        with connect(server.port) as sock:
            sock.sendall(request("POST", "/api/generate", {}))
            assert server.journal.wait_for(bool, timeout_s=20)
        assert server.journal.wait_for(lambda entries: entries[0].ended_by is EndedBy.CLIENT, timeout_s=20)


# ------------------------------------------------------------------------------------------------ start and stop


def test_stop_ends_open_streams_at_once(server: FakeOllama) -> None:
    server.play("generate-stream", stall_at(after_record(1)))
    socks = [connect(server.port) for _ in range(5)]
    for sock in socks:
        sock.sendall(request("POST", "/api/generate", {}))
        read_exactly(sock, 1)
    server.stop()
    assert [read_to_end(sock).end for sock in socks] == ["fin"] * len(socks) != []
    for sock in socks:
        sock.close()
    assert [entry.ended_by for entry in server.journal.entries] == [EndedBy.STOP] * len(socks)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ollama-harness")]
    server.start()  # for the fixture, and to show that it can


def test_a_port_in_use_is_one_clear_sentence(server: FakeOllama) -> None:
    with pytest.raises(PortInUse, match=rf"127\.0\.0\.1:{server.port} is in use by another program; stop it"):
        FakeOllama(port=server.port).start()


def test_a_port_out_of_range_is_one_clear_sentence() -> None:
    with pytest.raises(PortInUse, match="there is no port 70000; give one from 0"):
        FakeOllama(port=70000).start()


def test_many_streams_at_once_do_not_mix(server: FakeOllama, store: Any) -> None:
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(ask(server, "POST", "/api/chat", {"model": "x"})[2]))
        for _ in range(20)
    ]
    server.play("chat-stream")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(bodies) == {store.get("0.32.15/chat-stream").body}
    assert len(bodies) == len(threads)


# ------------------------------------------------------------------------------------------------ what is no HTTP


@pytest.mark.parametrize(
    ("garbage", "first"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400 Bad Request"),  # the start of TLS
        (b"hello\n", "400 Bad Request"),
        (b"GET  / HTTP/1.1\r\n", "400 Bad Request"),
        (b"GET / HTTP/2.0\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET / HTTP/1.1\r\nNo colon\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nName : blank\r\n\r\n", "400 Bad Request: missing required Host header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nName : blank\r\n\r\n", "400 Bad Request: invalid header name"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"),
    ],
)
def test_what_is_no_http_is_refused_as_go_does_and_harms_no_other_client(
    garbage: bytes, first: str, server: FakeOllama
) -> None:
    with connect(server.port) as sock:
        sock.sendall(garbage)
        seen = read_to_end(sock)
    assert seen.data.startswith(f"HTTP/1.1 {first}\r\n".encode())
    assert server.journal.entries[0].head is None
    assert ask(server, "GET", "/api/version")[0] == 200


def test_a_head_that_never_ends_gets_431(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 180_000)
        assert sock.recv(65536).startswith(b"HTTP/1.1 431 ")
    assert ask(server, "GET", "/api/version")[0] == 200


def test_a_head_as_long_as_go_reads_it_is_read(server: FakeOllama) -> None:
    """1 MiB, and net/http's 4096 bytes of slop."""
    fields = "X: " + "y" * (1024 * 1024 + 2000)
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/api/version", None, fields, "Connection: close"))
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("size", "status"), [(1000, b"400"), (1001, b"413")])
def test_a_body_that_is_too_large_gets_413_before_it_has_come(
    size: int, status: bytes, server: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_BODY_BYTES", 1000)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/chat", None, f"Content-Length: {size}", "Connection: close"))
        if status == b"400":
            sock.sendall(b" " * size)
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("body", [b'{"model":"\\ud800","messages":[1]}', b"[" * 200_000])
def test_odd_json_is_answered_and_noted(body: bytes, server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/chat", body, "Connection: close"))
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 40")
    assert server.journal.entries[0].why


@pytest.mark.parametrize(
    "half", [b"GET / HT", b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"]
)
def test_half_a_request_is_answered_with_400_when_its_client_gives_up(half: bytes, server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(half)
        seen = leave_and_read(sock)
    assert seen.data.startswith(b"HTTP/1.1 400 ")


def test_unfinished_requests_block_no_other_client(server: FakeOllama) -> None:
    waiting = [connect(server.port) for _ in range(10)]
    for sock in waiting:
        sock.sendall(b"POST /api/chat HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert ask(server, "GET", "/api/version")[0] == 200
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5, "nor do they keep the server from stopping"
    for sock in waiting:
        sock.close()
    server.start()


def test_a_client_that_waits_for_100_continue_gets_it(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/show", b'{"model": "smollm2:135m"}', "Expect: 100-continue")[:-25])
        assert read_exactly(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b'{"model": "smollm2:135m"}')
        assert read_exactly(sock, 15) == b"HTTP/1.1 200 OK"


def test_a_client_without_a_body_does_not_wait_for_100_continue(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n")
        assert read_exactly(sock, 15) == b"HTTP/1.1 200 OK", "nor does Go's server send it"


def test_a_chunked_request_is_read_whole(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b'{"model": ', b'"smollm2:135m"}'):
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        assert read_exactly(sock, 15) == b"HTTP/1.1 200 OK"


def test_ipv6_loopback_can_be_listened_on() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with FakeOllama("::1", speed=0) as server:
        assert server.url == f"http://[::1]:{server.port}"
        with socket.create_connection(("::1", server.port), 20) as sock:
            sock.sendall(request("GET", "/api/version"))
            assert read_exactly(sock, 15) == b"HTTP/1.1 200 OK"


# --------------------------------------------------------------------------------------------- any script, any bytes


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Any bytes in any segments at any (short) times, with any ending that a socket can see."""
    data = draw(st.lists(st.binary(min_size=1, max_size=2000), max_size=8))
    clock = sorted(draw(st.lists(st.floats(0, 0.02), min_size=len(data) + 1, max_size=len(data) + 1)))
    how = draw(
        st.sampled_from([ConnectionEnd.KEEP_OPEN, ConnectionEnd.CLOSE, ConnectionEnd.HALF_CLOSE, ConnectionEnd.HOLD])
    )
    segments = tuple(Segment(at_s, (Raw(piece),)) for at_s, piece in zip(clock, data, strict=False))
    return Script(method="GET", segments=segments, ending=ScriptEnd(how=how, at_s=clock[-1]))


@settings(max_examples=40)
@given(script=scripts())
def test_the_journal_says_what_any_script_sends_and_so_does_the_wire(shared: FakeOllama, script: Script) -> None:
    server = shared
    server.clear()
    server.play(script)
    planned = script.render(date="")
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/any"))
        assert read_exactly(sock, len(planned.wire)) == planned.wire
        assert leave_and_read(sock).data == b""
    assert server.journal.wait_until_settled()
    (entry,) = server.journal.entries
    assert [data for _, data in entry.sent] == [segment.data for segment in planned.segments]
    assert all(at_s >= segment.at_s for (at_s, _), segment in zip(entry.sent, planned.segments, strict=True))
    assert entry.ended is script.ending.how


# --------------------------------------------------------------------------------------------- arrangements


def test_an_answer_for_so_many_times_comes_before_the_one_arranged_earlier(server: FakeOllama) -> None:
    server.play("generate-one-token", speed=0)
    server.play("generate-one-token", replace_with_error(503), times=2, speed=0)
    statuses = []
    for _ in range(4):
        with connect(server.port) as sock:
            sock.sendall(request("POST", "/api/generate", {}, "Connection: close"))
            statuses.append(read_to_end(sock).data[9:12])
    assert statuses == [b"503", b"503", b"200", b"200"]


def test_a_server_that_does_not_listen_refuses() -> None:
    with FakeOllama(listens=False) as server, pytest.raises(ConnectionRefusedError):
        connect(server.port)


def test_a_server_that_listens_cannot_play_a_refusal(server: FakeOllama) -> None:
    with pytest.raises(FaultDoesNotApply, match="listens=False"):
        server.play("generate-one-token", refuse())


@pytest.mark.parametrize(("fault", "end"), [(close_on_accept(), "fin"), (never_read(), "open")], ids=str)
def test_faults_before_any_request_strike_every_connection_of_a_server(fault: Fault, end: str) -> None:
    with FakeOllama(faults=[fault]) as server:
        for _ in range(2):
            with connect(server.port) as sock:
                if end == "fin":
                    assert read_to_end(sock).end == "fin"
        assert server.journal.wait_for(lambda entries: len(entries) == 2, timeout_s=10)


def test_stop_does_not_wait_for_a_client_that_does_not_read() -> None:
    whole = Script(
        method="GET",
        segments=(Segment(0.0, (Raw(b"x" * 50_000_000),)),),
        ending=ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.0),
    )
    server = FakeOllama()
    server.start()
    server.play(whole)
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/any"))
        assert sock.recv(1) == b"x"
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 10


def test_in_lock_step_a_client_that_leaves_is_noticed(server: FakeOllama) -> None:
    server.play("generate-stream", lock_step(), speed=0)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        assert server.journal.wait_for(lambda entries: bool(entries and entries[0].awaited), timeout_s=10)
    assert server.journal.wait_until_settled(timeout_s=2)
    (entry,) = server.journal.entries
    assert (entry.ended_by, entry.buffered) == (EndedBy.CLIENT, None)


def test_in_lock_step_the_first_record_that_was_kept_back_is_noted_and_the_rest_is_not_waited_for(
    server: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_playback, "LOCK_STEP_LIMIT_S", 0.01)
    server.play("generate-stream", lock_step(), speed=0)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        assert server.journal.wait_for(lambda entries: bool(entries and entries[0].awaited), timeout_s=10)
        (entry,) = server.journal.entries
        assert server.journal.wait_for(lambda entries: entries[0].awaited > 2, timeout_s=10)
        server.journal.yielded(entry, 1)
        assert server.journal.wait_until_settled(timeout_s=10)
    assert entry.buffered == 1


def test_of_two_plays_the_last_decides_even_before_a_request(server: FakeOllama) -> None:
    server.play("generate-one-token", close_on_accept(), speed=0)
    with connect(server.port) as sock:
        assert read_to_end(sock).data == b""
    server.play("generate-one-token", speed=0)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}, "Connection: close"))
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("arguments", [{"speed": -1}, {"speed": float("nan")}, {"gap_s": float("inf")}])
def test_a_pace_that_cannot_be_is_refused_when_the_server_is_made(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give 0 or more"):
        FakeOllama(**arguments)  # type: ignore[arg-type]


def test_wrong_arguments_of_play_are_one_sentence(server: FakeOllama) -> None:
    with pytest.raises(ValueError, match="times: 0 is too small"):
        server.play("generate-one-token", times=0)
    no_fault: Any = after_record(1)
    with pytest.raises(TypeError, match="is no fault; give one like"):
        server.play("generate-one-token", no_fault)


class Accepted:
    """A client's socket, and coroutines that get the server's side of it."""

    def __init__(self, client: socket.socket, sock: socket.socket, engine: Engine) -> None:
        self.client, self._sock, self._engine = client, sock, engine
        self._connection: Connection | None = None

    def run(self, use: Callable[[Connection], Coroutine[Any, Any, object]]) -> tuple[threading.Event, list[object]]:
        """Run a coroutine; returns what is set when it has returned, and where its result is then."""
        done, results = threading.Event(), list[object]()

        async def coroutine() -> None:
            self._connection = self._connection or Connection(Transport(self._sock))
            results.append(await use(self._connection))
            done.set()

        self._engine.spawn(coroutine)
        return done, results


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Accepted]:
    """A connection whose patience does not end during a test."""
    monkeypatch.setattr("ollama_harness.server._connection._LINGER_S", 60.0)
    engine = Engine()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as sock,
    ):
        yield Accepted(client, sock, engine)
        engine.stop()


def test_a_request_that_is_reset_unread_has_arrived_whole(accepted: Accepted) -> None:
    """Else an RST meets a client now while it writes and now while it reads, and what it raises is chance."""
    done, _ = accepted.run(Connection.wait_for_request)
    accepted.client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
    assert not done.wait(0.1)
    accepted.client.sendall(b"dy")
    assert done.wait(20.0)
    done, results = accepted.run(Connection.read_request)
    assert done.wait(20.0)
    [request] = results
    assert isinstance(request, tuple)
    assert request[1] == b"body", "it is still there"


@pytest.mark.parametrize(
    "sent",
    [b"no HTTP at all\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"],
    ids=["head", "body"],
)
def test_what_never_becomes_a_request_is_not_waited_for(sent: bytes, accepted: Accepted) -> None:
    accepted.client.sendall(sent)
    done, _ = accepted.run(Connection.wait_for_request)
    assert done.wait(20.0)


def test_a_held_connection_outlasts_every_timeout_of_a_client(
    server: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = SimpleNamespace(monotonic=lambda: time.monotonic() + 36_000, sleep=time.sleep)
    monkeypatch.setattr(connection_module, "time", hours)  # hours have passed each time it looks
    server.play("generate-stream", stall_at(before_head()))
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        assert not server.journal.wait_for(lambda all_: bool(all_) and all_[0].ended_by is not None, timeout_s=0.3)
        server.stop()
        assert server.journal.entries[0].ended_by is EndedBy.STOP
