"""A sequence that makes each item when it is read.

A long stream is small as bytes and large as objects: 128 bytes of it become a frame, a chunk, a segment and a rendered
segment, which take 700 bytes together. So a recording of many frames keeps its body, and a time and an offset for each
frame (16 bytes). `Lazy` has a length and a function from index to item; it stores no item. `mapped` puts a second
function behind the first, and so frames become segments, and segments become bytes, one item at a time while they are
played. Each read of an item makes it again, and comparing two sequences makes all their items: that is the price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from typing import TypeVar, overload

__all__ = ["Lazy", "mapped"]

S = TypeVar("S")
T = TypeVar("T")


class Lazy(Sequence[T]):
    """The sequence `item(0)`, `item(1)`, … `item(length - 1)`. It equals the tuple of its items. A slice is a tuple."""

    __hash__ = None  # type: ignore[assignment]  # a hash would make every item

    def __init__(self, length: int, item: Callable[[int], T]) -> None:
        self._length, self._item = length, item

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return map(self._item, range(self._length))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        wanted = range(self._length)[index]
        return self._item(wanted) if isinstance(wanted, int) else tuple(map(self._item, wanted))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(ours == theirs for ours, theirs in zip(self, other, strict=True))


def mapped(change: Callable[[int, S], T], items: Sequence[S]) -> Sequence[T]:
    """`change(index, item)` of each item: lazy if the items are lazy, else a tuple."""
    if isinstance(items, Lazy):
        return Lazy(len(items), lambda index: change(index, items[index]))
    return tuple(starmap(change, enumerate(items)))
