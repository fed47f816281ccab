"""The journal as JSON: which entries are asked for, how long to wait for them, and what is said of each."""

from __future__ import annotations

import base64
import bisect
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.records import STREAMS
from ollama_harness.script.script import Script
from ollama_harness.server.control._answering import ControlAnswer, ControlError, Query
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.programme import When

__all__ = ["entries_of", "entry_of"]

_TIMEOUT_S, _MOST_TIMEOUT_S = 5.0, 600.0

#: How long a wait sleeps at most: neither a status that was sent nor the end of the server wakes it.
_LOOKS_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """Which entries are asked for. A rule is one of a programme, by its id, name or label, or one of Ollama's."""

    when: When
    rule: str | None
    status: int | None
    settled: bool | None
    after: int

    @classmethod
    def of(cls, query: Query) -> _Filter:
        path, method = query.text("path") or None, query.text("method") or None
        try:
            when = When(path=path, method=method and method.upper())
        except ValueError:
            raise ControlError(400, f"method is {str(method)[:60]!r}; make it one like POST") from None
        return cls(
            when=when,
            rule=query.text("rule") or None,
            status=query.number("status", least=100),
            settled=query.flag("settled"),
            after=query.number("after") or 0,
        )

    def chosen(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if self._matches(entry)]

    def _matches(self, entry: Entry) -> bool:
        return (
            entry.id > self.after
            and self.settled in (None, entry.ended_by is not None)
            and self.status in (None, entry.status)
            and self._is_route(entry)
            and self._is_rule(entry)
        )

    def _is_route(self, entry: Entry) -> bool:
        if self.when == When():
            return True
        return entry.head is not None and self.when.is_for_route(entry.head.method, _path(entry.head.target))

    def _is_rule(self, entry: Entry) -> bool:
        if self.rule in (None, entry.rule):
            return True
        return any(_names(str(self.rule), label) for label in entry.programme_rules)


def entries_of(journal: Journal, query: Query, is_stopping: Callable[[], bool]) -> ControlAnswer:
    """The entries that a query asks for, once there are as many as it waits for.

    Raises: ControlError.
    """
    wanted = _Filter.of(query)
    count, timeout_s = query.number("wait"), query.seconds("timeout", most=_MOST_TIMEOUT_S)
    limit = query.number("limit", least=1)
    query.no_more()
    is_there = _wait(journal, wanted, count or 0, _TIMEOUT_S if timeout_s is None else timeout_s, is_stopping)
    found = wanted.chosen(journal.entries)
    value = {"entries": [_entry_json(entry) for entry in found[:limit]], "connections": journal.connections}
    if is_there:
        return ControlAnswer(200, value)
    problem = f"{len(found)} of {count} requests are there; see entries for them, or give a longer timeout"
    return ControlAnswer(408, {"error": problem, **value})


def _wait(journal: Journal, wanted: _Filter, count: int, timeout_s: float, is_stopping: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_stopping():
        left_s = max(0.0, deadline - time.monotonic())
        if journal.wait_for(
            lambda entries: len(wanted.chosen(entries)) >= count, timeout_s=min(left_s, _LOOKS_AGAIN_S)
        ):
            return True
        if not left_s:
            break
    return False


def entry_of(journal: Journal, id_: str) -> ControlAnswer:
    """One entry with all that was sent.

    Raises: ControlError.
    """
    entry = next((one for one in journal.entries if str(one.id) == id_), None)
    if entry is None:
        raise ControlError(404, f"the journal has no entry {id_[:60]!r}; GET /_harness/journal lists the ids")
    sent = [{"at_s": round(at_s, 6), **_data_json(data)} for at_s, data in entry.sent]
    planned = None if entry.script is None else len(_played(entry, entry.script).segments)
    body = base64.b64encode(entry.body).decode("ascii")
    return ControlAnswer(200, {**_entry_json(entry), "request_body": body, "sent": sent, "segments_planned": planned})


def _entry_json(entry: Entry) -> dict[str, Any]:
    head, sent = entry.head, tuple(entry.sent)
    return {
        "id": entry.id,
        "connection": entry.connection,
        "index": entry.index,
        "method": None if head is None else head.method,
        "path": None if head is None else head.target,
        "headers": [] if head is None else [list(pair) for pair in head.headers],
        **_body_json(entry.body),
        "arrived_at": entry.arrived_at.isoformat(),
        "answered_by": entry.answered_by,
        "step": None if entry.step is None else str(entry.step),
        "rule": entry.rule or None,
        "programme_rules": list(entry.programme_rules),
        "faults": [] if entry.script is None else list(entry.script.struck_by),
        "left_out": list(entry.left_out),
        "why": entry.why,
        "status": entry.status,
        "settled": entry.ended_by is not None,
        "ended": None if entry.ended is None else str(entry.ended),
        "ended_by": None if entry.ended_by is None else str(entry.ended_by),
        "client_left_s": None if entry.client_left_s is None else round(entry.client_left_s, 6),
        "segments_sent": len(sent),
        "bytes_sent": sum(len(data) for _, data in sent),
        "records_sent": None if entry.script is None else _records_sent(_played(entry, entry.script), len(sent)),
    }


def _body_json(body: bytes) -> dict[str, Any]:
    """A body as JSON if it is that, else as text, else in base64."""
    if not body:
        return {"body": None, "body_encoding": None}
    try:
        value = parse_json(body)
        json.dumps(value, allow_nan=False)  # 1e999 is JSON, and nothing that Python could write again
    except ValueError:
        data = _data_json(body)
        return {"body": data["data"], "body_encoding": data["encoding"]}
    return {"body": value, "body_encoding": "json"}


def _data_json(data: bytes) -> dict[str, str]:
    try:
        return {"data": data.decode("utf-8"), "encoding": "text"}
    except UnicodeDecodeError:
        return {"data": base64.b64encode(data).decode("ascii"), "encoding": "base64"}


def _played(entry: Entry, script: Script) -> Script:
    """The script, or the refusal of a condition that the request broke."""
    return script.answer_to(entry.head)


def _records_sent(script: Script, segments: int) -> int | None:
    """How many whole records of a stream these first segments hold; None for what is no stream."""
    if script.head is None or script.head.media_type not in STREAMS:
        return None
    size = sum(len(part.data) for i, _, part in script.body_parts() if i < segments)
    return bisect.bisect_right(script.record_ends(), size)


def _path(target: str) -> str:
    return target.partition("?")[0]


def _names(rule: str, label: str) -> bool:
    """Whether this is a label of the journal, or the name or the id in it: `r3 (busy)`."""
    source, _, name = label.removesuffix(")").partition(" (")
    return rule in (label, source, name)
