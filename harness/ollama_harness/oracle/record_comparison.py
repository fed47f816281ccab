"""Whether a record that a client yields is right: everything in it was sent, and nothing important is missing.

A client that yields plain objects, as HTTP libraries do, must yield all of each record, unchanged. A typed client may
leave out fields that its types do not know, convert a time to a time, and yield 1 as 1.0 in a field that holds
fractions. It must not add a field. It must not lose an essential field, nor one that is the subject of the scenario.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ollama_harness.oracle.comparison import Comparison
from ollama_harness.oracle.reference import Layer, Reference

__all__ = ["RecordView", "agrees", "essential", "fractional"]

#: The fields that no client may lose; of tool calls only name and arguments, of lists of models only their names.
_ESSENTIAL = (
    "response",
    "thinking",
    "message.role",
    "message.content",
    "message.thinking",
    "message.tool_calls.function.name",
    "message.tool_calls.function.arguments",
    "done",
    "done_reason",
    "error",
    "status",
    "embeddings",
    "embedding",
    "models.model",
    "version",
)

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class RecordView:
    """The view of a client that yields records. `subject`, `unknown` and `zeros` are as in `agrees`."""

    subject: tuple[str, ...] | None = ()
    unknown: AbstractSet[str] = frozenset()
    zeros: bool = False

    def compare(self, reference: Reference, yielded: Sequence[Any], layer: Layer) -> Comparison:
        """How the records that a client of this layer yielded compare with the reference."""
        due, got = reference.due[layer], len(yielded)
        return Comparison(
            wrong=self._wrong(reference, yielded),
            missing=f"{got} of {due} records" if got < due else "",
            due=f"{due} records",
            yielded=f"{got} records",
            beyond=got > due,
        )

    def records_told(self, _: Reference, yielded: Sequence[Any], /) -> int:
        """How many records there are."""
        return len(yielded)

    def _wrong(self, reference: Reference, yielded: Sequence[Any]) -> str:
        fractions = frozenset[str]() if self.subject is None else fractional(reference.records)
        for number, record in enumerate(yielded, 1):
            if number > len(reference.records):
                return f"yielded {len(yielded)} records, there are {len(reference.records)}"
            due = reference.records[number - 1]
            problem = agrees(
                record, due, subject=self.subject, fractions=fractions, unknown=self.unknown, zeros=self.zeros
            )
            if problem is not None:
                return f"record {number}: {problem}"
        return ""


def agrees(
    yielded: Any,
    reference: Any,
    *,
    subject: tuple[str, ...] | None = (),
    fractions: frozenset[str] = frozenset(),
    unknown: AbstractSet[str] = frozenset(),
    zeros: bool = False,
) -> str | None:
    """None if the yielded record is right, else what is wrong with it.

    `subject` names fields that a typed client must yield besides the essential ones: `details.family`, through any
    list. With None the client is not typed and must yield all fields. `fractions` are the `fractional` fields of the
    exchange. `unknown` are essential fields that the client's types do not know. With `zeros` its types cannot tell a
    field that was not sent from one that is 0, false or empty, so it may yield either.
    """
    if subject is None:
        return _different(yielded, reference, "", None) or _missing(reference, yielded, "", lambda _: False)
    if zeros:
        yielded, reference = _without_zeros(yielded), _without_zeros(reference)
    wanted = essential(reference, subject, unknown)
    return _different(yielded, reference, "", fractions) or _missing(wanted, yielded, "", lambda value: value is None)


def essential(record: Any, subject: tuple[str, ...] = (), unknown: AbstractSet[str] = frozenset()) -> Any:
    """The part of a record that a client must yield: the essential fields that it knows, and those of the subject."""
    known = (path for path in _ESSENTIAL if path not in unknown)
    return _project(record, _shape((*known, *subject)))


def fractional(records: Iterable[Any]) -> frozenset[str]:
    """The fields, in the notation of a subject, that have a number with a fraction in any of the records.

    Ollama's JSON has 1 for such a number when it is whole (RFC 8259 section 6), and a typed client yields 1.0.
    """
    found = set[str]()

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, path)
        elif isinstance(value, float):
            found.add(path)

    for record in records:
        walk(record, "")
    return frozenset(found)


@functools.cache
def _shape(paths: tuple[str, ...]) -> dict[str, Any]:
    """The fields as a tree; `...` means a field with everything in it."""
    root: dict[str, Any] = {}
    for path in sorted(paths):  # so that a whole field comes before its parts
        *parents, last = path.split(".")
        branch: Any = root
        for parent in parents:
            branch = branch if branch is ... else branch.setdefault(parent, {})
        if branch is not ...:
            branch[last] = ...
    return root


def _project(value: Any, shape: Any) -> Any:
    """The part of a value that is in the shape; a value of another form than the shape is kept whole."""
    if isinstance(value, list):
        return [_project(item, shape) for item in value]
    if isinstance(shape, dict) and isinstance(value, dict):
        return {key: _project(value[key], inner) for key, inner in shape.items() if key in value}
    return value


def _different(yielded: Any, reference: Any, path: str, fractions: frozenset[str] | None) -> str | None:
    """The first difference: a field that was not sent, or another value. `fractions` is None if it is not typed."""
    if isinstance(yielded, dict) and isinstance(reference, dict):
        for key, value in yielded.items():
            if key not in reference:
                return f"{path}{key} was not sent"
            if problem := _different(value, reference[key], f"{path}{key}.", fractions):
                return problem
        return None
    if isinstance(yielded, list) and isinstance(reference, list):
        if len(yielded) != len(reference):
            return f"{path.rstrip('.')} has {len(yielded)} items, {len(reference)} were sent"
        pairs = enumerate(zip(yielded, reference, strict=True))
        problems = (_different(a, b, f"{path}{i}.", fractions) for i, (a, b) in pairs)
        return next(filter(None, problems), None)
    if _same(yielded, reference) or (fractions is not None and _converted(yielded, reference, path, fractions)):
        return None
    return f"{path.rstrip('.') or 'it'} is {yielded!r:.60}, but {reference!r:.60} was sent"


def _missing(wanted: Any, yielded: Any, path: str, may_lack: Callable[[Any], bool]) -> str | None:
    """The first wanted field that was not yielded, unless it has a value that may be left out."""
    if isinstance(wanted, dict) and isinstance(yielded, dict):
        for key, value in wanted.items():
            if key not in yielded and not may_lack(value):
                return f"{path}{key} was left out"
            if key in yielded and (problem := _missing(value, yielded[key], f"{path}{key}.", may_lack)):
                return problem
    if isinstance(wanted, list) and isinstance(yielded, list):
        pairs = enumerate(zip(wanted, yielded, strict=True))
        problems = (_missing(a, b, f"{path}{i}.", may_lack) for i, (a, b) in pairs)
        return next(filter(None, problems), None)
    return None


def _without_zeros(value: Any) -> Any:
    """A value without the fields, at any depth, that are null, 0, false or empty. Lists keep all their items, and the
    arguments of tool calls, which have no types, all their fields.
    """
    if isinstance(value, list):
        return [_without_zeros(item) for item in value]
    if isinstance(value, dict):
        fields = ((key, inner if key == "arguments" else _without_zeros(inner)) for key, inner in value.items())
        return {key: inner for key, inner in fields if inner}
    return value


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal as JSON: 1 is neither true nor 1.0."""
    return type(a) is type(b) and bool(a == b)


def _converted(yielded: Any, reference: Any, path: str, fractions: frozenset[str]) -> bool:
    """Whether it is the same value in a typed client's types: a time, to the microsecond, or a float."""
    if isinstance(yielded, str) and isinstance(reference, str):
        instant = _instant(yielded)
        return instant is not None and instant == _instant(reference)
    whole = type(yielded) is float and type(reference) is int and yielded == reference
    return whole and _without_indexes(path) in fractions


def _without_indexes(path: str) -> str:
    return ".".join(step for step in path.split(".") if step and not step.isdigit())


def _instant(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    whole, fraction, zone = match.groups()
    try:
        return datetime.fromisoformat(f"{whole}.{(fraction or '')[:6]:0<6}{zone.replace('Z', '+00:00')}")
    except ValueError:
        return None
