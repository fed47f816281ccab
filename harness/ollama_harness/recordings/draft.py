"""A recording while it is made: two temporary files, moved into place when both are whole.

The body is written as it arrives; only the times and sizes of its frames are in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ollama_harness.errors import RecordingError, RecordingTooLong
from ollama_harness.recordings import _meta
from ollama_harness.recordings.recording import BODY_SUFFIXES, MAX_BYTES, META_SUFFIX, Recording

__all__ = ["RecordingDraft", "refuse_too_long"]

_TEMPORARY = ".tmp"

#: The size of a frame in the meta file, before that is written: no line of a frame is longer.
_FRAME_BYTES = 32


class RecordingDraft:
    """The two files of a recording while they are written; a context manager that leaves nothing without `finish`.

    Raises: RecordingError, from any method, if the files cannot be written (a full disk, no permission);
        RecordingTooLong, as soon as they are longer than the limit.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._stem = directory / name
        self._body_path, self._meta_path = self._temporary(".body"), self._temporary(META_SUFFIX)
        self._body: IO[bytes] | None = None
        self._body_bytes, self._frames = 0, list[tuple[float, int]]()

    def __enter__(self) -> Self:
        with self._explained():
            self._stem.parent.mkdir(parents=True, exist_ok=True)
            self._body = _create(self._body_path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # closing flushes, which a full disk refuses again
            self._close()
        for path in (self._body_path, self._meta_path):
            path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append to the body."""
        assert self._body is not None, "a draft is written between its `with` and its `finish`"
        with self._explained():
            self._body.write(data)
        self._body_bytes += len(data)
        refuse_too_long(self._final(META_SUFFIX), self._body_bytes)

    def frame(self, at_s: float, size: int) -> None:
        """Note a frame of the body: when it arrived, and how many bytes it has."""
        self._frames.append((at_s, size))
        refuse_too_long(self._final(META_SUFFIX), self._body_bytes + len(self._frames) * _FRAME_BYTES)

    def finish(self, recording: Recording) -> Path:
        """Write the meta file with the noted frames, and move both files into place; returns the stem.

        It replaces an older recording of this name, whatever suffix the body of that has.
        """
        with self._explained():
            self._close()
            with _create(self._meta_path) as file:
                meta_bytes = sum(file.write(piece.encode()) for piece in _meta.pieces(recording, self._frames))
            refuse_too_long(self._final(META_SUFFIX), self._body_bytes + meta_bytes)
            try:
                self._move(recording.suffix)
            except KeyboardInterrupt:
                self._move(recording.suffix)  # both files or none, and moving them takes no time
                raise
        return self._stem

    def _move(self, suffix: str) -> None:
        """Move the files that are not in place yet, and delete the body of an older recording."""
        for temporary, final in ((self._body_path, self._final(suffix)), (self._meta_path, self._final(META_SUFFIX))):
            if temporary.exists():
                temporary.replace(final)
        for other in BODY_SUFFIXES:
            if other != suffix:
                self._final(other).unlink(missing_ok=True)

    def _close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns the system's errors into RecordingError."""
        try:
            yield
        except OSError as error:
            problem = f"cannot be written: {error.strerror or error}"
            fix = "make room or give a folder that can be written; nothing was left half-written"
            raise RecordingError(self._final(META_SUFFIX), "", problem, fix) from None

    def _temporary(self, suffix: str) -> Path:
        return self._final(suffix + _TEMPORARY)

    def _final(self, suffix: str) -> Path:
        return self._stem.with_name(self._stem.name + suffix)


def _create(path: Path) -> IO[bytes]:
    return path.open("wb")


def refuse_too_long(path: Path, size_bytes: int) -> None:
    """Raise RecordingTooLong, with this path of one of its files, if a recording's size is above `MAX_BYTES`."""
    if size_bytes > MAX_BYTES:
        problem = f"is longer than a recording may be: {MAX_BYTES / 1_000_000:g} MB, both files together"
        raise RecordingTooLong(path, "", problem, "record a shorter answer")
