"""A busy FakeOllama: requests that wait for a slot, a queue that is full, and what is answered meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from ollama_harness.cli.front import check_front
from ollama_harness.faults import after_record, close_at, reset_at, stall_at
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.server._slots import QUEUE_FULL
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import EndedBy, Entry

CHAT = json.dumps({"model": "smollm2:135m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
STALL = stall_at(after_record(1))


def sent(server: FakeOllama, path: str = "/api/chat", body: bytes = CHAT) -> socket.socket:
    """A connection with a request on it, which is in the journal by now."""
    before = len(server.journal.entries)
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    sock.sendall(
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    )
    assert server.journal.wait_for(lambda entries: len(entries) > before, timeout_s=10)
    return sock


def ask(server: FakeOllama, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()


def until(server: FakeOllama, condition: Callable[[tuple[Entry, ...]], bool]) -> None:
    assert server.journal.wait_for(condition, timeout_s=10)


@pytest.fixture
def busy() -> Iterator[FakeOllama]:
    """A server with one slot, and place for two to wait; its first answer stalls until the client leaves."""
    with FakeOllama(speed=0, parallel=1, max_queue=2) as server:
        server.play("chat-stream", STALL, times=1)
        yield server


def test_the_second_gets_no_byte_until_the_first_has_ended(busy: FakeOllama) -> None:
    first = sent(busy)
    with sent(busy) as second:
        until(busy, lambda entries: bool(entries[0].sent))
        assert ask(busy, "/api/version")[0] == 200, "what needs no model is answered meanwhile"
        assert not busy.journal.entries[1].sent
        first.close()
        assert second.recv(65536).startswith(b"HTTP/1.1 200 OK")
        until(busy, lambda entries: entries[1].ended_by is EndedBy.SERVER)
    entry = busy.journal.entries[1]
    assert 0 < entry.waited_s <= entry.sent[0][0]


@pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/ps", "/v1/models"])
def test_what_tells_only_what_there_is_does_not_wait(path: str, busy: FakeOllama) -> None:
    with sent(busy):
        assert ask(busy, path)[0] == 200


def test_a_refusal_takes_no_slot(busy: FakeOllama) -> None:
    with sent(busy):
        assert ask(busy, "/api/chat", b'{"model": "none"}')[0] == 404
        assert ask(busy, "/api/chat", b"{")[0] == 400


def test_they_come_in_their_order(busy: FakeOllama) -> None:
    with contextlib.ExitStack() as stack:
        first = sent(busy)
        others = [stack.enter_context(sent(busy)) for _ in range(2)]
        first.close()
        until(busy, lambda entries: all(one.ended_by for one in entries))
        assert all(one.recv(10).startswith(b"HTTP/1.1") for one in others)
    _, second, third = busy.journal.entries
    assert second.arrived_s + second.waited_s <= third.arrived_s + third.waited_s


def test_one_beyond_the_queue_gets_the_503_that_was_recorded(busy: FakeOllama, store: RecordingStore) -> None:
    with sent(busy), sent(busy), sent(busy):
        recorded = store.get("0.32.15/fault-queue-full")
        assert ask(busy, "/api/generate", b'{"model": "smollm2:135m", "prompt": "x"}') == (503, recorded.body)
        status, body = ask(busy, "/v1/chat/completions", CHAT)
        assert (status, json.loads(body)["error"]["message"]) == (503, QUEUE_FULL)
        entry = busy.journal.entries[-1]
        assert (entry.answered_by, entry.why) == ("queue", QUEUE_FULL)
        assert busy.journal.most_exchanges == 4


def test_a_request_that_is_refused_loads_no_model(busy: FakeOllama) -> None:
    with sent(busy), sent(busy), sent(busy):
        assert ask(busy, "/api/embed", b'{"model": "smollm2-embed:135m", "input": "x"}')[0] == 503
        assert [one["name"] for one in json.loads(ask(busy, "/api/ps")[1])["models"]] == ["smollm2:135m"]


@pytest.mark.parametrize("version", ["0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15"])
def test_the_words_are_those_of_each_version(version: str, store: RecordingStore) -> None:
    assert json.loads(store.get(f"{version}/fault-queue-full").body) == {"error": QUEUE_FULL}


def test_a_client_that_leaves_frees_its_place_and_gets_nothing(busy: FakeOllama) -> None:
    first = sent(busy)
    sent(busy).close()
    until(busy, lambda entries: entries[1].ended_by is EndedBy.CLIENT)
    assert busy.journal.entries[1].wire == b""
    with sent(busy), sent(busy) as last:  # there is place for two again
        first.close()
        assert last.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_choice_before_the_path_waits_too(busy: FakeOllama) -> None:
    first = sent(busy)
    with sent(busy, "/_/reply=Hello/api/chat") as second:
        assert ask(busy, "/api/version")[0] == 200  # what would come at once has come
        first.close()
        assert second.recv(65536).startswith(b"HTTP/1.1 200 OK")
        until(busy, lambda entries: entries[1].ended_by is EndedBy.SERVER)
    entry = busy.journal.entries[1]
    assert 0 < entry.waited_s <= entry.sent[0][0]
    assert entry.answered_by == "reply"


@pytest.mark.parametrize("fault", [close_at(after_record(1)), reset_at(after_record(1))], ids=str)
def test_an_answer_that_is_cut_gives_its_slot_back_at_once(fault: Any) -> None:
    with FakeOllama(speed=0, parallel=1, faults=[fault]) as server, sent(server), sent(server):  # both stay open
        until(server, lambda entries: len(entries) == 2 and all(one.ended_by for one in entries))
        assert server.journal.entries[1].waited_s < 0.5, "a FIN of the client's would take a second"


def test_times_of_an_answer_count_from_the_end_of_its_wait() -> None:
    with FakeOllama(gap_s=0.05, parallel=1) as server, sent(server) as first, sent(server):
        until(server, lambda entries: bool(entries[0].sent))
        first.close()
        until(server, lambda entries: entries[1].ended_by is not None)
        entry = server.journal.entries[1]
        assert entry.sent[0][0] >= entry.waited_s + 0.05
        assert entry.sent[1][0] >= entry.waited_s + 0.1


def test_a_server_that_stops_ends_what_waits(busy: FakeOllama) -> None:
    with sent(busy), sent(busy):
        busy.stop()
        assert busy.journal.entries[1].ended_by is EndedBy.STOP
        busy.start()


def test_the_most_at_once_are_counted_and_forgotten() -> None:
    with FakeOllama(speed=0, faults=[STALL]) as server:
        with sent(server), sent(server), socket.create_connection(("127.0.0.1", server.port), timeout=10) as idle:
            idle.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(10)
            assert (server.journal.most_exchanges, server.journal.most_connections) == (3, 3)
        server.journal.wait_until_settled()
        server.clear()
        assert server.journal.most_exchanges == 0


@pytest.mark.parametrize(("parallel", "max_queue"), [(0, 1), (1, -1)])
def test_numbers_that_cannot_be_are_refused(parallel: int, max_queue: int) -> None:
    with pytest.raises(ValueError, match="give 1 or more, and 0 or more"):
        FakeOllama(parallel=parallel, max_queue=max_queue)


def test_a_queue_without_slots_is_refused() -> None:
    with pytest.raises(click.UsageError, match="give --parallel 1, too"):
        check_front(tls=None, tls_ca=None, parallel=None, max_queue=3)
