"""How one version of a client handled one cell: all by which two versions of it are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ollama_harness.matrix.cells import Cell
from ollama_harness.matrix.results import Result

__all__ = ["Handled", "RequestSeen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSeen:
    """One request as it reached the server, without what is another each time. `line` is method and target, and
    `headers` the values by name in small letters.
    """

    line: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        head = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.line}, {head}" + (f", and {self.body.decode('utf-8', 'replace')}" if self.body else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """The line of the results, the `records` that were handed out, and the `requests` that were made.

    `ran` is the cell that ran, with the client in its version. All pieces of a client together are one record, because
    chance decides where they are split. `records` is None where chance decides how far the client came.
    """

    ran: Cell
    result: Result
    records: tuple[Any, ...] | None
    requests: tuple[RequestSeen, ...]

    @property
    def cell(self) -> str:
        """CLIENT/SCENARIO/RECORDING of any version."""
        return self.result.cell
