from __future__ import annotations

import errno
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from builders import DONE, HELLO, JSON, SSE, TEXT, line, recording, recordings
from hypothesis import given

from ollama_harness.errors import RecordingError
from ollama_harness.recordings import _meta, draft
from ollama_harness.recordings import on_disk as recording_files
from ollama_harness.recordings.recording import META_SUFFIX, RecordedEnd, Recording
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_on_each_python

ID = "1.0.0/generate-small"
LIBRARY = packaged_store()
#: When saved, these differ from their files only in how a tiny float is written (7e-05, not 0.00007).
LAID_OUT_OTHERWISE = 6

Meta = dict[str, Any]


def small() -> Recording:
    return recording(line(HELLO), line(DONE), request_json={"model": "m"})


def defect(stem: Path) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        recording_files.load(stem, id=ID)
    return caught.value


def edited(directory: Path, edit: Callable[[Meta], Any], one: Recording | None = None) -> Path:
    """The stem of a recording whose meta file was edited by hand."""
    stem = recording_files.save(one or small(), directory)
    path = stem.with_name(stem.name + META_SUFFIX)
    meta = json.loads(path.read_bytes())
    edit(meta)
    path.write_text(json.dumps(meta), encoding="utf-8")
    return stem


def setting(field: str, value: Any) -> Callable[[Meta], None]:
    """An edit that sets a field, dotted; an index in brackets goes into a list."""

    def edit(meta: Meta) -> None:
        *path, last = field.replace("[", ".").replace("]", "").split(".")
        at: Any = meta
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at[part]
        at[int(last) if isinstance(at, list) else last] = value

    return edit


def removing(field: str) -> Callable[[Meta], None]:
    def edit(meta: Meta) -> None:
        *path, last = field.split(".")
        at = meta
        for part in path:
            at = at[part]
        del at[last]

    return edit


# ------------------------------------------------------------------------------------------------- round trip


@given(recordings())
def test_what_is_saved_is_what_is_loaded(one: Recording) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stem = recording_files.save(one, directory)
        loaded = recording_files.load(stem, id=ID)
        assert loaded == one
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
        assert len(files) == 2
        recording_files.save(loaded, directory)
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == files


@pytest.mark.parametrize(
    ("media_type", "suffix"),
    [
        ("application/x-ndjson", "ndjson"),
        (JSON, "json"),
        (SSE, "sse"),
        (TEXT, "txt"),
        ("text/html", "bin"),
        ("", "bin"),
    ],
)
def test_the_content_type_names_the_body(tmp_path: Path, media_type: str, suffix: str) -> None:
    one = recording(b"{}\n", media_type=media_type)
    recording_files.save(one, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"generate-small.{suffix}", "generate-small.meta.json"]
    )


def test_the_body_on_disk_is_the_body_and_nothing_else(tmp_path: Path) -> None:
    stem = recording_files.save(recording(b'{"a":"\r\xc2\x85"}\r\n', b"{}\n"), tmp_path)
    assert stem.with_name("generate-small.ndjson").read_bytes() == b'{"a":"\r\xc2\x85"}\r\n{}\n'


