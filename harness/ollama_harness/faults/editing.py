"""Helpers of faults: take a body apart into pieces with their times, and build a script from pieces."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.recordings.records import Item
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Raw
from ollama_harness.script.script import Script, Segment

__all__ = [
    "ContentPart",
    "Piece",
    "content",
    "head_of",
    "json_span",
    "number_of",
    "pieces",
    "record_span",
    "require_plain",
    "with_head",
    "with_pieces",
]

#: When some bytes of a body are sent (seconds), and the bytes.
Piece = tuple[float, bytes]


class ContentPart(NamedTuple):
    """A part of a body with the time of its last byte: a record, an end, or what lies between two of them (None)."""

    at_s: float
    data: bytes
    item: Item | None = None

    @property
    def is_record(self) -> bool:
        return self.item is not None and self.item.is_record


def head_of(script: Script) -> Head:
    """The head of a script.

    Raises: FaultDoesNotApply, if it sends none.
    """
    if script.head is None:
        raise FaultDoesNotApply("this script sends no head that could be changed or replaced")
    return script.head


def with_head(script: Script, head: Head) -> Script:
    """The same script with another head."""
    segments = (
        replace(segment, parts=tuple(head if isinstance(part, Head) else part for part in segment.parts))
        for segment in script.segments
    )
    return replace(script, segments=tuple(segments))


def record_span(script: Script, n: int) -> tuple[int, int]:
    """Where in the body record `n` begins and ends. The first is 1, the last -1.

    Raises: FaultDoesNotApply, if there is no such record.
    """
    item = _record(script, n)
    return item.start, item.end


def json_span(script: Script, n: int) -> tuple[int, int]:
    """Where in the body the JSON of record `n` is: the line, or the data of the event.

    Raises: FaultDoesNotApply, if there is no such record, or its data is on several lines.
    """
    item = _record(script, n)
    start = script.body.find(item.data, item.start, item.end)
    if start < 0:
        raise FaultDoesNotApply(f"record {n} has its data on several lines: change it before you cut it")
    return start, start + len(item.data)


def _record(script: Script, n: int) -> Item:
    records = [item for item in script.items() if item.is_record]
    return records[number_of(n, len(records)) - 1]


def number_of(n: int, count: int) -> int:
    """The number of record `n` of `count`, from 1. The last is -1.

    Raises: FaultDoesNotApply, if there is no such record.
    """
    number = n if n > 0 else count + 1 + n
    if n == 0 or not 1 <= number <= count:
        raise FaultDoesNotApply(f"there is no record {n}: this script sends {count}")
    return number


def pieces(script: Script) -> list[Piece]:
    """The body as it is sent, a piece for each chunk."""
    return [(script.segments[i].at_s, part.data) for i, _, part in script.body_parts()]


def content(script: Script) -> list[ContentPart]:
    """The whole body in parts, each with the time of its last byte.

    Raises: FaultDoesNotApply, if it has no records.
    """
    items, body, sent = script.items(), script.body, pieces(script)
    if not any(item.is_record for item in items):
        raise FaultDoesNotApply("this script sends no records")
    edges = sorted({0, len(body), *(edge for item in items for edge in (item.start, item.end))})
    starts = {item.start: item for item in items}
    ends = list(itertools.accumulate(len(data) for _, data in sent))
    return [
        ContentPart(sent[bisect.bisect_left(ends, end)][0], body[start:end], starts.get(start))
        for start, end in itertools.pairwise(edges)
    ]


def with_pieces(script: Script, body: Iterable[Piece]) -> Script:
    """The same answer with another body: a chunk for each piece, or a segment for each and the right Content-Length.

    Raises: FaultDoesNotApply, if an earlier fault has left no plain framing.
    """
    body = list(body)
    require_plain(script)
    head = head_of(script)
    if head.header("content-length") is not None:
        script = with_head(script, head.with_header("Content-Length", str(sum(len(data) for _, data in body))))
    kind = Chunk if head.chunked else Raw
    together = bool(script.body_parts()) and script.body_parts()[0][0] == 0
    segments = [replace(script.segments[0], parts=script.segments[0].parts[:1])]
    for index, (at_s, data) in enumerate(body):
        if index == 0 and together:
            segments = [replace(segments[0], parts=(*segments[0].parts, kind(data)))]
        else:
            segments.append(Segment(max(at_s, segments[-1].at_s), (kind(data),)))
    for i, _, part in script.parts():
        if isinstance(part, LastChunk):
            segments.append(
                replace(script.segments[i], at_s=max(script.segments[i].at_s, segments[-1].at_s), parts=(part,))
            )
    ending = replace(script.ending, at_s=max(script.ending.at_s, segments[-1].at_s))
    return replace(script, segments=tuple(segments), ending=ending)


def require_plain(script: Script) -> None:
    """Raise FaultDoesNotApply if an earlier fault changed the framing, because rebuilding the body would undo it."""
    head, parts = head_of(script), [part for _, _, part in script.parts()]
    body = [part for _, _, part in script.body_parts()]
    length = head.header("content-length")
    plain = (
        parts == [head, *body, *(part for part in parts[-1:] if isinstance(part, LastChunk))]
        and all(part == type(part)(part.data) for part in body)
        and (length is None or (not head.chunked and length == str(len(script.body))))
        and not any(segment.awaits for segment in script.segments)
    )
    if not plain:
        raise FaultDoesNotApply("an earlier fault has changed framing or pace: put the fault of the body before it")
