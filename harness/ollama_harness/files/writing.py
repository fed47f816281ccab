"""The edge at which files are written: each is written whole, or not at all.

A file is written beside its place and moved there in one step. So a reader sees the old file or the new one, even if
the run is killed or the disk is full. An error of the system becomes the error that the caller names.
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

    Halves of surrogate pairs, which UTF-8 cannot encode, become `\\udc80`: in JSON text that is the same string.

    Raises: `error`; then the file is as it was before.
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
    """Make a directory and its parents, if they are missing."""
    with writing(path, error, fix=fix):
        path.mkdir(parents=True, exist_ok=True)


def check_file(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> None:
    """Raise now what `write_whole` would raise, before the work whose result it will write. Leaves nothing behind."""
    with writing(path, error, fix=fix):
        temporary = _beside(_target(path))
        temporary.touch()
        temporary.unlink()


def check_directory(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> None:
    """Raise `error` if a directory cannot be made or written to. Leaves nothing behind."""
    with writing(path, error, fix=fix):
        there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
        if not there.is_dir():
            raise NotADirectoryError(0, f"{there} is no directory")
        tempfile.TemporaryFile(dir=there).close()


@contextlib.contextmanager
def writing(path: Path, error: Error, *, fix: str = _ELSEWHERE) -> Iterator[None]:
    """Turns the system's errors while `path` is written into `error`."""
    try:
        yield
    except OSError as cause:
        raise error.about(path, "", f"cannot be written: {cause.strerror or cause}", fix) from None


def _target(path: Path) -> Path:
    """The real path of a file, links followed; a device or a directory is an error, because it must not be replaced."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(0, "it exists and is no file")
    return target


def _beside(path: Path) -> Path:
    """The path of a temporary file. It has the process id, so that two processes that write one file do not mix."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")
