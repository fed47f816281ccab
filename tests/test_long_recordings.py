"""Recordings too long for memory: whoever plays or reads them sees no difference to those that are kept."""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from itertools import chain
from pathlib import Path

import pytest
from builders import DATE, DONE, HELLO, line, recording, recordings
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import RecordingError
from ollama_harness.faults import after_record, close_at, jitter
from ollama_harness.matrix.raw_socket import connect, read_to_end, request, resets_are_real
from ollama_harness.recordings import files, meta
from ollama_harness.recordings.frames import Frame, FramesOnDisk
from ollama_harness.recordings.long_meta import read_line_by_line
from ollama_harness.recordings.recording import META_SUFFIX, Recording
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.recordings.unkept import Unkept
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.matching import Matcher
from ollama_harness.server.sent import SentSegments

ID = "1.0.0/generate-small"


def saved_long(directory: Path, records: int) -> Path:
    """The stem of a recording of so many records, of about 70 bytes each on the wire."""
    return files.save(recording(*(line(HELLO | {"n": n}) for n in range(records)), line(DONE)), directory)


def lazily(stem: Path) -> Recording:
    """The recording, left on disk however short it is."""
    return files.load(stem, id=ID, kept_bytes=0)


# ------------------------------------------------------------------------------------------------- the same values


@given(recordings(), st.sampled_from([0.0, 0.3, 1.0, 7.0]), st.none() | st.sampled_from([0.0, 0.1]))
def test_a_recording_left_on_disk_equals_one_that_is_kept(one: Recording, speed: float, gap_s: float | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stem = files.save(one, Path(folder))
        kept, long = files.load(stem, id=ID), lazily(stem)
        assert isinstance(kept.frames, tuple)
        assert isinstance(long.frames, FramesOnDisk)
        assert (kept, long) == (long, kept)
        assert hash(long.frames) == hash(kept.frames)
        assert (long.body, long.size_bytes) == (kept.body, kept.size_bytes) == (one.body, len(one.body))
        theirs, ours = (Script.from_recording(each, speed=speed, gap_s=gap_s) for each in (kept, long))
        assert isinstance(ours.segments, Unkept)
        assert len(ours.segments) == len(list(ours.segments))
        assert ours == theirs
        assert ours.render(date=DATE) == theirs.render(date=DATE)
        assert ours.render(date=DATE).wire == theirs.render(date=DATE).wire


@given(st.data())
def test_items_and_slices_are_those_of_a_tuple(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 9), max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        stem = files.save(recording(*(b"x" * size for size in sizes), media_type="text/plain"), Path(folder))
        kept, long = files.load(stem, id=ID).frames, lazily(stem).frames
        part = data.draw(st.slices(len(sizes) + 2))
        assert long[part] == kept[part]
        assert [long[i] for i in range(-len(sizes), len(sizes))] == [kept[i] for i in range(-len(sizes), len(sizes))]
        for outside in (len(sizes), -len(sizes) - 1):
            with pytest.raises(IndexError):
                long[outside]


def test_faults_strike_a_long_script_as_any_other(tmp_path: Path) -> None:
    stem = saved_long(tmp_path, 20)
    theirs, ours = Script.from_recording(files.load(stem, id=ID)), Script.from_recording(lazily(stem))
    for fault in (close_at(after_record(7)), jitter(0.1, 3)):
        assert fault(ours) == fault(theirs)


def test_a_hand_written_body_can_be_long(tmp_path: Path) -> None:
    (tmp_path / "generate-mine.ndjson").write_bytes(line(HELLO) * 3 + line(DONE).rstrip())
    stem = tmp_path / "generate-mine"
    assert lazily(stem) == files.load(stem, id=ID)


def test_two_walks_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    frames = lazily(saved_long(tmp_path, 50)).frames
    pairs = zip(frames, chain([Frame(at_s=0.0, data=b"")], frames), strict=False)
    assert [one for one, _ in pairs] == list(frames)


def test_the_library_leaves_only_long_recordings_on_disk(tmp_path: Path) -> None:
    stem = saved_long(tmp_path / "1.0.0", 20_000)
    files.save(recording(line(DONE), id="1.0.0/generate-short"), tmp_path / "1.0.0")
    store = RecordingStore(tmp_path)
    assert isinstance(store.get(f"1.0.0/{stem.name}").frames, FramesOnDisk)
    assert isinstance(store.get("1.0.0/generate-short").frames, tuple)


# ------------------------------------------------------------------------------------------------- the meta file


@given(recordings(), st.data())
def test_a_meta_file_read_line_by_line_says_what_json_says(one: Recording, data: st.DataObject) -> None:
    """Whatever somebody has typed into it: it says the same, or it is left to json."""
    text = meta.dump(one).encode()
    start = data.draw(st.integers(0, len(text)))
    typed = data.draw(st.sampled_from([b"", b",", b"]", b"[", b"\r\n", b"\f", b"0", b"-", b'"', b' "frames": [\n']))
    text = text[:start] + typed + text[start + data.draw(st.integers(0, 3)) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.meta.json"
        path.write_bytes(text)
        found = read_line_by_line(path)
    if found is not None:
        assert {**found, "frames": [list(pair) for pair in found["frames"]]} == json.loads(text)


def test_a_meta_file_as_it_is_saved_is_read_line_by_line_also_with_the_line_ends_of_windows(tmp_path: Path) -> None:
    path = saved_long(tmp_path, 3).with_name(f"generate-small{META_SUFFIX}")
    assert read_line_by_line(path) is not None
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_line_by_line(path) is not None


@pytest.mark.parametrize("indent", [None, 0, 4])
def test_a_meta_file_may_be_laid_out_otherwise(indent: int | None, tmp_path: Path) -> None:
    stem = saved_long(tmp_path, 5)
    kept, path = files.load(stem, id=ID), stem.with_name(stem.name + META_SUFFIX)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=indent), encoding="utf-8")
    assert lazily(stem) == kept


