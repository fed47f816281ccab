"""The results of measurements: sections of figures, and the aims that they are compared with."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Aim", "Section", "percentile", "shown", "spread"]

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim of the project: `value` should be at least (`at_least`) or at most `limit`."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{'met' if self.met else 'MISSED'}: {self.what} {shown(self.value)} (aim: {sign} {self.limit:g})"


@dataclass(frozen=True, slots=True)
class Section:
    """One table: a sentence on it, its columns and rows, the aims, and sentences on what was not measured."""

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile: the smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Minimum, median, maximum."""
    return min(values), statistics.median(values), max(values)


def shown(value: Value) -> str:
    """A number with about three significant digits; text is unchanged."""
    if not isinstance(value, float):
        return str(value)
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"
