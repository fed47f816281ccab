"""A sequence whose items are made when they are asked for.

A long stream is cheap as bytes and dear as objects: 128 bytes of it make a frame, a chunk, a send and a segment, which
take 700 bytes together. So where a recording has many frames, its body is the only thing that stays in memory; the
rest is made of it while it is played, item by item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from typing import TypeVar, overload

__all__ = ["Lazy", "mapped"]

S = TypeVar("S")
T = TypeVar("T")


class Lazy(Sequence[T]):
    """`item(0)`, `item(1)`, … up to `length` of them, made again each time. It equals the tuple of its items.

    A slice of it is a tuple.
    """

    __hash__ = None  # type: ignore[assignment]  # it would make every item

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
    """`change(index, item)` of each item: lazy where the items are, a tuple otherwise."""
    if isinstance(items, Lazy):
        return Lazy(len(items), lambda index: change(index, items[index]))
    return tuple(starmap(change, enumerate(items)))
