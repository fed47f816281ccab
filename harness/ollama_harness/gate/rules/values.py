"""Rules about values: words of a short list, times, ids, the texts of errors, how characters are escaped."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_harness.gate.rules.rule import (
    Change,
    Level,
    ResponseKind,
    VersionExchange,
    alike,
    common,
    listed,
    quoted,
    rule,
)
from ollama_harness.gate.shapes import RecordKind, RecordShape

__all__: list[str] = []


def _erring(old: VersionExchange, new: VersionExchange) -> bool:
    return alike(old, new) and RecordKind.ERROR in old.shape.records and RecordKind.ERROR in new.shape.records


def _answered(old: VersionExchange, new: VersionExchange) -> bool:
    return alike(old, new) and old.answer is ResponseKind.ANSWERED


@rule(
    'Programs recognise errors by their text, because there is no code: "not found, try pulling it first".',
    Level.NOTABLE,
    "https://github.com/Quansight/ragna/issues/582",
    when=_erring,
)
def error_text_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.error is not None and new.shape.error is not None and old.shape.error != new.shape.error:
        lines = [one.shape.records[RecordKind.ERROR].line for one in (old, new)]
        was, now = quoted(old.shape.error), quoted(new.shape.error)
        yield Change(where="error", was=was, now=now, old_line=lines[0], new_line=lines[1])


@rule(
    "Clients read `error` as a string, or as an object with a message. The other form makes them raise.",
    Level.BREAKING,
    "https://docs.ollama.com/api/errors",
    when=_erring,
)
def error_form_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was, now = (one.shape.records[RecordKind.ERROR] for one in (old, new))
    if _form(was) != _form(now):
        yield Change(where="error", was=_form(was), now=_form(now), old_line=was.line, new_line=now.line)


@rule(
    "A program that looks for the text (`Ollama is running`) does not find it.",
    Level.NOTABLE,
    "https://github.com/ollama/ollama/issues/5483",
)
def text_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was, now = ([one.shape.recording.body.decode("utf-8", "replace")] for one in (old, new))
    if old.shape.media_type == new.shape.media_type == "text/plain" and was != now:
        yield Change(where="text", was=quoted(was[0]), now=quoted(now[0]), old_line=1, new_line=1)


@rule(
    "A client whose type lists the words refuses a new one. Other clients handle it as an unknown word.",
    Level.NOTABLE,
    "https://docs.ollama.com/api/generate",
)
def word_new(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for was, now in common(old, new):
        for path, one in now.fields.items():
            known = old.version.words.get((old.shape.route, path), frozenset())
            if path in was.fields and known and (more := one.values - known):
                where = f"{now.kind} {path}"
                yield Change(where=where, was=listed(sorted(known)), now=listed(sorted(more)), new_line=one.line)


@rule(
    "A client that waits for this word (for example `stop`) never gets it.",
    Level.NOTABLE,
    "https://docs.ollama.com/api/generate",
)
def word_gone(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for was, now in common(old, new):
        for path, one in was.fields.items():
            words = new.version.words.get((new.shape.route, path), frozenset())
            if path in now.fields and (less := one.values - words):
                where = f"{was.kind} {path}"
                yield Change(where=where, was=listed(sorted(less)), now=listed(sorted(words)), old_line=one.line)


@rule(
    "Parsers of times are strict: one that needs a zone, or knows only `Z`, fails for the whole record.",
    Level.BREAKING,
    "https://github.com/langchain4j/langchain4j/issues/5578",
)
def time_format_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield from _formats(old, new, "time")


@rule(
    "Clients should not parse ids, but some check the prefix.",
    Level.NOTABLE,
    "https://platform.openai.com/docs/api-reference/chat/streaming",
)
def id_format_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield from _formats(old, new, "id")


@rule(
    "The same JSON in other bytes: programs that cut or hash bytes, or split lines at U+2028, see the difference.",
    Level.NOTABLE,
    "https://pkg.go.dev/encoding/json#Marshal",
)
def escaping_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for characters, was in old.shape.escapes.items():
        now = new.shape.escapes.get(characters, was)
        if not now <= was:
            yield Change(where=f"characters {characters}", was=listed(sorted(was)), now=listed(sorted(now)))


@rule(
    "Times, ids, durations and the text of the model differ from session to session.",
    Level.NOISE,
    "https://docs.ollama.com/api/generate",
    when=_answered,
)
def values_differ(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.recording.body != new.shape.recording.body:
        yield Change(where="values", was="some", now="others")


@rule(
    "The model's text differs each time, and so does the number of records.",
    Level.NOISE,
    "https://docs.ollama.com/api/streaming",
    when=_answered,
)
def length_differs(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.stream and len(old.shape.recording.frames) != len(new.shape.recording.frames):
        yield Change(where="number of records", was="some", now="more or fewer")


def _formats(old: VersionExchange, new: VersionExchange, what: str) -> Iterator[Change]:
    for was, now in common(old, new):
        for path, one in was.fields.items():
            other = now.fields.get(path)
            before = frozenset(form for form in one.formats if form.startswith(what))
            if other is None or not before or "string" not in other.types:
                continue
            after = other.formats or frozenset({f"no {what}"})
            if not after <= before:
                place = {"old_line": one.line, "new_line": other.line}
                where = f"{was.kind} {path}"
                yield Change(where=where, was=listed(sorted(before)), now=listed(sorted(after)), **place)


def _form(record: RecordShape) -> str:
    fields = (f"{path} {' or '.join(sorted(one.types))}" for path, one in record.fields.items())
    return listed(fields)
