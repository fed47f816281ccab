"""A script: what will be played on one connection for one request, and when.

A script is a sequence of sends and one ending. A send is one segment (one TCP write) made of parts: the head, a
chunk, the last chunk, or raw bytes. Parts keep what they mean, so that a fault can strike "after record 3" and not
only "at byte 412". Times are absolute, in seconds from the request's arrival, so that lateness never adds up.

`Script.render` turns parts into the exact bytes; server, reference and probe all start from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from itertools import dropwhile, takewhile

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.recordings.lazy import Lazy, mapped
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.records import record_ends
from ollama_harness.script.head_predicates import HeadPredicate
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Part, Raw, slices
from ollama_harness.script.segments import (
    ConnectionEnd,
    RenderedSegment,
    ScriptEnd,
    Segment,
    script_end_of,
    segments_of,
)

__all__ = [
    "ConnectionEnd",
    "HeadCondition",
    "RenderedScript",
    "RenderedSegment",
    "Script",
    "ScriptEnd",
    "Segment",
    "http_date",
]


@dataclass(frozen=True, slots=True)
class RenderedScript:
    """Exact bytes: the segments, then the ending."""

    segments: Sequence[RenderedSegment]
    ending: ScriptEnd

    @property
    def wire(self) -> bytes:
        return b"".join(segment.data for segment in self.segments)


@dataclass(frozen=True, slots=True)
class HeadCondition:
    """What a picky server demands of a request's head, and what it plays to one that breaks the demand."""

    rule: HeadPredicate
    refusal: Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What will be played. `method` is the request's (an answer to HEAD has no body).

    A script that `awaits_request` plays once a request has been read; another as soon as a connection is accepted.
    It plays to a request that meets its `conditions`; see `answer_to`.
    """

    method: str
    segments: Sequence[Segment]
    ending: ScriptEnd
    awaits_request: bool = True
    conditions: tuple[HeadCondition, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.segments, Lazy):
            return  # they are a recording's, whose times were checked when it was loaded
        times = [send.at_s for send in self.segments] + [self.ending.at_s]
        if times != sorted(times):
            raise ValueError(f"the times of a script must not go backwards: {times}")

    @classmethod
    def from_recording(cls, recording: Recording, *, speed: float = 1.0, gap_s: float | None = None) -> Script:
        """The script that plays a recording.

        `speed` 1 is as recorded, 10 ten times as fast, 0 as fast as possible. With `gap_s` all gaps (before the
        head, between frames, before the end) last that many seconds instead.
        """
        script = cls(method=recording.request.method, segments=segments_of(recording), ending=script_end_of(recording))
        if gap_s is not None:
            return script.with_gap(gap_s)
        return script.at_speed(speed)

    def at_speed(self, speed: float) -> Script:
        """The same with all times divided by `speed`; 0 makes them all 0."""
        factor = 1 / speed if speed else 0.0
        return self.timed(lambda _, at_s: at_s * factor)

    def with_gap(self, gap_s: float) -> Script:
        """The same with `gap_s` seconds before each segment and before the end."""
        return self.timed(lambda index, _: gap_s * (index + 1))

    def timed(self, when: Callable[[int, float], float]) -> Script:
        """The same with send i at `when(i, its time)`, the ending as if it came after the last."""
        segments = mapped(lambda index, send: Segment(when(index, send.at_s), send.parts, send.awaits), self.segments)
        return replace(self, segments=segments, ending=replace(self.ending, at_s=when(len(segments), self.ending.at_s)))

    def unmet(self, head: RequestHead) -> str:
        """How a request breaks the first of the demands that it breaks; "" if it breaks none."""
        return next(filter(None, (demand.rule.unmet(head) for demand in self.conditions)), "")

    def answer_to(self, head: RequestHead | None) -> Script:
        """What is really played to a request: this script, or the refusal of the first demand that it breaks."""
        broken = (demand for demand in self.conditions if head is not None and demand.rule.unmet(head))
        return next((demand.refusal for demand in broken), self)

    def render(self, *, date: str) -> RenderedScript:
        """The exact bytes, with `date` (an IMF-fixdate) in the head."""
        return RenderedScript(mapped(lambda _, send: send.rendered(date), self.segments), self.ending)

    # ------------------------------------------------------------------------------ for faults: where things are

    @property
    def head(self) -> Head | None:
        """The head, if the script still has one."""
        return next((part for _, _, part in self.parts() if isinstance(part, Head)), None)

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        """Each part with the index of its send and its index in there."""
        for i, send in enumerate(self.segments):
            for j, part in enumerate(send.parts):
                yield i, j, part

    def body_parts(self) -> list[tuple[int, int, Chunk | Raw]]:
        """The parts that carry the body, in order; none if a fault left it without a known framing."""
        head = self.head
        if head is None:
            return []
        after = list(dropwhile(lambda each: each[2] is not head, self.parts()))[1:]
        parts = list(takewhile(lambda each: not isinstance(each[2], LastChunk), after))
        kind = Chunk if head.chunked else Raw
        whole = all(isinstance(part, kind) for _, _, part in parts)
        return [(i, j, part) for i, j, part in parts if isinstance(part, kind)] if whole else []

    @property
    def body(self) -> bytes:
        """The body as this script sends it, transfer coding removed."""
        return b"".join(part.data for _, _, part in self.body_parts())

    def record_ends(self) -> list[int]:
        """The offsets in the body just after each record; none can be told in a body that is encoded."""
        head = self.head
        return [] if head is None or head.header("content-encoding") else record_ends(head.media_type, self.body)

    def split_at(self, offset: int) -> tuple[Script, int]:
        """The same body with a segment boundary at `offset`; returns it and the index of the send there.

        A chunk that holds the offset becomes two chunks. At the end of the body the index is that of the send
        after the last byte.
        """
        start = 0
        for i, j, part in self.body_parts():
            if offset <= start:
                return self._split_send(i, j)
            if offset < start + len(part.data):
                if part != type(part)(part.data):
                    raise FaultDoesNotApply("an earlier fault has broken this chunk, so it cannot be made two")
                left, right = type(part)(part.data[: offset - start]), type(part)(part.data[offset - start :])
                parts = self.segments[i].parts
                send = replace(self.segments[i], parts=(*parts[:j], left, right, *parts[j + 1 :]))
                script = replace(self, segments=(*self.segments[:i], send, *self.segments[i + 1 :]))
                return script._split_send(i, j + 1)
            start += len(part.data)
        if offset > start:
            raise ValueError(f"the body has {start} bytes, there is no offset {offset}")
        last = self.body_parts()[-1] if self.body_parts() else (0, 0, None)
        return self._split_send(last[0], last[1] + 1)

    def split_part(self, i: int, j: int, offset: int) -> tuple[Script, int]:
        """The same bytes with a segment boundary `offset` bytes into part `j` of send `i`, whatever stands there.

        Returns it and the index of the send that begins there.
        """
        part, size = self.segments[i].parts[j], len(self.segments[i].parts[j].wire(http_date(0)))
        if offset == 0:
            return self._split_send(i, j)
        if offset == size:
            return self._split_send(i, j + 1)
        if not 0 < offset < size:
            raise ValueError(f"the part has {size} bytes, there is no offset {offset}")
        parts, halves = self.segments[i].parts, slices(part, (0, offset, size))
        send = replace(self.segments[i], parts=(*parts[:j], *halves, *parts[j + 1 :]))
        return replace(self, segments=(*self.segments[:i], send, *self.segments[i + 1 :]))._split_send(i, j + 1)

    def _split_send(self, i: int, j: int) -> tuple[Script, int]:
        """Make part `j` of send `i` begin a send of its own; returns the index of that send."""
        send = self.segments[i]
        if j == 0:
            return self, i
        if j == len(send.parts):
            return self, i + 1
        pair = (replace(send, parts=send.parts[:j]), replace(send, parts=send.parts[j:]))
        return replace(self, segments=(*self.segments[:i], *pair, *self.segments[i + 1 :])), i + 1

    def cut(self, index: int, how: ConnectionEnd) -> Script:
        """Keep the sends before `index`, then end at once in the way of `how`."""
        kept = self.segments[:index]
        return replace(self, segments=kept, ending=ScriptEnd(how=how, at_s=kept[-1].at_s if kept else 0.0))

    def insert(self, index: int, part: Part) -> Script:
        """Send `part` as a segment of its own before send `index`, at the time of the one before it."""
        at_s = self.segments[index - 1].at_s if index else 0.0
        return replace(self, segments=(*self.segments[:index], Segment(at_s, (part,)), *self.segments[index:]))


def http_date(timestamp: float | None = None) -> str:
    """An IMF-fixdate (RFC 9110 section 5.6.7), of now without `timestamp` (seconds since the epoch)."""
    return formatdate(timestamp, usegmt=True)
