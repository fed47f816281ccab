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

from harness.demands import Rule
from harness.errors import FaultDoesNotApply
from harness.http1 import RequestHead
from harness.parts import Chunk, Head, LastChunk, Part, Raw, slices
from harness.recording import Recording
from harness.records import record_ends
from harness.sends import Ending, HowItEnds, Segment, Send, ending_of, sends_of
from harness.unkept import Unkept, mapped

__all__ = ["Demand", "Ending", "HowItEnds", "Rendered", "Script", "Segment", "Send", "http_date"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Exact bytes: the segments, then the ending."""

    segments: Sequence[Segment]
    ending: Ending

    @property
    def wire(self) -> bytes:
        return b"".join(segment.data for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a picky server demands of a request's head, and what it plays to one that breaks the demand."""

    rule: Rule
    refusal: Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What will be played. `method` is the request's (an answer to HEAD has no body).

    A script that `awaits_request` plays once a request has been read; another as soon as a connection is accepted.
    It plays to a request that meets its `demands`; see `answer_to`.
    """

    method: str
    sends: Sequence[Send]
    ending: Ending
    awaits_request: bool = True
    demands: tuple[Demand, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.sends, Unkept):
            return  # they are a recording's, whose times were checked when it was loaded
        times = [send.at_s for send in self.sends] + [self.ending.at_s]
        if times != sorted(times):
            raise ValueError(f"the times of a script must not go backwards: {times}")

    @classmethod
    def from_recording(cls, recording: Recording, *, speed: float = 1.0, gap_s: float | None = None) -> Script:
        """The script that plays a recording.

        `speed` 1 is as recorded, 10 ten times as fast, 0 as fast as possible. With `gap_s` all gaps (before the
        head, between frames, before the end) last that many seconds instead.
        """
        script = cls(method=recording.request.method, sends=sends_of(recording), ending=ending_of(recording))
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
        sends = mapped(lambda index, send: Send(when(index, send.at_s), send.parts, send.awaits), self.sends)
        return replace(self, sends=sends, ending=replace(self.ending, at_s=when(len(sends), self.ending.at_s)))

    def unmet(self, head: RequestHead) -> str:
        """How a request breaks the first of the demands that it breaks; "" if it breaks none."""
        return next(filter(None, (demand.rule.unmet(head) for demand in self.demands)), "")

    def answer_to(self, head: RequestHead | None) -> Script:
        """What is really played to a request: this script, or the refusal of the first demand that it breaks."""
        broken = (demand for demand in self.demands if head is not None and demand.rule.unmet(head))
        return next((demand.refusal for demand in broken), self)

    def render(self, *, date: str) -> Rendered:
        """The exact bytes, with `date` (an IMF-fixdate) in the head."""
        return Rendered(mapped(lambda _, send: send.rendered(date), self.sends), self.ending)

    # ------------------------------------------------------------------------------ for faults: where things are

    @property
    def head(self) -> Head | None:
        """The head, if the script still has one."""
        return next((part for _, _, part in self.parts() if isinstance(part, Head)), None)

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        """Each part with the index of its send and its index in there."""
        for i, send in enumerate(self.sends):
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
                parts = self.sends[i].parts
                send = replace(self.sends[i], parts=(*parts[:j], left, right, *parts[j + 1 :]))
                script = replace(self, sends=(*self.sends[:i], send, *self.sends[i + 1 :]))
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
        part, size = self.sends[i].parts[j], len(self.sends[i].parts[j].wire(http_date(0)))
        if offset == 0:
            return self._split_send(i, j)
        if offset == size:
            return self._split_send(i, j + 1)
        if not 0 < offset < size:
            raise ValueError(f"the part has {size} bytes, there is no offset {offset}")
        parts, halves = self.sends[i].parts, slices(part, (0, offset, size))
        send = replace(self.sends[i], parts=(*parts[:j], *halves, *parts[j + 1 :]))
        return replace(self, sends=(*self.sends[:i], send, *self.sends[i + 1 :]))._split_send(i, j + 1)

    def _split_send(self, i: int, j: int) -> tuple[Script, int]:
        """Make part `j` of send `i` begin a send of its own; returns the index of that send."""
        send = self.sends[i]
        if j == 0:
            return self, i
        if j == len(send.parts):
            return self, i + 1
        pair = (replace(send, parts=send.parts[:j]), replace(send, parts=send.parts[j:]))
        return replace(self, sends=(*self.sends[:i], *pair, *self.sends[i + 1 :])), i + 1

    def cut(self, index: int, how: HowItEnds) -> Script:
        """Keep the sends before `index`, then end at once in the way of `how`."""
        kept = self.sends[:index]
        return replace(self, sends=kept, ending=Ending(how=how, at_s=kept[-1].at_s if kept else 0.0))

    def insert(self, index: int, part: Part) -> Script:
        """Send `part` as a segment of its own before send `index`, at the time of the one before it."""
        at_s = self.sends[index - 1].at_s if index else 0.0
        return replace(self, sends=(*self.sends[:index], Send(at_s, (part,)), *self.sends[index:]))


def http_date(timestamp: float | None = None) -> str:
    """An IMF-fixdate (RFC 9110 section 5.6.7), of now without `timestamp` (seconds since the epoch)."""
    return formatdate(timestamp, usegmt=True)
