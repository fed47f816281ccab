"""One writer at a time in a directory.

The system keeps the lock (flock, or LockFile on Windows) on a file in the directory, and lets go of it when the process
ends, however it ends. A lock file that is left behind, after a kill, locks nothing and needs no deleting.

On Unix the file is deleted while the lock is still held, and a process that has locked it makes sure that it is still
the one in the directory: otherwise two could hold two files of one name. Windows deletes no open file, so there it is
deleted afterwards, and stays if another process has opened it meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ollama_harness.errors import DirectoryError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["LOCK_NAME", "held"]

LOCK_NAME = ".ollama-harness.lock"


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold `directory`, which is made if it is missing: meanwhile nothing else can, in this process or in another.

    A directory that was made for this and is still empty at the end is removed again.

    Raises: DirectoryError, at once, if it is held already, or cannot be made or written to.
    """
    path = directory / LOCK_NAME
    with contextlib.ExitStack() as stack:
        try:
            stack.callback(_remove_empty, [one for one in (directory, *directory.parents) if not one.exists()])
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(path)
        except OSError as error:
            problem = f"cannot be written to ({error.strerror or error})"
            raise DirectoryError(f"{directory}: {problem}; give a directory that can be") from None
        if descriptor is None:
            problem = "another process is writing there"
            raise DirectoryError(f"{directory}: {problem}; wait until it has ended, or give another directory")
        stack.callback(_release, descriptor, path)
        yield


def _remove_empty(directories: list[Path]) -> None:
    with contextlib.suppress(OSError):  # what was made in one stays, and what is above it
        for one in directories:
            one.rmdir()


def _locked(path: Path) -> int | None:
    """The open and locked file, or None if it is locked already."""
    while True:
        with contextlib.ExitStack() as stack:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            if not _lock(descriptor):
                return None
            if sys.platform == "win32" or _is_at(descriptor, path):
                stack.pop_all()
                return descriptor


if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:  # Wine has another number for it than Windows
            return False
        return True

    def _release(descriptor: int, path: Path) -> None:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()

else:

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_at(descriptor: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return False

    def _release(descriptor: int, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
