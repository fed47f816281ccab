"""The edges at which files are read and written: one named error for whatever is wrong, and whole files or none."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import GateError, HarnessError, RecordingError
from ollama_harness.files.json_text import MAX_DEPTH
from ollama_harness.files.reading import read_json, read_ndjson, read_text, read_toml
from ollama_harness.files.writing import check_directory, check_file, make_directory, write_whole

READERS: list[Callable[..., Any]] = [read_text, read_json, read_ndjson, read_toml]


def written(directory: Path, data: bytes) -> Path:
    path = directory / "file"
    path.write_bytes(data)
    return path


def refused(read: Callable[..., Any], path: Path) -> str:
    with pytest.raises(GateError) as caught:
        read(path, GateError)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


# ------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("read", "data", "said"),
    [
        (read_json, b'{"a": 1,\n "b" 2}', "line 2, column 6: is no JSON: Expecting ':' delimiter; fix it there"),
        (read_json, b"\xff", "byte 0: is no UTF-8; save the file as UTF-8"),
        (read_json, "{}".encode("utf-16"), "byte 0: is no UTF-8"),
        (read_json, b"\xef\xbb\xbf{}", "begins with a byte order mark; save the file as UTF-8 without one"),
        (read_json, b"[" * 100_000, f"is no JSON that can be used: it is nested deeper than {MAX_DEPTH} levels"),
        (read_json, b"[" * 301 + b"0" + b"]" * 301, "is no JSON that can be used: it is nested deeper than"),
        (read_json, b"9" * 5000, "is no JSON that can be used: a number has too many digits"),
        (read_json, b'{"a": 1, "a": 2}', "is no JSON that can be used: an object has the key 'a' twice"),
        (read_ndjson, b'{}\n{"a"}\n', "line 2, column 5: is no JSON"),
        (read_ndjson, b"{}\n\xff\n", "line 2, byte 0: is no UTF-8"),
        (read_ndjson, b"{}\n[" + b"9" * 5000 + b"]\n", "line 2: is no JSON that can be used: a number has too many"),
        (read_ndjson, b"{}\n" + b"[" * 100_000, "line 2: is no JSON that can be used: it is nested deeper"),
        (read_ndjson, b"{}\n\n", "line 2, column 1: is no JSON"),
        (read_toml, b"a = 1\nb = \n", "line 2, column 5: is no TOML: "),
        (read_toml, b"nonsense", "is no TOML: "),
        (read_toml, b"a = " + b"[" * 100_000, "is no TOML that can be used: it is nested deeper than"),
        (read_toml, b"a" + b".a" * 400 + b" = 1", "is no TOML that can be used: it is nested deeper than"),
        (read_toml, b"a = " + b"9" * 5000, "is no TOML that can be used: a number has too many digits"),
        (read_toml, b"a = [0x" + b"f" * 5000 + b"]", "is no TOML that can be used: a number has too many digits"),
        (read_toml, b"a = 2027-02-30", "line 1, column 5: is no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    read: Callable[..., Any], data: bytes, said: str, tmp_path: Path
) -> None:
    assert refused(read, written(tmp_path, data)).startswith(said)


@pytest.mark.parametrize("read", READERS)
def test_what_cannot_be_read_is_one_error(read: Callable[..., Any], tmp_path: Path) -> None:
    assert (
        refused(read, tmp_path / "nowhere") == "cannot be read: No such file or directory; give a file that can be read"
    )
    assert refused(read, tmp_path).startswith("cannot be read: ")
    assert refused(read, written(tmp_path, b"") / "below").startswith("cannot be read: ")


def test_what_is_just_not_too_deep_can_be_used(tmp_path: Path) -> None:
    value = read_json(written(tmp_path, b"[" * MAX_DEPTH + b"0" + b"]" * MAX_DEPTH), GateError)
    assert json.loads(json.dumps(value)) == value


def test_an_error_of_several_parts_gets_them(tmp_path: Path) -> None:
    with pytest.raises(RecordingError) as caught:
        read_json(written(tmp_path, b"{"), RecordingError)
    assert (caught.value.path, caught.value.field) == (tmp_path / "file", "line 1, column 2")


@pytest.mark.parametrize("read", READERS)
@given(
    data=st.binary()
    | st.text(alphabet='[]{}",:=.#\n 019ae-+_tf\\u\u0085').map(str.encode)
    | st.builds(lambda open_, times: open_ * times, st.sampled_from([b"[", b'{"":', b"a.", b"9"]), st.integers(0, 9999))
)
def test_no_bytes_end_in_another_error(read: Callable[..., Any], data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = written(Path(name), data)
        try:
            shown = repr(read(path, GateError))  # whatever is read can be walked through
        except GateError as error:
            shown = str(error)
        assert shown


# ------------------------------------------------------------------------------------------------------ writing


def test_a_file_is_written_as_it_is(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "a\n\u2713\ud800", HarnessError)
    assert (tmp_path / "file").read_bytes() == b"a\n\xe2\x9c\x93\\ud800"
    write_whole(tmp_path / "file", b"\r\n\xff", HarnessError)
    assert (tmp_path / "file").read_bytes() == b"\r\n\xff"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_file_as_it_was(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*{"write": (Path, "open"), "fsync": (os, "fsync"), "replace": (Path, "replace")}[failing], full)
    with pytest.raises(GateError) as caught:
        write_whole(path, "after", GateError)
    monkeypatch.undo()
    problem = "cannot be written: No space left on device; make room, or give a place that can be written to"
    assert str(caught.value) == f"{path}: {problem}"
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]


def test_an_interrupt_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, b"before")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "after", GateError)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]


@pytest.mark.parametrize(
    "write", [lambda path: write_whole(path, "x", GateError), lambda path: check_file(path, GateError)]
)
@pytest.mark.parametrize("place", ["missing/file", "file/below", "."])
def test_where_nothing_can_be_written_is_one_error(place: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    written(tmp_path, b"before")
    with pytest.raises(GateError, match="cannot be written"):
        write(tmp_path / place)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]


@pytest.mark.parametrize("use", [make_directory, check_directory])
@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_no_directory_can_be_below_a_file(place: str, use: Callable[..., None], tmp_path: Path) -> None:
    written(tmp_path, b"before")
    with pytest.raises(GateError, match="cannot be written"):
        use(tmp_path / place, GateError)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_directory(tmp_path / "a" / "b", GateError)
    check_file(tmp_path / "file", GateError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_is_followed(tmp_path: Path) -> None:
    path, link = written(tmp_path, b"before"), tmp_path / "link"
    link.symlink_to(path)
    write_whole(link, b"after", GateError)
    assert link.is_symlink()
    assert path.read_bytes() == b"after"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes of this kind there")
def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """A device, if root gives one: /dev/null would become a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(GateError, match="it exists and is no file"):
        write_whole(pipe, b"x", GateError)
    assert pipe.is_fifo()
