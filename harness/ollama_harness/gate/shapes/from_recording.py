"""From a recording to its shape.

The body is cut into records, and each record gets a kind: first, middle, last, error, or a name that Ollama itself
gives (the `type` of an event, the `status` of a progress record). All records of one kind are merged into one
`RecordShape`, so that a stream of ten records and one of a thousand have the same shape. For that, `_Draft` walks
through each record and notes for each path (`.message.tool_calls[].id`) the JSON types, the formats and the words that
occur, and how often. A field is `always` there if it occurs as often as the object that holds it. The keys of each
object are merged into one order, as long as the records do not contradict each other. Values are dropped, except words
of a short list: a client can depend on `done_reason` being `stop`, but not on a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ollama_harness.gate.shapes.formats import WORDS, anonymous, escapes, format_of, normal_route, status_kind
from ollama_harness.gate.shapes.shape import Chunking, FieldShape, Newline, RecordKind, RecordShape, Shape
from ollama_harness.recordings.events import DONE, NO_JSON
from ollama_harness.recordings.recording import Headers, Recording
from ollama_harness.recordings.records import STREAMS, Item, items_of

__all__ = ["shape"]

#: The model writes these objects, and not Ollama, so no client can depend on their fields.
_OPAQUE = ("arguments",)


def shape(recording: Recording) -> Shape:
    """What a client can depend on in this exchange."""
    response, media_type, body = recording.response, recording.response.media_type, recording.body
    stream, items = media_type in STREAMS, items_of(media_type, body)
    records = [item.value for item in items]
    kinds = [_kind(item, index, stream=stream) for index, item in enumerate(items)]
    if response.status >= 400 and kinds == [RecordKind.ONLY]:
        kinds = [RecordKind.ERROR]
    drafts: dict[str, _Draft] = {}
    for line, (kind, record) in enumerate(zip(kinds, records, strict=True), 1):
        drafts.setdefault(kind, _Draft(line)).add(record, line)
    terminal = next((index for index, item in enumerate(items, 1) if stream and item.is_last), len(items))
    return Shape(
        name=recording.name,
        route=normal_route(recording.request.method, recording.request.path),
        status=response.status,
        reason=response.reason,
        headers=_lasting(response.headers),
        framing=next((name for name in ("chunked", "length") if _framed(response.headers, name)), "none"),
        ended=str(recording.ended),
        stream=stream,
        records={kind: draft.shape(kind) for kind, draft in drafts.items()},
        ends_with=kinds[-1] if kinds else "",
        after_done=len(items) - terminal,
        newlines=_newlines(media_type, [body[item.start : item.end] for item in items]),
        chunking=_chunking(recording, [item.end for item in items]) if stream else None,
        escapes=escapes(body) if RecordKind.NO_JSON not in kinds else {},
        error=next((text for record in records if (text := _error_text(record)) is not None), None),
        recording=recording,
    )


def _kind(item: Item, index: int, *, stream: bool) -> str:
    match item.value:
        case _ if item.data == DONE:
            return RecordKind.DONE
        case _ if item.value is NO_JSON:
            return RecordKind.NO_JSON
        case {"error": _} if stream and "type" not in item.value:
            return RecordKind.ERROR
        case _ if not stream:
            return RecordKind.ONLY
        case {"done": True}:
            return RecordKind.LAST
        case {"type": str(name)}:
            return name
        case {"status": str(status)}:
            return status_kind(status)
        case {"choices": []}:
            return RecordKind.USAGE
        case {"choices": [{"finish_reason": str()}, *_]}:
            return RecordKind.FINISH
        case _:
            return RecordKind.MIDDLE if index else RecordKind.FIRST


def _lasting(headers: Headers) -> Headers:
    """The headers, without the values that change each time."""
    changing = ("date", "content-length")
    return tuple((name, "" if name.lower() in changing else value) for name, value in headers)


def _framed(headers: Headers, how: str) -> bool:
    names = {name.lower() for name, _ in headers}
    return ("transfer-encoding" if how == "chunked" else "content-length") in names


def _newlines(media_type: str, pieces: list[bytes]) -> frozenset[Newline]:
    """What ends the records. For events this is the end of the blank line."""
    if media_type not in (*STREAMS, "application/json"):
        return frozenset()
    return frozenset(
        Newline.CRLF if piece.endswith(b"\r\n") else Newline.LF if piece.endswith(b"\n") else Newline.NONE
        for piece in pieces
    )


def _chunking(recording: Recording, ends: list[int]) -> Chunking:
    edges, offset = {0}, 0
    for frame in recording.frames:
        offset += len(frame.data)
        edges.add(offset)
    if edges - {0, *ends}:
        return Chunking.SPLIT
    return Chunking.ONE if len(edges) > len(ends) else Chunking.SEVERAL


def _error_text(record: Any) -> str | None:
    """The text of an error. An error that is an object has a `message`."""
    error = record.get("error") if isinstance(record, Mapping) else None
    if isinstance(error, Mapping):
        error = error.get("message", json.dumps(error))
    return anonymous(error) if isinstance(error, str) else None


# ------------------------------------------------------------------------------------------------------- fields


@dataclass(slots=True)
class _Seen:
    """What has been seen of one field so far."""

    parent: str
    line: int
    count: int = 0
    types: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    lengths: set[int] = field(default_factory=set)


class _Draft:
    """The shape of all records of one kind, built while they are read."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._fields: dict[str, _Seen] = {}
        self._objects: dict[str, int] = {}
        self._orders: dict[str, list[str] | None] = {}

    def add(self, record: Any, line: int) -> None:
        if record is not NO_JSON:
            self._walk("", "", record, line)

    def _walk(self, path: str, key: str, value: Any, line: int) -> None:
        """Note the value at a path, and everything below it."""
        if isinstance(value, Mapping) and key not in _OPAQUE:
            self._objects[path] = self._objects.get(path, 0) + 1
            before = self._orders.get(path, [])
            self._orders[path] = None if before is None else _merged(before, list(value))
            for inner_key, inner in value.items():
                self._see(f"{path}.{inner_key}", path, inner_key, inner, line)
        elif isinstance(value, list):
            for inner in value:
                self._see(f"{path}[]", path, f"{key}[]", inner, line)

    def _see(self, path: str, parent: str, key: str, value: Any, line: int) -> None:
        if (seen := self._fields.get(path)) is None:
            seen = self._fields[path] = _Seen(parent, line)
        seen.count += 1
        seen.types.add(_type(value))
        if isinstance(value, str):
            if form := format_of(key, value):
                seen.formats.add(form)
            elif key in WORDS:
                seen.values.add(value)
        else:
            if isinstance(value, list) and any(isinstance(one, float) for one in value):
                seen.lengths.add(len(value))
            self._walk(path, key, value, line)

    def shape(self, kind: str) -> RecordShape:
        fields = {
            path: FieldShape(
                path=path,
                parent=seen.parent,
                types=frozenset(seen.types - {"integer"} if "number" in seen.types else seen.types),
                always=path.endswith("[]") or seen.count == self._objects[seen.parent],
                formats=frozenset(seen.formats),
                values=frozenset(seen.values),
                lengths=frozenset(seen.lengths),
                line=seen.line,
            )
            for path, seen in self._fields.items()
        }
        orders = {path: tuple(keys) for path, keys in self._orders.items() if keys is not None}
        return RecordShape(kind=kind, fields=fields, orders=orders, line=self._line)


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _merged(keys: list[str], more: list[str]) -> list[str] | None:
    """One order of keys that agrees with both, or None if they contradict each other."""
    common, known = [key for key in more if key in keys], set(more)
    if common != [key for key in keys if key in known]:
        return None
    merged, place = list(keys), 0
    for key in more:
        if key in keys:
            place = merged.index(key) + 1
        else:
            merged.insert(place, key)
            place += 1
    return merged
