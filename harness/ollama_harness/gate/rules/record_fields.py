"""Rules about the fields of records: which fields there are, their types, and their order."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_harness.gate.rules.rule import Change, Level, VersionExchange, alike, common, listed, rule
from ollama_harness.gate.shapes import FieldShape, RecordKind, RecordShape

__all__: list[str] = []

#: Numbers that Go omits when they are zero; see `Metrics` and `ProgressResponse`.
#: Source: https://github.com/ollama/ollama/blob/v0.32.15/api/types.go
_LEFT_OUT_AT_ZERO = ("_duration", "_count", ".completed", ".total")


def _pairs(old: VersionExchange, new: VersionExchange) -> Iterator[tuple[str, FieldShape, FieldShape]]:
    """Each field that both have, with its place."""
    for was, now in _records(old, new):
        for path, one in was.fields.items():
            if path in now.fields:
                yield f"{was.kind} {path}", one, now.fields[path]


def _records(old: VersionExchange, new: VersionExchange) -> Iterator[tuple[RecordShape, RecordShape]]:
    """The records of each kind that both have, except errors, which have their own rules."""
    return (pair for pair in common(old, new) if pair[0].kind != RecordKind.ERROR)


def _missing(there: RecordShape, here: RecordShape) -> Iterator[FieldShape]:
    """The fields of `there` that `here` lacks, although it has the object that could hold them."""
    for path, one in there.fields.items():
        if path not in here.fields and one.parent in here.orders and not one.is_item:
            yield one


def _zero(one: FieldShape, kind: str, here: VersionExchange) -> bool:
    """Whether this version has the field in other recordings, so that a zero may be why it is missing here."""
    elsewhere = kind in here.version.kinds_with.get((here.shape.route, one.path), ())
    return elsewhere and one.types == {"integer"} and one.path.endswith(_LEFT_OUT_AT_ZERO)


@rule(
    "A typed client cannot validate the record, and other clients do not find the key.",
    Level.BREAKING,
    "https://github.com/ollama/ollama-python/issues/607",
)
def field_gone(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for was, now in _records(old, new):
        for one in _missing(was, now):
            if not _zero(one, was.kind, new):
                place = {"old_line": one.line, "new_line": now.line}
                yield Change(where=f"{was.kind} {one.path}", was=_types(one), now="gone", **place)


@rule(
    "Most clients ignore fields that they do not know, but some forbid them.",
    Level.NOTABLE,
    "https://github.com/ollama/ollama/pull/15768",
)
def field_added(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for was, now in _records(old, new):
        for one in _missing(now, was):
            if not _zero(one, was.kind, old):
                place = {"old_line": was.line, "new_line": one.line}
                yield Change(where=f"{was.kind} {one.path}", was="none", now=_types(one), **place)


@rule(
    "Go omits durations and counts that are zero. Both versions have the field in other recordings.",
    Level.NOISE,
    "https://github.com/ollama/ollama/issues/3427",
)
def zero_left_out(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for was, now in _records(old, new):
        for one in _missing(was, now):
            if _zero(one, was.kind, new):
                yield Change(where=f"{was.kind} {one.path}", was="there", now="left out", old_line=one.line)
        for one in _missing(now, was):
            if _zero(one, was.kind, old):
                yield Change(where=f"{was.kind} {one.path}", was="left out", now="there", new_line=one.line)


@rule(
    "A field that every record of this kind had is now missing in some: a typed client that requires it fails there.",
    Level.BREAKING,
    "https://github.com/SWE-agent/SWE-agent/issues/44",
)
def field_optional(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        if was.always and not now.always and not was.path.endswith(_LEFT_OUT_AT_ZERO):
            yield _change(where, was, now, "always there", "in some records")


@rule(
    "A typed client fails to read the record, and may lose all of it.",
    Level.BREAKING,
    "https://github.com/paiml/aprender/pull/2371",
)
def type_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        types, wider = was.types - {"null"}, now.types - {"null"}
        numbers = {"integer", "number"}
        if types and wider - types and not (types <= numbers and wider <= numbers | {"string"}):
            yield _change(where, was, now, _types(was), _types(now))


@rule(
    '`"5"` is not 5: sums become texts, or the client cannot read the record.',
    Level.BREAKING,
    "https://www.rfc-editor.org/rfc/rfc8259#section-6",
)
def number_to_string(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        if was.types - {"null"} and was.types <= {"integer", "number", "null"} and "string" in now.types:
            yield _change(where, was, now, _types(was), _types(now))


@rule(
    "A client whose type is a whole number refuses a fraction.",
    Level.BREAKING,
    "https://www.rfc-editor.org/rfc/rfc8259#section-6",
)
def integer_to_number(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        if was.types - {"null"} == {"integer"} and now.types - {"null"} == {"number"}:
            yield _change(where, was, now, _types(was), _types(now))


@rule(
    "A client whose type does not allow null cannot validate the record.",
    Level.BREAKING,
    "https://github.com/docling-project/docling/issues/1647",
)
def null_new(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        if "null" in now.types and "null" not in was.types:
            yield _change(where, was, now, _types(was), _types(now))


@rule(
    "A field that was null now has a value: a client that has never seen one may not read it.",
    Level.NOTABLE,
    "https://github.com/docling-project/docling/issues/1647",
)
def null_gone(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        if "null" in was.types and "null" not in now.types:
            yield _change(where, was, now, _types(was), _types(now))


@rule(
    "A vector database holds vectors of one length, and cannot compare the new ones with those that it has.",
    Level.BREAKING,
    "https://github.com/langflow-ai/langflow/issues/12824",
)
def vector_length_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for where, was, now in _pairs(old, new):
        if was.lengths and now.lengths and was.lengths != now.lengths:
            yield _change(where, was, now, _numbers(was.lengths), _numbers(now.lengths))


@rule(
    "Order means nothing in JSON, but programs that cut the text at a key, and tests that compare texts, depend on it.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc8259#section-4",
    when=alike,
)
def field_order_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for was, now in common(old, new):
        for path, keys in was.orders.items():
            there = now.orders.get(path, ())
            before, after = [key for key in keys if key in there], [key for key in there if key in keys]
            if before != after:
                moved = [[key for key, other in zip(row, rest, strict=True) if key != other]
                         for row, rest in ((before, after), (after, before))]  # fmt: skip
                place = {"old_line": was.line, "new_line": now.line}
                where = f"{was.kind} {path}".strip()
                yield Change(where=where, was=listed(moved[0]), now=listed(moved[1]), **place)


def _numbers(lengths: frozenset[int]) -> str:
    return listed(f"{length} numbers" for length in sorted(lengths))


def _types(one: FieldShape) -> str:
    return " or ".join(sorted(one.types))


def _change(where: str, was: FieldShape, now: FieldShape, before: str, after: str) -> Change:
    return Change(where=where, was=before, now=after, old_line=was.line, new_line=now.line)
