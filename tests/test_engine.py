"""The engine: thousands of connections in a few threads, hostile clients, and a stop that leaves nothing behind."""

from __future__ import annotations

import itertools
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Response

from ollama_harness.answers.go.go_body import GoBodyReader, read_go_body
from ollama_harness.answers.go.go_request import GoHeadReader, read_go_head
from ollama_harness.faults import after_record, resegment, stall_at
from ollama_harness.matrix._raw_socket import connect, read_exactly, read_to_end, request
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.message_parts import Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment
from ollama_harness.server._playback import batches
from ollama_harness.server.engine import Engine, Kind, Loop, ServerStops, Signal, in_thread, running
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy

PATIENCE_S = 20.0
CHUNKED = RequestHead("POST", "/", "HTTP/1.1", (("Host", "a"), ("Transfer-Encoding", "chunked")), 0)


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.stop()


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ollama-harness")]


def is_answered(server: FakeOllama) -> bool:
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/api/version", None, "Connection: close"))
        return read_to_end(sock).data.startswith(b"HTTP/1.1 200 ")


# ------------------------------------------------------------------------------------------------ waits


def test_a_wait_ends_with_what_comes_first(engine: Engine) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    woken, done = list[str](), threading.Event()

    async def waits() -> None:
        watch, signal = running().watch(ours), Signal()
        names = {watch.readable: "readable", watch.writable: "writable", signal: "signal", None: "time"}
        woken.append(names[await running().wait(watch.readable, signal, until=time.monotonic() + 0.01)])
        woken.append(names[await running().wait(watch.readable, watch.writable)])
        theirs.send(b"x")
        woken.append(names[await running().wait(watch.readable, signal)])
        ours.recv(1)
        threading.Thread(target=signal.set).start()
        woken.append(names[await running().wait(watch.readable, signal)])
        watch.forget()
        done.set()

    with ours, theirs:
        engine.spawn(waits)
        assert done.wait(PATIENCE_S)
    assert woken == ["time", "writable", "readable", "signal"]


def test_no_deadline_ends_early(engine: Engine) -> None:
    late, done = list[float](), threading.Event()

    async def waits() -> None:
        for wait_s in (0.0, 0.0003, 0.004, 0.03):
            until = time.monotonic() + wait_s
            assert await running().wait(until=until) is None
            late.append(time.monotonic() - until)
        done.set()

    engine.spawn(waits)
    assert done.wait(PATIENCE_S)
    assert min(late) >= 0


def test_what_a_function_raises_in_a_thread_is_raised_in_its_coroutine(engine: Engine) -> None:
    seen, done = list[str](), threading.Event()

    async def calls() -> None:
        try:
            await in_thread(Kind.COMPUTES, int, "no number")
        except ValueError as error:
            seen.append(str(error))
        seen.append(await in_thread(Kind.MAY_WAIT, lambda: threading.current_thread().name))
        done.set()

    engine.spawn(calls)
    assert done.wait(PATIENCE_S)
    assert "no number" in seen[0]
    assert seen[1] == "ollama-harness worker"


def test_functions_that_wait_get_as_many_threads_as_there_are(engine: Engine) -> None:
    all_there, met = threading.Barrier(5), threading.Semaphore(0)

    async def meets() -> None:
        await in_thread(Kind.MAY_WAIT, all_there.wait, PATIENCE_S)
        met.release()

    for _ in range(all_there.parties):
        engine.spawn(meets)
    there = [met.acquire(timeout=PATIENCE_S) for _ in range(all_there.parties)]
    assert there == [True] * all_there.parties


class WineWaker:
    """Wakes a loop over a socket of Wine: while one send has not returned, another fails, though there is room."""

    def __init__(self, waker: socket.socket, tried: threading.Event) -> None:
        self._waker, self._tried, self._free = waker, tried, threading.Lock()
        self.returns = threading.Event()

    def send(self, data: bytes) -> int:
        if not self._free.acquire(blocking=False):
            self._tried.set()
            raise BlockingIOError
        sent = self._waker.send(data)
        assert self.returns.wait(PATIENCE_S)
        self._free.release()
        return sent

    def close(self) -> None:
        self._waker.close()


