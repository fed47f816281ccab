"""Long recordings: they are played and read like any other, and need about three times their size in memory."""

from __future__ import annotations

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import DATE, DONE, HELLO, line, recording, recordings
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness import FakeOllama, RecordingStore
from ollama_harness.errors import RecordingError, RecordingTooLong
from ollama_harness.faults.definition import FAULTS, Fault, FaultKind
from ollama_harness.matrix._raw_socket import connect, read_to_end, request
from ollama_harness.recorder import Probe, record
from ollama_harness.recordings import _meta
from ollama_harness.recordings import draft as recording_draft
from ollama_harness.recordings import on_disk as recording_files
from ollama_harness.recordings.lazy import Lazy, mapped
from ollama_harness.recordings.recording import META_SUFFIX, Recording, Request
from ollama_harness.script.script import Script
from ollama_harness.server.journal import SentSegments

pytestmark = pytest.mark.same_on_each_python

ID = "1.0.0/generate-small"
PROBE = Probe(name="generate-long", request=Request(method="POST", path="/api/generate", json={}))
VERSION = Probe(name="version", request=Request(method="GET", path="/api/version"))
RECORD = line({**HELLO, "padding": ""})[:-3].ljust(125, b"x") + b'"}\n'


def lazily(one: Recording) -> Recording:
    """The same recording with frames that are made when they are asked for."""
    return replace(one, frames=Lazy(len(one.frames), one.frames.__getitem__))


# ------------------------------------------------------------------------------------------------- the same values


@given(st.lists(st.integers(), max_size=6), st.data())
def test_a_lazy_sequence_is_used_as_a_tuple(items: list[int], data: st.DataObject) -> None:
    lazy, kept = Lazy(len(items), items.__getitem__), tuple(items)
    assert (lazy, kept) == (kept, lazy)
    assert lazy != (*kept, 0)
    assert lazy != (*kept[:-1], None)
    assert list(lazy) == items
    assert [lazy[i] for i in range(-len(items), len(items))] == [kept[i] for i in range(-len(items), len(items))]
    part = data.draw(st.slices(len(items) + 2))
    assert lazy[part] == kept[part]
    for outside in (len(items), -len(items) - 1):
        with pytest.raises(IndexError):
            lazy[outside]


def test_mapped_lazy_items_are_lazy_and_a_mapped_tuple_is_a_tuple() -> None:
    made = list[int]()
    lazy = mapped(lambda index, item: made.append(index) or item * 10, Lazy(3, lambda index: index))
    assert not made
    assert lazy[2] == 20
    assert made == [2]
    assert mapped(lambda index, item: index + item, (1, 2)) == (1, 3)


@given(recordings(), st.sampled_from([0.0, 0.3, 1.0, 7.0]), st.none() | st.sampled_from([0.0, 0.1]))
def test_the_script_of_lazy_frames_is_lazy_and_the_same(one: Recording, speed: float, gap_s: float | None) -> None:
    assert lazily(one) == one
    ours, theirs = (Script.from_recording(each, speed=speed, gap_s=gap_s) for each in (lazily(one), one))
    assert isinstance(ours.segments, Lazy)
    assert ours == theirs
    assert isinstance(ours.render(date=DATE).segments, Lazy)
    assert ours.render(date=DATE) == theirs.render(date=DATE)
    assert ours.render(date=DATE).wire == theirs.render(date=DATE).wire


@pytest.mark.parametrize("kind", [kind for kind in FAULTS.values() if not kind.plays], ids=lambda kind: kind.name)
def test_faults_strike_a_lazy_script_as_any_other(kind: FaultKind[Fault]) -> None:
    one = recording(*(line(HELLO | {"n": n}) for n in range(20)), line(DONE))
    ours, theirs = (Script.from_recording(each, speed=0) for each in (lazily(one), one))
    fault = kind.make(*kind.example)
    assert fault(ours) == fault(theirs)