def test_frames_inside_the_request_are_not_taken_for_the_recordings(tmp_path: Path) -> None:
    one = recording(line(HELLO), line(DONE), request_json={"frames": [[1, 2], [3, 4]]})
    assert lazily(files.save(one, tmp_path)) == one


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"[0.2, ", b"[0.05, ", r"frames\[0\]: time goes backwards"),
        (b"[0.2, 5", b"[0.2, 4", "sizes add up to"),
        (b"[0.2, ", b"[-0.2, ", r"frames\[0\]: is \[-0.2"),
        (b"[0.2, ", b"[1e999, ", r"frames\[0\]: is \[Infinity"),
        (b"[0.2, ", b"0.2, ", "is no JSON"),
    ],
)
def test_defects_of_a_long_recording_are_found_as_in_any(old: bytes, new: bytes, problem: str, tmp_path: Path) -> None:
    stem = saved_long(tmp_path, 5)
    path = stem.with_name(stem.name + META_SUFFIX)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(RecordingError, match=problem):
        lazily(stem)


def test_a_line_of_a_long_body_that_is_no_json_is_named(tmp_path: Path) -> None:
    stem = files.save(recording(line(HELLO), b"{\n", line(DONE)), tmp_path)
    with pytest.raises(RecordingError, match=r"ndjson: line 2: is no JSON"):
        lazily(stem)


# ------------------------------------------------------------------------------------------------- played


def test_a_long_recording_comes_byte_for_byte_and_the_journal_has_all_of_it(tmp_path: Path) -> None:
    long = files.load(saved_long(tmp_path, 20_000), id=ID)
    assert isinstance(long.frames, FramesOnDisk)
    with FakeOllama(version=None, speed=0) as server:
        script = server.play(long)
        for number in (1, 2):
            with connect(server.port) as sock:
                sock.sendall(request("POST", "/api/generate", {}, "Connection: close"))
                seen = read_to_end(sock)
            assert server.journal.wait_until_settled()
            entry = server.journal.entries[-1]
            assert len(server.journal.entries) == number
            planned = script.render(date=entry.date)
            assert seen.data == planned.wire == entry.wire
            assert seen.data.endswith(b"\r\n0\r\n\r\n")
            assert [data for _, data in entry.sent] == [segment.data for segment in planned.segments]
            times = [at_s for at_s, _ in entry.sent]
            assert times == sorted(times)


def test_a_body_that_is_changed_under_a_play_breaks_it_off(tmp_path: Path) -> None:
    stem = saved_long(tmp_path, 5)
    body = stem.with_name(stem.name + ".ndjson")
    with FakeOllama(version=None, speed=0) as server:
        server.play(lazily(stem))
        os.utime(body, ns=(0, 0))
        with connect(server.port) as sock:
            sock.sendall(request("POST", "/api/generate", {}))
            assert read_to_end(sock).end == "rst" or not resets_are_real()
        assert server.journal.wait_until_settled()
        (entry,) = server.journal.entries
        assert entry.ended is ConnectionEnd.RESET
        assert "generate-small.ndjson: has changed since it was loaded" in entry.why


def test_a_body_that_is_gone_is_one_clear_sentence(tmp_path: Path) -> None:
    stem = saved_long(tmp_path, 5)
    long = lazily(stem)
    stem.with_name(stem.name + ".ndjson").unlink()
    with pytest.raises(RecordingError, match=r"ndjson: cannot be read: .*; leave the file"):
        _ = long.body


def test_nothing_of_a_long_recording_stays_in_memory(tmp_path: Path) -> None:
    stem = saved_long(tmp_path, 20_000)
    tracemalloc.start()
    try:
        long = files.load(stem, id=ID)
        matcher, script = Matcher([long]), Script.from_recording(long, gap_s=0.1)
        sent = SentSegments()
        for segment in script.render(date=DATE).segments:
            sent.append((segment.at_s, segment.data))
        matcher.match(long.request)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sent) == len(script.segments) == 20_003
    # Besides what `SentSegments` keeps: 16 bytes a frame while the meta file is read, 16 each for frames, segments.
    assert peak_bytes < 4_000_000, "the recording, its script, its segments and what was sent would take 15 MB"


# ------------------------------------------------------------------------------------------------- what was sent

segments = st.tuples(st.floats(0, 10), st.binary(max_size=300))


@given(st.lists(segments, max_size=20), st.integers(0, 2000), st.sets(st.integers(0, 20)))
def test_what_was_sent_is_the_same_in_memory_and_in_a_file(
    added: list[tuple[float, bytes]], kept_bytes: int, read_after: set[int]
) -> None:
    """Also when it is read between one segment and the next."""
    sent = SentSegments(kept_bytes=kept_bytes)
    for index, segment in enumerate(added, 1):
        sent.append(segment)
        if index in read_after:
            assert list(sent) == added[:index]
            assert sent[-1] == segment
    assert sent == added
    assert [sent[i] for i in range(len(added))] == added
    assert sent[1:5] == tuple(added[1:5])
    assert bool(sent) is bool(added)