class SeenLock:
    """A lock that shows when it is wanted."""

    def __init__(self, wanted: threading.Event) -> None:
        self._lock, self._wanted = threading.Lock(), wanted

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._wanted.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_no_wake_up_is_lost_while_another_is_sent(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that send on one socket: the loop has read the first byte, and the first send has not returned."""
    loops, tried = queue.SimpleQueue[Loop](), threading.Event()

    async def finds_its_loop() -> None:
        loops.put(running())

    engine.spawn(finds_its_loop)
    loop = loops.get(timeout=PATIENCE_S)
    waker = WineWaker(loop._waker, tried)
    monkeypatch.setattr(loop, "_waker", waker)
    monkeypatch.setattr(loop, "_waking", SeenLock(tried))
    called = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=loop.call, args=(one.set,)) for one in called]
    threads[0].start()
    assert called[0].wait(PATIENCE_S)
    threads[1].start()
    assert tried.wait(PATIENCE_S)
    waker.returns.set()
    assert called[1].wait(PATIENCE_S)
    for thread in threads:
        thread.join()


def test_a_stop_ends_a_wait_and_runs_what_is_to_be_run_at_the_end() -> None:
    engine, began, ended = Engine(), threading.Event(), list[str]()

    async def waits() -> None:
        began.set()
        try:
            await running().wait()
        except ServerStops:
            ended.append("stopped")
            raise
        finally:
            ended.append("closed")

    engine.spawn(waits)
    assert began.wait(PATIENCE_S)
    engine.stop()
    assert ended == ["stopped", "closed"]
    assert own_threads() == []


def test_more_sockets_than_a_selector_takes_are_in_more_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, whose `select` takes 512."""
    monkeypatch.setattr("ollama_harness.server.engine._engine.MOST_SOCKETS", 4)
    with FakeOllama(speed=0) as server:
        server.play("generate-one-token", stall_at(after_record(1)))
        socks = [connect(server.port) for _ in range(10)]
        for sock in socks:
            sock.sendall(request("POST", "/api/generate", {}))
            assert read_exactly(sock, 15) == b"HTTP/1.1 200 OK"
        assert own_threads().count("ollama-harness engine") >= len(socks) / 4
        server.stop()
        assert own_threads() == []
        assert {entry.ended_by for entry in server.journal.entries} == {EndedBy.STOP}
        for sock in socks:
            sock.close()
        server.start()


# ------------------------------------------------------------------------------------------------ many, and the stop


def test_a_thousand_open_streams_have_no_threads_and_are_stopped_at_once() -> None:
    count = 1000
    server = FakeOllama(speed=0)
    server.start()
    server.play("generate-one-token", stall_at(after_record(1)))
    socks = [connect(server.port) for _ in range(count)]
    for sock in socks:
        sock.sendall(request("POST", "/api/generate", {}))
    assert {read_exactly(sock, 15) for sock in socks} == {b"HTTP/1.1 200 OK"}
    assert len(own_threads()) < 10
    server.stop()
    assert own_threads() == []
    assert [entry.ended_by for entry in server.journal.entries] == [EndedBy.STOP] * count
    for sock in socks:
        sock.close()


def test_stop_does_not_wait_for_a_handler_that_never_returns() -> None:
    began, ends = threading.Event(), threading.Event()

    def handler(_: object) -> Response:
        began.set()
        ends.wait(PATIENCE_S)
        return Response("too late")

    server = FakeOllama()
    server.start()
    server.expect_request("/slow").respond_with_handler(handler)
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/slow"))
        assert began.wait(PATIENCE_S)
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < PATIENCE_S / 2
        assert read_to_end(sock).data == b""
    ends.set()


def test_a_function_of_the_users_that_takes_long_keeps_no_other_client_waiting(server: FakeOllama) -> None:
    began, ends = threading.Event(), threading.Event()

    def when(_: object) -> bool:
        began.set()
        return ends.wait(PATIENCE_S)

    server.play("generate-one-token", when=when)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}, "Connection: close"))
        assert began.wait(PATIENCE_S)
        assert is_answered(server)
        ends.set()
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 200 ")


def test_equal_requests_that_come_at_once_get_equal_answers(server: FakeOllama) -> None:
    asked = request("POST", "/api/generate", {"model": "smollm2:135m", "prompt": "new"}, "Connection: close")
    socks = [connect(server.port) for _ in range(30)]
    for sock in socks:
        sock.sendall(asked)
    bodies = {read_to_end(sock).data.partition(b"\r\n\r\n")[2] for sock in socks}
    for sock in socks:
        sock.close()
    assert len(bodies) == 1
    assert b'"done":true' in bodies.pop()


# ------------------------------------------------------------------------------------------------ hostile clients


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: half a h",
        b"POST /api/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 4000,
        b"POST /api/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 600,
        request("GET", "/any") * 3000,
    ],
    ids=["half a head", "an endless extension", "endless trailers", "never reads"],
)
def test_a_client_that_is_never_done_costs_one_connection(sent: bytes, server: FakeOllama) -> None:
    large = Segment(0.0, (Raw(b"x" * 1_000_000),))
    end = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
    server.play(Script(method="GET", segments=(large,), ending=end), path="/any")
    with connect(server.port) as sock:
        sock.sendall(sent)
        assert is_answered(server)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"5;" + b"x" * 4096, "header line too long"),
        (b"0\r\n" + b"X: y\r\n" * 700, "http: suspiciously long trailer after chunked body"),
        ((b"1;" + b"x" * 1000 + b"\r\nX\r\n") * 20, "chunked encoding contains too much non-data"),
    ],
)
def test_what_is_no_data_has_a_limit(body: bytes, error: str) -> None:
    """Source: Go, net/http/internal/chunked.go, and bufio's 4096 bytes."""
    assert read_go_body(body, CHUNKED).error == error


