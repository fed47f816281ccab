"""Pages: a file in docs/ and the function that makes its text; and helpers of these functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NotComparable", "Page", "Sources", "difference", "table"]

DOCS = Path(__file__).resolve().parents[1] / "docs"


class NotComparable(Exception):
    """The page cannot be compared on this machine; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The input of the functions that make pages.

    `scratch` is an empty directory. `routes` holds the results of an earlier `run --environments` (None: make them).
    `there` is the current page, "" if there is none. With `checking`, slow measurements that the page already holds are
    not repeated. `with_clients` runs the whole matrix for each version of Ollama (minutes).
    """

    scratch: Path
    routes: Path | None
    there: str
    checking: bool
    with_clients: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of docs/. `make` returns its text.

    Raises (from `make`): NotComparable, HarnessError.
    """

    name: str
    make: Callable[[Sources], str]

    @property
    def path(self) -> Path:
        return DOCS / f"{self.name}.md"

    def read(self) -> str:
        """The current page, "" if there is none."""
        return self.path.read_text("utf-8") if self.path.exists() else ""


def difference(there: str, wanted: str) -> str:
    """The first line in which two texts differ, for people; "" if they are equal."""
    old, new = there.splitlines(), wanted.splitlines()
    if old == new:
        return ""
    line = next((n for n, pair in enumerate(zip(old, new, strict=False), 1) if pair[0] != pair[1]), None)
    at = line or min(len(old), len(new)) + 1
    return f"line {at} would be: {new[at - 1] if at <= len(new) else '(nothing)'}"


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, escaped: str = "|") -> Iterator[str]:
    """A table in Markdown, line by line, with an empty line after it. The `escaped` characters get a backslash."""
    escapes = str.maketrans({character: f"\\{character}" for character in escaped})
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(str(cell).translate(escapes) for cell in row)} |"
    yield ""
