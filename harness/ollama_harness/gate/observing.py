"""What a run of a cell shows of the client: what it handed out, and what it sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ollama_harness.clients import without_version
from ollama_harness.gate.handled import Handled, RequestSeen
from ollama_harness.matrix.run import result
from ollama_harness.matrix.runner import CellRun
from ollama_harness.oracle.pieces import PieceKind, Yields
from ollama_harness.script.http1 import RequestHead

__all__ = ["observed"]

#: Parts of a header's value that are another each time: the port of the server, and what stands for chance.
_CHANCE = (
    (re.compile(r"((?:127\.0\.0\.1|localhost|\[::1\]|ollama\.test):)\d+"), r"\1PORT"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b", re.IGNORECASE), "…"),
)


def observed(run: CellRun) -> Handled:
    """How a client handled a cell, under the name that all its versions share."""
    line = result(run)
    yielded = [one for exchange in run.exchanges for one in exchange.outcome.yielded]
    records = (_said(yielded),) if run.cell.client.yields is Yields.PIECES else tuple(yielded)
    entries = (entry for exchange in run.exchanges for entry in exchange.entries)
    return Handled(
        ran=run.cell,
        result=replace(line, client=without_version(line.client)),
        records=None if line.got is None else records,
        requests=tuple(_seen(one.head, one.body) for one in entries if one.head is not None),
    )


def _seen(head: RequestHead, body: bytes) -> RequestSeen:
    headers: dict[str, str] = {}
    for name, value in head.headers:
        for pattern, stands_for in _CHANCE:
            value = pattern.sub(stands_for, value)
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return RequestSeen(line=f"{head.method} {head.target}", headers=headers, body=body)


def _said(pieces: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All that pieces say, as one object. The ids of calls may be the client's own, and do not count."""
    said: dict[str, Any] = {}
    for piece in pieces:
        for kind, content in piece.items():
            match kind:
                case PieceKind.TEXT | PieceKind.THINKING:
                    said[kind] = said.get(kind, "") + content
                case PieceKind.TOOL_CALL:
                    _add_call(said.setdefault(kind, []), content)
                case PieceKind.ERROR:
                    said.setdefault(kind, []).append(content)
                case _:
                    said[kind] = content
    return said


def _add_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    """Add a call, or a part of the one before."""
    if part.get("name") is not None or not calls:
        calls.append({"name": part.get("name"), "arguments": part["arguments"]})
    elif isinstance(calls[-1]["arguments"], str):
        calls[-1]["arguments"] += part["arguments"]
