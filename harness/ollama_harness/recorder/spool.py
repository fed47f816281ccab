"""Frames on their way to a meta file: kept on disk, since a long stream has more of them than memory should hold."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["FrameSpool"]

#: Seconds and bytes of one frame.
_FRAME = struct.Struct("<dQ")

#: So much stays in memory; most recordings never need the file, which the system removes by itself.
_MEMORY_BYTES = 64 * 1024
_READ_FRAMES = 4096


class FrameSpool:
    """Frames (seconds, bytes) in order; a context manager."""

    def __init__(self, directory: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, dir=str(directory))  # noqa: SIM115 - closed in exit
        self.count, self.last_at_s = 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, at_s: float, size: int) -> None:
        self._file.write(_FRAME.pack(at_s, size))
        self.count, self.last_at_s = self.count + 1, at_s

    def __iter__(self) -> Iterator[tuple[float, int]]:
        self._file.seek(0)
        while data := self._file.read(_READ_FRAMES * _FRAME.size):
            yield from _FRAME.iter_unpack(data)
