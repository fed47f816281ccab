"""Bytes and their times, the bytes one after another in a source that need not be in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

from ollama_harness.recordings.unkept import Unkept

__all__ = ["Source", "TimedBytes"]

#: How much is read at once by a walk: few reads, and none that takes as long as a gap between two records.
_PIECE_BYTES = 256 * 1024


class Source(Protocol):
    """What bytes can be cut out of: bytes themselves, or a file."""

    def __getitem__(self, part: slice, /) -> bytes: ...


class TimedBytes(Unkept[tuple[float, bytes]]):
    """Pairs (seconds, bytes). Pair i ends at the offset `ends[i]` of the source, where the next one begins.

    It takes 16 bytes of memory a pair, however long the source is. It may grow, from one thread, while others walk it.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.times, self.ends = array("d"), array("Q")

    def note(self, at_s: float, end: int) -> None:
        """Add a pair, whose bytes are in the source up to the offset `end`."""
        self.times.append(at_s)
        self.ends.append(end)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        first, start = 0, 0
        while first < len(self):
            after = max(first + 1, bisect_right(self.ends, start + _PIECE_BYTES, first))
            base, piece = start, self.source[start : self.ends[after - 1]]
            for index in range(first, after):
                end = self.ends[index]
                yield self.times[index], piece[start - base : end - base]
                start = end
            first = after

    def _item(self, index: int) -> tuple[float, bytes]:
        return self.times[index], self.source[self.ends[index - 1] if index else 0 : self.ends[index]]
