"""One writer at a time in a directory.

The lock is the system's own lock (flock; LockFile on Windows) on a file in the directory. The system releases it when
the process ends, however it ends. So a lock file that a killed process left behind locks nothing, and nothing needs to
delete it.

Releasing deletes the file. On Unix it is deleted while the lock is still held. Another process may have opened the file
before that and lock it afterwards, and then it holds a file that is no longer in the directory; a third could lock a
new file of the same name. So a process that has the lock checks that its file is still the one in the directory, and
tries again if it is not. Windows cannot delete an open file. There it is deleted after the lock is released, and stays
if another process has opened it by then.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ollama_harness.errors import DirectoryError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["LOCK_NAME", "held"]

LOCK_NAME = ".ollama-harness.lock"


@contextlib.contextmanager
def held(directory: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Lock `directory` and make it if it is missing: nothing else can lock it meanwhile, in any process.

    If it is locked already, that is an error, or with `waiting` that is called, and the lock is waited for. A directory
    that was made here and is empty at the end is removed.

    Raises: DirectoryError (it is locked already, or cannot be made or written to).
    """
    path = directory / LOCK_NAME
    with contextlib.ExitStack() as stack:
        try:
            stack.callback(_remove_empty, [one for one in (directory, *directory.parents) if not one.exists()])
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(path)
            if descriptor is None and waiting is not None:
                waiting()
                descriptor = _locked(path, waits=True)
        except OSError as error:
            problem = f"cannot be written to ({error.strerror or error})"
            raise DirectoryError(f"{directory}: {problem}; give another directory") from None
        if descriptor is None:
            problem = "another process is writing there"
            raise DirectoryError(f"{directory}: {problem}; wait until it has ended, or give another directory")
        stack.callback(_release, descriptor, path)
        yield


def _remove_empty(directories: list[Path]) -> None:
    with contextlib.suppress(OSError):  # one that is not empty stays, and so do those above it
        for one in directories:
            one.rmdir()


def _locked(path: Path, *, waits: bool = False) -> int | None:
    """The open and locked file, or None if it is locked already and the lock is not waited for."""
    while True:
        with contextlib.ExitStack() as stack:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            if not _lock(descriptor, waits=waits):
                return None
            if sys.platform == "win32" or _is_at(descriptor, path):
                stack.pop_all()
                return descriptor


if sys.platform == "win32":

    def _lock(descriptor: int, *, waits: bool) -> bool:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if waits else msvcrt.LK_NBLCK, 1)
            except OSError:  # any of them: Wine reports a held lock with another error number than Windows
                if not waits:  # LK_LOCK gives up after ten seconds
                    return False
            else:
                return True

    def _release(descriptor: int, path: Path) -> None:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()

else:

    def _lock(descriptor: int, *, waits: bool) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
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
