"""One writer at a time in a directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ollama_harness.errors import DirectoryError
from ollama_harness.files.locking import LOCK_NAME, held

_HOLDER = """
import sys
from pathlib import Path
from ollama_harness.files.locking import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_made_and_held_by_one_only_and_free_again_afterwards(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    with held(directory):
        (directory / "made").touch()
        with pytest.raises(DirectoryError, match="b: another process is writing there; wait until"), held(directory):
            pass
        with held(tmp_path / "a"):
            pass  # one above is another
    with held(directory):
        pass
    assert [one.name for one in directory.iterdir()] == ["made"]


def test_a_directory_in_which_nothing_was_made_is_removed_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_was_left_behind_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    with held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_dies_with_its_process_even_when_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DirectoryError, match="another process is writing there"), held(tmp_path):
            pass
        holder.kill()
    assert (tmp_path / LOCK_NAME).exists()
    with held(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = r"b: cannot be written to \(.+\); give another directory"
    with pytest.raises(DirectoryError, match=problem), held(tmp_path / "file" / "b"):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
