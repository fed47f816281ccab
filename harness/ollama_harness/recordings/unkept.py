"""Sequences too long for memory: their items are made while somebody walks them, and forgotten again.

What stands in memory stays a tuple. Both kinds are equal where their items are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, starmap
from typing import TypeVar, overload

__all__ = ["Remade", "Unkept", "mapped"]

S = TypeVar("S")
T = TypeVar("T")


class Unkept(Sequence[T]):
    """A sequence that does not keep its items. A slice of it is a tuple."""

    @abstractmethod
    def __iter__(self) -> Iterator[T]: ...

    @abstractmethod
    def _item(self, index: int) -> T:
        """The item at an index, which is checked: from 0 to below the length."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            wanted = range(len(self))[index]
            if wanted.step < 0:
                return tuple(self)[index]
            return tuple(islice(self, wanted.start, max(wanted.start, wanted.stop), wanted.step))
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no item {index} among {len(self)}")
        return self._item(index % len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(ours == theirs for ours, theirs in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))  # that of the tuple it equals


class Remade(Unkept[T]):
    """What `make` gives, made anew by each walk; `length` is how many items that are.

    Who picks single items out of it (a fault: it goes back and forth in a script) gets them all made, and kept from
    then on: then it takes as much memory as a tuple.
    """

    def __init__(self, make: Callable[[], Iterator[T]], length: int) -> None:
        self._make, self._length = make, length
        self._kept: tuple[T, ...] | None = None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return self._make() if self._kept is None else iter(self._kept)

    def _item(self, index: int) -> T:
        if self._kept is None:
            self._kept = tuple(self._make())
        return self._kept[index]


def mapped(change: Callable[[int, S], T], source: Sequence[S]) -> Sequence[T]:
    """`change(index, item)` of each item: a tuple, but as unkept as the source if that is."""
    if isinstance(source, Unkept):
        return Remade(lambda: starmap(change, enumerate(source)), len(source))
    return tuple(starmap(change, enumerate(source)))
