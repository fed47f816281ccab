"""The edge at which files are written: each is whole, or is not written at all.

A file is written beside its place and moved there in one step, so that a reader (and a run that is killed, or a disk
that is full) sees the file before or the file after. What the system refuses becomes the caller's own error.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ollama_harness.errors import HarnessError

__all__ = ["check_directory", "check_file", "make_directory", "write_whole", "writing"]

Error = type[HarnessError]

_ELSEWHERE = "make room, or give a place that can be written to"


def write_whole(path: Path, data: str | bytes, error: Error, *, fix: str = _ELSEWHERE) -> None:
    """Write a file, whole or not at all. Text becomes UTF-8 with LF at the ends of its lines.

    Halves of surrogate pairs, which UTF-8 cannot hold, become `\\udc80`: in the strings of JSON text that is the same.

    Raises: `error`, and the file is as it was before.
    """
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    with writing(path, error, fix=fix):
        target = _target(path)
        temporary = _beside(target)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def make_directory(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> None:
    """Make a directory and those above it, if they are not there."""
    with writing(path, error, fix=fix):
        path.mkdir(parents=True, exist_ok=True)


def check_file(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> None:
    """Find out whether `write_whole` would work, before the work whose result it is to write. Leaves nothing behind."""
    with writing(path, error, fix=fix):
        temporary = _beside(_target(path))
        temporary.touch()
        temporary.unlink()


def check_directory(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> None:
    """Find out whether a directory can be made and written to. Leaves nothing behind."""
    with writing(path, error, fix=fix):
        there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
        if not there.is_dir():
            raise NotADirectoryError(0, f"{there} is no directory")
        tempfile.TemporaryFile(dir=there).close()


@contextlib.contextmanager
def writing(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> Iterator[None]:
    """Makes `error` of what the system says where `path` cannot be written."""
    try:
        yield
    except OSError as cause:
        raise error.about(path, "", f"cannot be written: {cause.strerror or cause}", fix) from None


def _target(path: Path) -> Path:
    """Where a file is: a link is followed, and what is no file (a device, a directory) is never replaced."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(0, "it is there, and is no file")
    return target


def _beside(path: Path) -> Path:
    """The name of a temporary file: of this process alone, so that two that write the same file do not mix."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")