def test_the_body_of_an_older_recording_does_not_stay(tmp_path: Path) -> None:
    recording_files.save(small(), tmp_path)
    stem = recording_files.save(recording(b"{}", media_type=JSON), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generate-small.json", "generate-small.meta.json"]
    assert recording_files.load(stem, id=ID).body == b"{}"


def test_saving_makes_the_directory_and_leaves_the_neighbours(tmp_path: Path) -> None:
    directory = tmp_path / "1.0.0" / "deep"
    for name in ("generate-small", "generate-small-2"):
        recording_files.save(replace(small(), id=f"1.0.0/{name}"), directory)
    assert len(list(directory.iterdir())) == 4


def test_every_recording_is_saved_as_it_is(tmp_path: Path) -> None:
    version = LIBRARY.newest
    assert LIBRARY.of_version(version)
    for one in LIBRARY.of_version(version):
        stem = recording_files.save(one, tmp_path)
        for path in (stem.with_name(stem.name + suffix) for suffix in (META_SUFFIX, one.suffix)):
            there, saved = (LIBRARY.root / version / path.name).read_bytes(), path.read_bytes()
            assert saved == there or (path.name.endswith(META_SUFFIX) and json.loads(saved) == json.loads(there))


def test_every_meta_file_says_what_it_said_and_nearly_every_one_in_the_same_bytes() -> None:
    laid_out_otherwise = 0
    assert LIBRARY.ids
    for id_ in LIBRARY.ids:
        there, saved = (
            (LIBRARY.root / f"{id_}{META_SUFFIX}").read_bytes(),
            _meta.dump(LIBRARY.get(id_)).encode(),
        )
        if saved != there:
            laid_out_otherwise += 1
            assert json.loads(saved) == json.loads(there), id_
    assert laid_out_otherwise <= LAID_OUT_OTHERWISE


@given(recordings())
def test_a_meta_file_in_pieces_is_the_whole_one(one: Recording) -> None:
    sizes = [[frame.at_s, len(frame.data)] for frame in one.frames]
    text = _meta.dump(one)
    assert "".join(_meta.pieces(replace(one, frames=()), ((at_s, size) for at_s, size in sizes))) == text
    # As if it were laid out at once: what has been written so far must go on being what is written.
    meta = json.loads(text)
    assert meta["frames"] == sizes
    assert _meta.escape_surrogates(_meta._indented(meta, 0)) + "\n" == text


class _FullDisk(io.BytesIO):
    """A file on a disk with room for 100 bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = recording_files.save(small(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def create(path: Path) -> IO[bytes]:
        path.touch()
        return _FullDisk()

    monkeypatch.setattr(draft, "_create", create)
    for one in (replace(small(), frames=()), recording(b"x" * 200)):  # no room for the meta file; or for the body
        with pytest.raises(RecordingError, match="cannot be written: No space left on device; make room"):
            recording_files.save(one, tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert recording_files.load(stem, id=ID) == small()


def test_an_interrupt_between_the_two_moves_leaves_both_or_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves, replace_ = list[Path](), Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        moves.append(target)
        if len(moves) == 2:
            raise KeyboardInterrupt
        return replace_(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recording_files.save(small(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generate-small.meta.json", "generate-small.ndjson"]
    assert recording_files.load(tmp_path / "generate-small", id=ID) == small()


def test_a_meta_file_keeps_pairs_on_one_line(tmp_path: Path) -> None:
    stem = recording_files.save(small(), tmp_path)
    lines = [one.strip() for one in stem.with_name(stem.name + META_SUFFIX).read_text("utf-8").split("\n")]
    assert '["Content-Type", "application/x-ndjson"],' in lines
    assert f"[{0.1 * 2}, {len(line(HELLO))}]," in lines
    assert lines[-2:] == ["}", ""]


# ---------------------------------------------------------------------------------------------------- defects


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        *((removing(name), name) for name in ("format", "ollama_version", "recorded_at", "platform")),
        *((removing(name), name) for name in ("request", "response", "frames", "end", "ended_at")),
        *((removing(f"request.{name}"), f"request.{name}") for name in ("method", "path")),
        *((removing(f"response.{name}"), f"response.{name}") for name in ("status", "reason", "headers", "head_at")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_field_is_named(tmp_path: Path, edit: Callable[[Meta], None], field: str) -> None:
    error = defect(edited(tmp_path, edit))
    assert (error.path, error.field, error.problem) == (tmp_path / "generate-small.meta.json", field, "is missing")
    assert str(error).startswith(f"{error.path}: {field}: is missing; add it")


@pytest.mark.parametrize("field", ["colour", "request.colour", "response.colour"])
def test_an_unknown_field_is_named_at_every_level(tmp_path: Path, field: str) -> None:
    error = defect(edited(tmp_path, setting(field, 1)))
    assert (error.path.name, error.field) == ("generate-small.meta.json", field)
    assert "the fields are" in error.fix


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("format", value) for value in ("1", True, 1.0, None, 0, 2)),
        ("ollama_version", 5),
        ("recorded_at", 5),
        ("recorded_at", "yesterday"),
        ("recorded_at", ""),
        ("platform", None),
        ("note", 1),
        ("note", None),
        ("request", []),
        ("request.method", "get"),
        ("request.method", ""),
        ("request.method", "A B"),
        ("request.method", 1),
        ("request.path", "api"),
        ("request.path", None),
        ("request.json", None),
        ("request.body", 1),
        ("request.headers", {}),
        ("request.headers", [["a"]]),
        ("request.headers", [["a", 1]]),
        ("request.headers", ["ab"]),
        ("response", "200"),
        *(("response.status", value) for value in ("200", 99, 1000, True, 200.0)),
        ("response.reason", None),
        ("response.headers", None),
        ("response.headers", [["a", "b", "c"]]),
        *(("response.head_at", value) for value in (-0.1, "0", True, None)),
        ("frames", {}),
        *(("frames[1]", value) for value in ([0.3], [0.3, 0], [0.3, -1], [0.3, 1.0], [True, 5], ["0.3", 5], 5, None)),
        ("frames[0]", [0.2, 5, 5]),
        *(("end", value) for value in ("fin", None, 1, ["eof"])),
        *(("ended_at", value) for value in (-1, "1", None, False)),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)
def test_a_wrong_value_is_named(tmp_path: Path, field: str, value: Any) -> None:
    error = defect(edited(tmp_path, setting(field, value)))
    assert (error.path.name, error.field) == ("generate-small.meta.json", field)
    assert error.fix


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_time_that_is_no_number_is_named(tmp_path: Path, value: str) -> None:
    stem = recording_files.save(small(), tmp_path)
    path = stem.with_name(stem.name + META_SUFFIX)
    path.write_text(path.read_text("utf-8").replace('"head_at": 0.1', f'"head_at": {value}'), encoding="utf-8")
    assert defect(stem).field == "response.head_at"


def test_the_error_for_a_later_format_names_the_format(tmp_path: Path) -> None:
    assert "reads format 1 only" in str(defect(edited(tmp_path, setting("format", 2))))


def test_a_request_has_json_or_a_body_and_not_both(tmp_path: Path) -> None:
    error = defect(edited(tmp_path, setting("request.body", "{}")))
    assert (error.field, error.problem) == ("request.body", "stands beside json")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("response.head_at", 0.25, "frames[0]"),
        ("frames[0]", [0.35, len(line(HELLO))], "frames[1]"),
        ("ended_at", 0.25, "ended_at"),
    ],
)
def test_time_does_not_go_backwards(tmp_path: Path, field: str, value: Any, named: str) -> None:
    error = defect(edited(tmp_path, setting(field, value)))
    assert error.field == named
    assert "time goes backwards" in error.problem


def test_an_end_before_the_head_is_named_when_there_are_no_frames(tmp_path: Path) -> None:
    one = recording(headers=(("Content-Length", "0"),))
    assert defect(edited(tmp_path, setting("ended_at", 0.05), one)).field == "ended_at"


@pytest.mark.parametrize("by", [-1, 1])
def test_sizes_that_do_not_add_up_are_named(tmp_path: Path, by: int) -> None:
    error = defect(edited(tmp_path, setting("frames[1]", [0.3, len(line(DONE)) + by])))
    assert error.field == "frames"
    assert error.problem == (f"sizes add up to {len(small().body) + by} bytes, the body has {len(small().body)}")


def test_a_content_length_that_differs_is_named(tmp_path: Path) -> None:
    stem = recording_files.save(recording(b"{}", headers=(("Content-Type", JSON), ("content-length", "3"))), tmp_path)
    error = defect(stem)
    assert (error.path.name, error.field) == ("generate-small.meta.json", "response.headers.Content-Length")
    assert error.problem == "is 3, the body has 2 bytes"


@pytest.mark.parametrize("changes", [{"method": "HEAD"}, {"ended": RecordedEnd.EOF}, {"ended": RecordedEnd.TIMEOUT}])
def test_a_content_length_may_differ_where_the_body_is_not_sent_or_not_whole(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    one = recording(headers=(("Content-Length", "7"),), **changes)
    assert recording_files.load(recording_files.save(one, tmp_path), id=ID) == one


def test_a_body_of_another_kind_than_the_head_says_is_named(tmp_path: Path) -> None:
    stem = recording_files.save(small(), tmp_path)
    body = stem.with_name("generate-small.ndjson")
    body.rename(stem.with_name("generate-small.txt"))
    error = defect(stem)
    assert error.path.name == "generate-small.txt"
    assert error.fix == "rename the body to generate-small.ndjson"


@pytest.mark.parametrize(
    ("body", "number"),
    [(b'{"a":1}\n{"a":\n', 2), (b"{}\n\n\nx\n", 2), (b"NaN\n", 1), (b'"\xff"\n', 1), (b"{}\x85{}\n", 1)],
)
def test_a_line_of_the_body_that_is_no_json_is_found(tmp_path: Path, body: bytes, number: int) -> None:
    """It can be played nevertheless: a server may have sent it."""
    one = recording_files.load(recording_files.save(recording(body), tmp_path), id=ID)
    assert (one.body, recording_files.not_json(one)) == (body, [number])


def test_a_json_body_that_is_no_json_is_found() -> None:
    assert recording_files.not_json(recording(b"{", media_type=JSON)) == [1]
    assert recording_files.not_json(recording(b"{}", media_type=JSON)) == []


def test_a_body_of_ones_own_may_hold_anything() -> None:
    own = recording(b"{", any_content=True)
    assert recording_files.not_json(own) == []


@pytest.mark.parametrize("ended", [RecordedEnd.EOF, RecordedEnd.RESET, RecordedEnd.TIMEOUT])
def test_half_a_record_is_fine_where_the_stream_was_cut(tmp_path: Path, ended: RecordedEnd) -> None:
    one = recording(line(HELLO), b'{"resp', ended=ended)
    loaded = recording_files.load(recording_files.save(one, tmp_path), id=ID)
    assert (loaded, recording_files.not_json(loaded)) == (one, [])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b'{"format": 1,\n "end" 2}', "line 2, column 8"),
        (b"", "line 1, column 1"),
        (b'{"format": "\xff"}', "byte 12"),
        (b"[]", ""),
        (b"null", ""),
    ],
)
def test_a_meta_file_that_is_no_json_object_is_named_with_the_place(tmp_path: Path, text: bytes, field: str) -> None:
    stem = recording_files.save(small(), tmp_path)
    stem.with_name(stem.name + META_SUFFIX).write_bytes(text)
    error = defect(stem)
    assert (error.path.name, error.field) == ("generate-small.meta.json", field)


def test_a_missing_body_is_named(tmp_path: Path) -> None:
    stem = recording_files.save(small(), tmp_path)
    stem.with_name("generate-small.ndjson").unlink()
    error = defect(stem)
    assert (error.path.name, error.problem) == ("generate-small.meta.json", "the body beside it is missing")


def test_two_bodies_are_named(tmp_path: Path) -> None:
    stem = recording_files.save(small(), tmp_path)
    stem.with_name("generate-small.json").write_bytes(b"{}")
    assert "has 2 bodies (generate-small.ndjson, generate-small.json)" in str(defect(stem))


def test_nothing_at_all_is_named(tmp_path: Path) -> None:
    assert defect(tmp_path / "nothing").problem == "no such recording"


# ----------------------------------------------------------------------------------------------- hand-written


@pytest.mark.parametrize("route", ["generate", "chat", "pull", "push", "create"])
def test_a_body_alone_is_one_frame_a_line_20_ms_apart(tmp_path: Path, route: str) -> None:
    path = tmp_path / f"{route}-mine.ndjson"
    path.write_bytes(b'{"a":"\xc2\x85"}\n{"done":true}')
    one = recording_files.load(tmp_path / f"{route}-mine", id=f"hand-written/{route}-mine")
    assert (one.request.method, one.request.path, one.request.streams) == ("POST", f"/api/{route}", True)
    assert one.request.any_content
    assert [(frame.at_s, frame.data) for frame in one.frames] == [
        (0.02, b'{"a":"\xc2\x85"}\n'),
        (0.04, b'{"done":true}'),
    ]
    assert (one.ollama_version, one.response.status, one.ended) == ("hand-written", 200, RecordedEnd.COMPLETE)
    assert one.response.header("transfer-encoding") == "chunked"
    assert one.body == path.read_bytes()


def test_an_empty_body_alone_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "chat-mine.ndjson").write_bytes(b"")
    assert recording_files.load(tmp_path / "chat-mine", id="1/chat-mine").frames == ()


def test_a_hand_written_recording_can_be_saved_and_loaded(tmp_path: Path) -> None:
    (tmp_path / "chat-mine.ndjson").write_bytes(b"{}\n")
    one = recording_files.load(tmp_path / "chat-mine", id="1/chat-mine")
    assert recording_files.load(recording_files.save(one, tmp_path / "saved"), id="1/chat-mine") == one


def test_a_request_with_half_a_surrogate_pair_can_be_saved_again(tmp_path: Path) -> None:
    """JSON can say "\\ud800", so clients can send it and a meta file can hold it; UTF-8 cannot."""
    one = recording_files.load(edited(tmp_path, setting("request.json", {"prompt": "\ud800"})), id=ID)
    assert recording_files.load(recording_files.save(one, tmp_path), id=ID) == one


# ------------------------------------------------------------------------------------------------------- find


def test_find_gives_each_recording_once_whatever_files_it_has(tmp_path: Path) -> None:
    for version in ("1.0.0", "2.0.0"):
        recording_files.save(small(), tmp_path / version)
    (tmp_path / "1.0.0" / "chat-mine.ndjson").write_bytes(b"")
    (tmp_path / "README.md").write_text("no recording")
    found = [stem.relative_to(tmp_path).as_posix() for stem in recording_files.find(tmp_path)]
    assert found == ["1.0.0/chat-mine", "1.0.0/generate-small", "2.0.0/generate-small"]


@pytest.mark.parametrize("suffix", ["", ".ndjson", ".meta.json"])
def test_find_finds_a_recording_by_either_file(tmp_path: Path, suffix: str) -> None:
    stem = recording_files.save(small(), tmp_path)
    assert list(recording_files.find(stem.with_name(stem.name + suffix))) == [stem]


def test_a_copy_of_a_recording_is_a_recording(tmp_path: Path) -> None:
    source = LIBRARY.root / LIBRARY.newest
    for suffix in (".ndjson", META_SUFFIX):
        shutil.copyfile(source / f"chat-stream{suffix}", tmp_path / f"mine{suffix}")
    copy = recording_files.load(tmp_path / "mine", id="mine")
    assert replace(copy, id=f"{LIBRARY.newest}/chat-stream") == LIBRARY.get(f"{LIBRARY.newest}/chat-stream")


@pytest.mark.parametrize(("old", "new"), [('"OK"', '"Ｏ"'), ('"no-cache"', '"日本"'), ('"no-cache"', '"a\\r\\nb"')])
def test_what_cannot_stand_in_a_head_is_refused(old: str, new: str, tmp_path: Path) -> None:
    stem = recording_files.save(packaged_store().get("0.32.15/v1-responses-stream"), tmp_path)
    meta = stem.with_name("v1-responses-stream.meta.json")
    meta.write_text(meta.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(RecordingError, match="Latin-1"):
        recording_files.load(stem, id="x/y")
