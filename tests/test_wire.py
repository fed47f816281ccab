"""What the server really puts on the wire, read by a raw socket: bytes, order, and how the connection ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ollama_harness.faults import after_record, close_at, delay_first_byte, slow_records
from ollama_harness.matrix._raw_socket import connect, leave_and_read, read_exactly, read_to_end, request
from ollama_harness.recordings.recording import RecordedEnd
from ollama_harness.recordings.store import RecordingStore, packaged_store
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server.fake_ollama import FakeOllama

NEWEST = packaged_store().newest


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(server: FakeOllama) -> None:
    server.clear()


def planned(script: Script, server: FakeOllama) -> bytes:
    """The bytes that the script stands for, with the Date that the server put into the head."""
    return script.render(date=server.journal.entries[-1].date).wire


def test_the_head_is_ollamas_and_the_body_is_the_recordings(server: FakeOllama, store: RecordingStore) -> None:
    """Literally, once: so that renderer and test cannot be wrong in the same way."""
    server.play("generate-one-token")
    first, last = store.get(f"{NEWEST}/generate-one-token").body.splitlines(keepends=True)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {"model": "any"}, "Connection: close"))
        seen = read_to_end(sock)
    date = server.journal.entries[-1].date.encode()
    assert seen.data == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nDate: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (date, len(first), first, len(last), last)
    )
    assert len(server.journal.entries[-1].sent) == 3, "head and first record, last record, last chunk"


@pytest.mark.parametrize("n", [1, 2, 17])
def test_a_cut_comes_after_exactly_so_many_records(n: int, server: FakeOllama, store: RecordingStore) -> None:
    server.play("generate-stream", close_at(after_record(n)))
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        seen = read_to_end(sock)
    assert seen.data.count(b'"done":') == n
    assert not seen.data.endswith(b"0\r\n\r\n")
    assert seen.end == "fin"


def test_half_close_leaves_the_servers_ear_open(server: FakeOllama, store: RecordingStore) -> None:
    from dataclasses import replace

    whole = Script.from_recording(store.get(f"{NEWEST}/generate-one-token"), speed=0)
    script = replace(whole, ending=replace(whole.ending, how=ConnectionEnd.HALF_CLOSE))
    server.play(script, path="/half")
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/half", {}))
        assert read_to_end(sock).end == "fin"
        sock.sendall(b"still here")  # a full close would answer this with an RST
        assert leave_and_read(sock).end == "fin"


def test_a_recorded_eof_is_played_as_a_fin(server: FakeOllama, store: RecordingStore) -> None:
    recording = store.get(f"{NEWEST}/fault-server-killed-chat")
    assert recording.ended is RecordedEnd.EOF
    script = server.play(recording)
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/chat", {}))
        seen = read_to_end(sock)
    assert seen.end == "fin"
    assert seen.data == planned(script, server)


def test_one_connection_serves_many_requests(server: FakeOllama) -> None:
    script = server.play("generate-one-token")
    with connect(server.port) as sock:
        for _ in range(5):
            sock.sendall(request("POST", "/api/generate", {}))
            size = len(script.render(date="Thu, 01 Jan 1970 00:00:00 GMT").wire)
            assert read_exactly(sock, size).endswith(b"0\r\n\r\n")
    entries = server.journal.entries
    assert [(entry.connection, entry.index) for entry in entries] == [(entries[0].connection, i) for i in range(1, 6)]


def test_pipelined_requests_are_answered_in_order(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/api/version") + request("GET", "/") + request("GET", "/api/version"))
        sock.shutdown(1)
        seen = read_to_end(sock)
    assert seen.data.index(b'{"version"') < seen.data.index(b"Ollama is running") < seen.data.rindex(b'{"version"')


def test_connection_close_is_honoured(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(request("GET", "/api/version", None, "Connection: close"))
        seen = read_to_end(sock)
    assert seen.data.endswith(b'{"version":"0.32.15"}')
    assert seen.end == "fin"


def test_the_first_byte_waits_as_long_as_the_script_says(server: FakeOllama) -> None:
    server.play("generate-one-token", delay_first_byte(0.2))
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        read_exactly(sock, 1)
    assert server.journal.wait_until_settled()
    assert server.journal.entries[-1].sent[0][0] >= 0.2


def test_segments_never_leave_early_and_lateness_never_adds_up(server: FakeOllama) -> None:
    script = server.play("generate-stream", slow_records(0.01))
    with connect(server.port) as sock:
        sock.sendall(request("POST", "/api/generate", {}))
        read_exactly(sock, len(script.render(date="Thu, 01 Jan 1970 00:00:00 GMT").wire))
    assert server.journal.wait_until_settled()
    sent = [at_s for at_s, _ in server.journal.entries[-1].sent]
    due = [segment.at_s for segment in script.render(date="").segments]
    assert all(really >= planned for really, planned in zip(sent, due, strict=True))
