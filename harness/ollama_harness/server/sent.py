"""What was sent on a connection, exactly; what is too long for memory goes into a temporary file."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from ollama_harness.recordings.timed_bytes import TimedBytes
from ollama_harness.recordings.unkept import Unkept

__all__ = ["KEPT_BYTES", "SentSegments"]

#: How much of what one request was sent is kept in memory.
KEPT_BYTES = 1024 * 1024
#: What Python takes for a segment besides its data: the tuple, the float, the head of the bytes.
_SEGMENT_BYTES = 128


class SentSegments(Unkept[tuple[float, bytes]]):
    """Segments (seconds from the request's arrival, bytes) in order. One thread adds to it, any may read meanwhile.

    Once `kept_bytes` of memory are used up, what follows goes into a file without a name, which the system removes
    when nobody has it open. Nothing of that can be seen from outside.
    """

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __init__(self, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept: list[tuple[float, bytes]] = []
        self._room_bytes = kept_bytes
        self._spool: _Spool | None = None
        self._spooled: TimedBytes | tuple[()] = ()

    def append(self, segment: tuple[float, bytes]) -> None:
        """Add a segment."""
        if self._spool is None:
            self._room_bytes -= len(segment[1]) + _SEGMENT_BYTES
            if self._room_bytes >= 0:
                self._kept.append(segment)
                return
            self._spool = _Spool(tempfile.TemporaryFile())  # noqa: SIM115 - it is closed when nobody can read it
            self._spooled = TimedBytes(self._spool)
        assert isinstance(self._spooled, TimedBytes)
        self._spooled.note(segment[0], self._spool.write(segment[1]))

    def __len__(self) -> int:
        return len(self._kept) + len(self._spooled)

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        yield from self._kept
        yield from self._spooled

    def _item(self, index: int) -> tuple[float, bytes]:
        kept = len(self._kept)
        return self._kept[index] if index < kept else self._spooled[index - kept]


class _Spool:
    """A temporary file that is written at its end and read anywhere."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._size_bytes = 0
        self._at_end = True

    def write(self, data: bytes) -> int:
        """Add `data`; the length of the file with it."""
        with self._lock:
            if not self._at_end:
                self._file.seek(self._size_bytes)
                self._at_end = True
            self._file.write(data)
            self._size_bytes += len(data)
            return self._size_bytes

    def __getitem__(self, part: slice) -> bytes:
        with self._lock:
            self._at_end = False
            start, stop, _ = part.indices(self._size_bytes)
            self._file.seek(start)
            return self._file.read(stop - start)

    def __del__(self) -> None:
        self._file.close()
