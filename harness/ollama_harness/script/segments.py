"""Segments and endings, which scripts consist of; and those of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ollama_harness.recordings.lazy import Lazy
from ollama_harness.recordings.recording import RecordedEnd, Recording
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Part, Raw

__all__ = ["ConnectionEnd", "RenderedSegment", "ScriptEnd", "Segment", "script_end_of", "segments_of"]


class ConnectionEnd(StrEnum):
    """What the server does with the connection after the last segment."""

    KEEP_OPEN = "keep-open"  # wait for the next request
    HALF_CLOSE = "half-close"  # FIN, and go on reading until the client leaves
    CLOSE = "close"  # FIN
    RESET = "reset"  # RST
    HOLD = "hold"  # send nothing more, and wait until the client leaves
    IGNORE = "ignore"  # send nothing and read nothing more, until the server stops
    REFUSE = "refuse"  # no connection: nothing listens


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptEnd:
    """How the connection ends, and when (seconds after the request arrived)."""

    how: ConnectionEnd
    at_s: float


class RenderedSegment(NamedTuple):
    """The exact bytes of a segment."""

    at_s: float
    data: bytes
    awaits: int = 0
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its parts are sent in one write, `at_s` seconds after the request arrived.

    In lock-step it is sent only after the client has yielded `awaits` records, or after a limit. One that is `apart`
    has a write of its own; any other may share one with the segment before it, if no time lies between them.
    """

    at_s: float
    parts: tuple[Part, ...]
    awaits: int = 0
    apart: bool = False

    def rendered(self, date: str) -> RenderedSegment:
        """The exact bytes of this segment, with `date` in the head."""
        data = b"".join([part.wire(date) for part in self.parts])
        return RenderedSegment(self.at_s, data, self.awaits, self.apart)


def segments_of(recording: Recording) -> Sequence[Segment]:
    """The segments that play a recording, at its times: a tuple, or lazy if its frames are lazy."""
    response, frames = recording.response, recording.frames
    head = _head(recording)
    part = Chunk if head.chunked else Raw
    together = bool(frames) and frames[0].at_s == response.head_at_s  # arrived in one read, so sent in one write
    ends_in_chunk = head.chunked and recording.ended is RecordedEnd.COMPLETE and not _bodiless(recording, head)

    def segment(index: int) -> Segment:
        if index == 0:
            return Segment(response.head_at_s, (head, part(frames[0].data)) if together else (head,))
        if index - 1 + together == len(frames):
            return Segment(recording.ended_at_s, (LastChunk(),))
        frame = frames[index - 1 + together]
        return Segment(frame.at_s, (part(frame.data),))

    segments = Lazy(1 + len(frames) - together + ends_in_chunk, segment)
    return segments if isinstance(frames, Lazy) else tuple(segments)


def script_end_of(recording: Recording) -> ScriptEnd:
    """How the server ends the connection when it plays a recording."""
    return ScriptEnd(how=_how(recording, _head(recording)), at_s=recording.ended_at_s)


def _head(recording: Recording) -> Head:
    response = recording.response
    return Head(response.status, response.reason, response.headers)


def _how(recording: Recording, head: Head) -> ConnectionEnd:
    match recording.ended:
        case RecordedEnd.EOF:
            return ConnectionEnd.CLOSE
        case RecordedEnd.RESET:
            return ConnectionEnd.RESET
        case RecordedEnd.TIMEOUT:
            return ConnectionEnd.HOLD
        case RecordedEnd.COMPLETE:
            delimited = head.chunked or head.header("content-length") is not None or _bodiless(recording, head)
            closes = (head.header("connection") or "").lower() == "close"
            return ConnectionEnd.CLOSE if closes or not delimited else ConnectionEnd.KEEP_OPEN


def _bodiless(recording: Recording, head: Head) -> bool:
    """Whether the answer has no body, whatever its head says (RFC 9112 section 6.3, rule 1)."""
    return recording.request.method == "HEAD" or head.status in (204, 304)
