"""Helpers of faults: take a body apart into pieces with their times, and build a script from pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Raw
from ollama_harness.script.script import Script, Segment

__all__ = ["Piece", "head_of", "pieces", "record_span", "records", "require_plain", "with_head", "with_pieces"]

#: When some bytes of a body are sent (seconds), and the bytes.
Piece = tuple[float, bytes]


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
    ends = script.record_ends()
    index = n - 1 if n > 0 else len(ends) + n
    if n == 0 or not 0 <= index < len(ends):
        raise FaultDoesNotApply(f"there is no record {n}: this script sends {len(ends)}")
    return (ends[index - 1] if index else 0), ends[index]


def pieces(script: Script) -> list[Piece]:
    """The body as it is sent, a piece for each chunk."""
    return [(script.segments[i].at_s, part.data) for i, _, part in script.body_parts()]


def records(script: Script) -> list[Piece]:
    """The records of the body with their line ends, each with the time of its last byte; the rest is dropped.

    Raises: FaultDoesNotApply, if there are none.
    """
    ends = script.record_ends()
    if not ends:
        raise FaultDoesNotApply("this script sends no records")
    body, times = script.body, list(_times(script))
    return [(times[end - 1], body[start:end]) for start, end in itertools.pairwise([0, *ends])]


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


def _times(script: Script) -> Iterator[float]:
    """When each byte of the body is sent, in seconds."""
    for at_s, data in pieces(script):
        yield from itertools.repeat(at_s, len(data))