def test_a_chunk_of_one_byte_is_legitimate() -> None:
    body = read_go_body(b"1\r\nX\r\n" * 10_000 + b"0\r\n\r\n", CHUNKED)
    assert (body.whole, len(body.data)) == (True, 10_000)


def test_what_has_been_read_of_a_body_is_not_looked_at_again() -> None:
    """So an upload takes time in proportion to its size."""
    reader, buffer, left = GoBodyReader(CHUNKED), bytearray(b"3"), list[int]()
    for _ in range(100):
        buffer += b"e8\r\n" + b"x" * 1000 + b"\r\n3"
        reader.feed(buffer)
        left.append(len(buffer))
    assert left == [1] * 100, "only of the size that is not whole"
    assert len(reader.content) == 100_000


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


BODIES = [
    b"5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nNEXT",
    b"5\r\nhello\r\nzz\r\n",
    b"5\r\nhelloX\r\n",
    b"5\nhello",
    b"0\r\nno colon\r\n\r\n",
]


@given(body=st.sampled_from(BODIES), places=st.lists(st.integers(0, 60)), ended=st.booleans())
def test_a_body_is_read_the_same_however_it_arrives(body: bytes, places: list[int], ended: bool) -> None:
    whole, reader, buffer = read_go_body(body, CHUNKED, ended=ended), GoBodyReader(CHUNKED), bytearray()
    for piece in cut(body, places):
        buffer += piece
        reader.feed(buffer)
    reader.feed(buffer, ended=ended)
    assert (reader.content, reader.whole, reader.error) == (whole.data, whole.whole, whole.error)
    assert not whole.whole or bytes(buffer) == body[whole.size :]


HEADS = [
    b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nNEXT",
    b"GET / HTTP/1.1\nHost: a\nX: y\n z\n\nNEXT",
    b"\r\n\r\nPOST /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nBad\x01: y\r\nHost: a\r\n\r\n",
]


@given(head=st.sampled_from(HEADS), places=st.lists(st.integers(0, 60)), after_post=st.booleans())
def test_a_head_is_read_the_same_however_it_arrives(head: bytes, places: list[int], after_post: bool) -> None:
    reader, data, found = GoHeadReader(after_post=after_post), b"", None
    for piece in cut(head, places):
        data += piece
        if found is None:
            found = reader.read(data)
    assert found == read_go_head(head, after_post=after_post) is not None


def test_a_long_upload_is_read(server: FakeOllama) -> None:
    content = json.dumps({"model": "none", "prompt": "x" * 4_000_000}).encode()
    chunk = b"%x\r\n%b\r\n"
    with connect(server.port) as sock:
        sock.sendall(
            b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(content), 16_000):
            sock.sendall(chunk % (len(content[start : start + 16_000]), content[start : start + 16_000]))
        sock.sendall(b"0\r\n\r\n")
        assert read_to_end(sock).data.startswith(b"HTTP/1.1 404 ")
    assert server.journal.entries[0].body == content


# ------------------------------------------------------------------------------------------------ one write


def writes(change: Callable[[Script], Script]) -> list[int]:
    """How many segments each write of a script has: three of them at one time, and then two more."""
    segments = tuple(Segment(at_s, (Raw(b"ab"),)) for at_s in (0.0, 0.0, 0.0, 0.1, 0.1))
    script = Script(method="GET", segments=segments, ending=ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.1))
    return [len(batch.segments) for batch in batches(change(script).render(date="").segments)]


def test_segments_between_which_no_time_lies_are_one_write() -> None:
    assert writes(lambda script: script) == [3, 2]
    assert writes(lambda script: script.at_speed(0)) == [5]


def test_segments_whose_boundaries_are_the_fault_are_writes_of_their_own() -> None:
    assert writes(resegment(1)) == [1] * 10


def test_a_client_that_leaves_in_the_middle_of_a_write_has_what_was_sent_whole(server: FakeOllama) -> None:
    small, large = Segment(0.0, (Raw(b"a" * 1000),)), Segment(0.0, (Raw(b"b" * 30_000_000),))
    end = ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.0)
    server.play(Script(method="GET", segments=(small, small, large), ending=end))
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/any"))
        read_exactly(sock, 3000)
    assert server.journal.wait_until_settled(timeout_s=PATIENCE_S)
    (entry,) = server.journal.entries
    assert [len(data) for _, data in entry.sent] == [1000, 1000]
    assert entry.ended_by is EndedBy.CLIENT
