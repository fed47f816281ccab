"""A script: what will be played on one connection for one request, and when.

A script is a sequence of segments and one ending. A segment is one TCP write, or a part of one where no time lies
between segments. It consists of parts: the head, a chunk, the last chunk, or raw bytes. Parts keep their meaning, so
that a fault can strike "after record 3" and not only "at byte 412". Times are absolute, in seconds after the request
arrived, so that lateness never adds up.

Scripts are immutable. Each method that changes one returns another, which shares the parts that did not change. Faults
are built from these methods. A place is found through the body: `body_parts` are the parts that carry it. `split_at`
and `split_part` put a segment boundary at an offset and return the index of the segment that begins there. A fault then
cuts, inserts or delays at that index. The segments of a long recording are lazy; a fault makes them all, because it
reads them more than once.

`Script.render` turns the parts into exact bytes. The server, the reference and the proof all start from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from itertools import dropwhile, takewhile

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.recordings.lazy import Lazy, mapped
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.records import Item, items_of, record_ends
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
    """The exact bytes of each segment, and the ending."""

    segments: Sequence[RenderedSegment]
    ending: ScriptEnd

    @property
    def wire(self) -> bytes:
        return b"".join(segment.data for segment in self.segments)


@dataclass(frozen=True, slots=True)
class HeadCondition:
    """What a picky server demands of a request's head, and the refusal that it plays otherwise."""

    rule: HeadPredicate
    refusal: Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What will be played. `method` is the request's (an answer to HEAD has no body).

    `path` and `version` are those of the recording, or "": an error in its place has the shape of that route.

    A script that `awaits_request` is played when a request has been read; any other when a connection is accepted.
    With `conditions` it is played only to a request that meets them all; see `answer_to`. `struck_by` are the faults
    that made it, in their order; scripts are equal whatever made them.
    """

    method: str
    segments: Sequence[Segment]
    ending: ScriptEnd
    awaits_request: bool = True
    conditions: tuple[HeadCondition, ...] = ()
    path: str = ""
    version: str = ""
    struck_by: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.segments, Lazy):
            return  # of a recording: its times were checked when it was loaded
        times = [segment.at_s for segment in self.segments] + [self.ending.at_s]
        if times != sorted(times):
            raise ValueError(f"the times of a script must not go backwards: {times}")

    @classmethod
    def from_recording(cls, recording: Recording, *, speed: float = 1.0, gap_s: float | None = None) -> Script:
        """The script that plays a recording.

        `speed` is 1 for the recorded times, 10 for ten times as fast, 0 for as fast as possible. With `gap_s` all gaps
        (before the head, between frames, before the end) last that many seconds instead.
        """
        request = recording.request
        script = cls(
            method=request.method,
            segments=segments_of(recording),
            ending=script_end_of(recording),
            path=request.path,
            version=recording.ollama_version,
        )
        if gap_s is not None:
            return script.with_gap(gap_s)
        return script.at_speed(speed)

    def at_speed(self, speed: float) -> Script:
        """The same script with all times divided by `speed`; 0 makes them all 0."""
        factor = 1 / speed if speed else 0.0
        return self.timed(lambda _, at_s: at_s * factor)

    def with_gap(self, gap_s: float) -> Script:
        """The same script with `gap_s` seconds before each segment and before the end."""
        return self.timed(lambda index, _: gap_s * (index + 1))

    def timed(self, when: Callable[[int, float], float]) -> Script:
        """The same script with segment i at `when(i, its time)`; the ending counts as one more segment."""
        segments = mapped(
            lambda index, old: Segment(when(index, old.at_s), old.parts, old.awaits, old.apart), self.segments
        )
        return replace(self, segments=segments, ending=replace(self.ending, at_s=when(len(segments), self.ending.at_s)))

    def unmet(self, head: RequestHead) -> str:
        """How a request breaks the first condition that it breaks; "" if it breaks none."""
        return next(filter(None, (condition.rule.unmet(head) for condition in self.conditions)), "")

    def answer_to(self, head: RequestHead | None) -> Script:
        """What is really played to a request: this script, or the refusal of the first condition that it breaks."""
        broken = (one for one in self.conditions if head is not None and one.rule.unmet(head))
        return next((condition.refusal for condition in broken), self)

    def render(self, *, date: str) -> RenderedScript:
        """The exact bytes, with `date` (an IMF-fixdate) in the head."""
        return RenderedScript(mapped(lambda _, segment: segment.rendered(date), self.segments), self.ending)

    # ------------------------------------------------------------------------------ for faults: where things are

    @property
    def head(self) -> Head | None:
        """The head, or None if a fault removed it."""
        return next((part for _, _, part in self.parts() if isinstance(part, Head)), None)

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        """Each part with the index of its segment and its index in that segment."""
        for i, segment in enumerate(self.segments):
            for j, part in enumerate(segment.parts):
                yield i, j, part

    def body_parts(self) -> list[tuple[int, int, Chunk | Raw]]:
        """The parts that carry the body, in order; none if a fault has left the body without a known framing."""
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
        """The body as this script sends it, without the transfer coding."""
        return b"".join(part.data for _, _, part in self.body_parts())

    def record_ends(self) -> list[int]:
        """The offset in the body just after each record; [] for a body with a content coding."""
        head = self.head
        return [] if head is None or head.header("content-encoding") else record_ends(head.media_type, self.body)

    def items(self) -> list[Item]:
        """The records of the body, and the ends of an event stream; [] for a body with a content coding."""
        head = self.head
        return [] if head is None or head.header("content-encoding") else items_of(head.media_type, self.body)

    def split_at(self, offset: int) -> tuple[Script, int]:
        """The same body with a segment boundary at `offset`; returns the script and the index of the segment there.

        A chunk with the offset inside it becomes two chunks. At the end of the body the index is that of the segment
        after the last byte.
        """
        start = 0
        for i, j, part in self.body_parts():
            if offset <= start:
                return self._split_segment(i, j)
            if offset < start + len(part.data):
                if part != type(part)(part.data):
                    raise FaultDoesNotApply("an earlier fault has broken this chunk, so it cannot be split in two")
                left, right = type(part)(part.data[: offset - start]), type(part)(part.data[offset - start :])
                parts = self.segments[i].parts
                segment = replace(self.segments[i], parts=(*parts[:j], left, right, *parts[j + 1 :]))
                script = replace(self, segments=(*self.segments[:i], segment, *self.segments[i + 1 :]))
                return script._split_segment(i, j + 1)
            start += len(part.data)
        if offset > start:
            raise ValueError(f"the body has {start} bytes, there is no offset {offset}")
        last = self.body_parts()[-1] if self.body_parts() else (0, 0, None)
        return self._split_segment(last[0], last[1] + 1)

    def split_part(self, i: int, j: int, offset: int) -> tuple[Script, int]:
        """The same bytes with a segment boundary `offset` bytes into part `j` of segment `i`, whatever is there.

        Returns the script and the index of the segment that begins at the boundary.
        """
        part, size = self.segments[i].parts[j], len(self.segments[i].parts[j].wire(http_date(0)))
        if offset == 0:
            return self._split_segment(i, j)
        if offset == size:
            return self._split_segment(i, j + 1)
        if not 0 < offset < size:
            raise ValueError(f"the part has {size} bytes, there is no offset {offset}")
        parts, halves = self.segments[i].parts, slices(part, (0, offset, size))
        segment = replace(self.segments[i], parts=(*parts[:j], *halves, *parts[j + 1 :]))
        return replace(self, segments=(*self.segments[:i], segment, *self.segments[i + 1 :]))._split_segment(i, j + 1)

    def _split_segment(self, i: int, j: int) -> tuple[Script, int]:
        """The same script with a segment that begins at part `j` of segment `i`, and the index of that segment."""
        segment = self.segments[i]
        if j == 0:
            return self, i
        if j == len(segment.parts):
            return self, i + 1
        pair = (replace(segment, parts=segment.parts[:j]), replace(segment, parts=segment.parts[j:]))
        return replace(self, segments=(*self.segments[:i], *pair, *self.segments[i + 1 :])), i + 1

    def cut(self, index: int, how: ConnectionEnd) -> Script:
        """The segments before `index`, and then at once this ending."""
        kept = self.segments[:index]
        return replace(self, segments=kept, ending=ScriptEnd(how=how, at_s=kept[-1].at_s if kept else 0.0))

    def insert(self, index: int, part: Part) -> Script:
        """The same script with `part` as a segment of its own before segment `index`, sent with the one before it."""
        at_s = self.segments[index - 1].at_s if index else 0.0
        return replace(self, segments=(*self.segments[:index], Segment(at_s, (part,)), *self.segments[index:]))


def http_date(timestamp: float | None = None) -> str:
    """An IMF-fixdate (RFC 9110 section 5.6.7) of `timestamp` (seconds since the epoch), or of now."""
    return formatdate(timestamp, usegmt=True)
