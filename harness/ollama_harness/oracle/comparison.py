"""How what a client yielded compares with what was due: the interface of the two views, records and pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ollama_harness.oracle.reference import Layer, Reference

__all__ = ["Comparison", "View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`wrong` says how what was yielded is no beginning of what was sent, or is "".

    `missing` says how much of what is due was yielded ("2 of 3 records"), or is "" if all was. `due` and `yielded` are
    the two amounts in words. `beyond`: more than what is due was yielded. `reports_error`: an error was, as a value.
    """

    wrong: str
    missing: str
    due: str
    yielded: str
    beyond: bool
    reports_error: bool = False


class View(Protocol):
    """Records or pieces."""

    def compare(self, reference: Reference, yielded: Sequence[Any], layer: Layer) -> Comparison:
        """How what a client of this layer yielded compares with the reference."""

    def records_told(self, reference: Reference, yielded: Sequence[Any], /) -> int:
        """How many of the reference's records a client has told of that has yielded so much."""