@pytest.mark.parametrize("with_meta", [True, False])
def test_frames_are_lazy_where_there_are_many(with_meta: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stem = recording_files.save(recording(line(HELLO), line(HELLO), line(DONE).rstrip()), tmp_path)
    if not with_meta:
        stem.with_name(stem.name + META_SUFFIX).unlink()
    monkeypatch.setattr(_meta, "MANY_FRAMES", 3)
    kept = recording_files.load(stem, id=ID)
    assert isinstance(kept.frames, tuple)
    monkeypatch.setattr(_meta, "MANY_FRAMES", 2)
    long = recording_files.load(stem, id=ID)
    assert isinstance(long.frames, Lazy)
    assert long == kept
    assert (long.body, long.size_bytes) == (kept.body, len(kept.body))


@given(st.lists(st.tuples(st.floats(0, 10), st.binary(max_size=9)), max_size=9))
def test_what_was_sent_can_be_read_between_one_segment_and_the_next(added: list[tuple[float, bytes]]) -> None:
    sent = SentSegments()
    assert not sent
    for index, segment in enumerate(added, 1):
        sent.append(segment)
        assert list(sent) == added[:index]
        assert sent[-1] == segment
    assert sent == added
    assert sent[1:5] == tuple(added[1:5])
    assert all(ours is theirs for (_, ours), (_, theirs) in zip(sent, added, strict=True)), "no copies"


def test_a_long_recording_comes_byte_for_byte_and_the_journal_has_all_of_it(tmp_path: Path) -> None:
    count = _meta.MANY_FRAMES
    one = recording(*(line(HELLO | {"n": n}) for n in range(count)), line(DONE))
    long = recording_files.load(recording_files.save(one, tmp_path), id=ID)
    assert isinstance(long.frames, Lazy)
    with FakeOllama(version=None, speed=0) as server:
        script = server.play(long)
        for number in (1, 2):
            with connect(server.port) as sock:
                sock.sendall(request("POST", "/api/generate", {}, "Connection: close"))
                seen = read_to_end(sock)
            assert server.journal.wait_until_settled()
            assert len(server.journal.entries) == number
            entry = server.journal.entries[-1]
            planned = script.render(date=entry.date)
            assert seen.data == planned.wire == entry.wire
            assert seen.data.endswith(b"\r\n0\r\n\r\n")
            assert len(entry.sent) == count + 3
            assert [data for _, data in entry.sent] == [segment.data for segment in planned.segments]
            times = [at_s for at_s, _ in entry.sent]
            assert times == sorted(times)


# ------------------------------------------------------------------------------------------------- how long it may be


def test_a_recording_that_is_too_long_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stem = recording_files.save(recording(line(HELLO), line(DONE)), tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    monkeypatch.setattr(recording_draft, "MAX_BYTES", size)
    assert recording_files.load(stem, id=ID).size_bytes < size
    meta = stem.with_name(stem.name + META_SUFFIX)
    meta.write_bytes(b"?" * (meta.stat().st_size + 1))  # no JSON, if it were read
    problem = rf"generate-small\.ndjson: is longer than a recording may be: {size / 1e6:g} MB, both files"
    with pytest.raises(RecordingTooLong, match=problem):
        recording_files.load(stem, id=ID)


def test_a_hand_written_body_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "generate-mine.ndjson").write_bytes(line(HELLO) * 3)
    monkeypatch.setattr(recording_draft, "MAX_BYTES", len(line(HELLO)) * 3 - 1)
    with pytest.raises(RecordingTooLong, match=r"generate-mine\.ndjson: is longer"):
        recording_files.load(tmp_path / "generate-mine", id=ID)


@pytest.mark.parametrize("frames", [(b"x" * 4000,), (b"x",) * 126, (b"x" * 3900,)])
def test_what_would_be_too_long_to_load_is_not_saved(
    frames: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body alone, the frames alone, or what else stands in the meta file."""
    one = recording(*frames, media_type="text/plain")
    before = recording_files.save(recording(line(DONE)), tmp_path)
    there = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(recording_draft, "MAX_BYTES", 3999)
    with pytest.raises(
        RecordingTooLong, match=r"a recording may be: 0.003999 MB, both files together; record a shorter answer"
    ):
        recording_files.save(one, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == there
    assert recording_files.load(before, id=ID).frames


def test_the_library_names_the_recording_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_files.save(recording(line(DONE)), tmp_path / "1.0.0")
    monkeypatch.setattr(recording_draft, "MAX_BYTES", 10)
    with pytest.raises(RecordingError, match=r"generate-small\.ndjson: is longer than a recording may be: 1e-05 MB"):
        RecordingStore(tmp_path).of_version("1.0.0")


# ------------------------------------------------------------------------------------------------- recorded


class Streams:
    """A server that answers GET with a version, and POST with a stream of `size_bytes`, in chunks with this data."""

    def __init__(self, data: bytes, size_bytes: int) -> None:
        self._chunk, self._count = b"%x\r\n%b\r\n" % (len(data), data), size_bytes // len(data)
        self.sent_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Streams:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()  # wakes accept
        self._thread.join()
        self._listener.close()

    _closing = False

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock, contextlib.suppress(ConnectionError):  # the recorder may leave
                if self._closing:
                    return
                self._answer(sock, sock.recv(65536))

    def _answer(self, sock: socket.socket, asked: bytes) -> None:
        if asked.startswith(b"GET "):
            body = b'{"version":"1.0.0"}'
            fields = b"Content-Type: application/json\r\nContent-Length: %d" % len(body)
            sock.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (fields, body))
            return
        fields = b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked"
        sock.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % fields)
        for start in range(0, self._count, 500):
            some = self._chunk * min(500, self._count - start)
            for at in range(0, len(some), 65536):  # Windows may accept a write of any size at once
                sock.sendall(some[at : at + 65536])
                self.sent_bytes += len(some[at : at + 65536])
        sock.sendall(b"0\r\n\r\n")


@pytest.mark.parametrize("chunk", [RECORD, b"\n", b"x" * 20_000_000], ids=["records", "tiny chunks", "one chunk"])
def test_the_recorder_breaks_off_an_answer_that_becomes_too_long(
    chunk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither reads to the end nor leaves anything, and goes on with the next probe."""
    monkeypatch.setattr(recording_draft, "MAX_BYTES", 100_000)
    with Streams(chunk, 20_000_000) as server:
        take = record(server.url, [PROBE, VERSION], tmp_path)
    assert server.sent_bytes < 20_000_000
    (failure,) = take.failures
    assert failure.name == "generate-long"
    assert failure.why.endswith(
        "is longer than a recording may be: 0.1 MB, both files together; record a shorter answer"
    )
    assert sorted(path.name for path in take.folder.iterdir()) == ["version.json", "version.meta.json"]


def test_a_long_stream_is_recorded_and_played_within_three_times_its_size(tmp_path: Path) -> None:
    size_bytes = 2_000_000
    with Streams(RECORD, size_bytes) as streams, traced(most_bytes=3 * size_bytes):
        take = record(streams.url, [PROBE], tmp_path)
    assert take.failures == ()
    with traced(most_bytes=3 * size_bytes), FakeOllama(store=RecordingStore(tmp_path), speed=0) as server:
        server.play(take.ids[0])
        with connect(server.port) as sock:
            sock.sendall(request("POST", "/api/generate", {}, "Connection: close"))
            seen_bytes = sum(iter(lambda: sock.recv_into(bytearray(65536)), 0))
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert sum(len(data) for _, data in entry.sent) == seen_bytes > size_bytes * 0.99


@contextlib.contextmanager
def traced(*, most_bytes: int) -> Iterator[None]:
    """Fails if Python uses more memory than this meanwhile."""
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < most_bytes
