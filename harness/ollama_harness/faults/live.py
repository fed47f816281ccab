"""Faults in an answer whose rest is not known yet: it is on its way from another server.

A fault is a function from a whole script to a whole script. So the faults are tried on what has arrived, record by
record: on a script of these segments, whose end is still open. If a fault does not apply, it does not strike yet, and
the record is sent as it came. If it applies, then its result begins with what was sent before, and the difference is
sent in place of the record. Where the result has an end of its own, the answer ends there. Otherwise what comes after
passes as it comes, and later by as much as the fault has moved the end.

Faults of the content strike only a stream that ends cleanly. They are tried as if it ended with each record.

Each try reads all that has arrived. Where that has taken long, because the stream is, the rest is kept back, and the
fault is tried once more at the end.

Not each fault can work so. One that gives the whole body another framing would have to know its length, and the last
record is known only at the end. Whether it does is found out beforehand: with recordings, each played record by record
and as a whole. If both give the same bytes at the same times, and the same end, the fault works in a live answer of
this media type. Some work if they are tried only at the end. All others need the whole answer, which is then kept back
until it is there.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import Fault
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.message_parts import LastChunk, slices
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

__all__ = ["LiveAnswer", "Strikes", "how_they_strike"]

#: No answer takes so long. An end that is due later is still open, and by so much later the rest comes.
_OPEN_S = 1e6
_OPEN = ScriptEnd(how=ConnectionEnd.HOLD, at_s=_OPEN_S)

#: A Date, of which only the length matters.
_DATE = "x" * 29

#: How long a fault may be tried on one answer, in all.
_MOST_TRYING_S = 0.25

#: With how many recordings is found out how faults strike.
_EXAMPLES = 3
#: How many segments the best of them have: after most places, something must follow, and it must not take long.
_SEGMENTS = 24


class Strikes(StrEnum):
    """When a fault is tried on a live answer."""

    EACH_RECORD = "each record"  # on what has arrived, before the record is sent
    ALONE = "alone"  # on the head and the record, as if there were no other
    AS_LAST = "as last"  # on what has arrived, as if this record were the last; then the rest passes
    AS_LAST_THEN_END = "as last, then end"  # the same, and then nothing passes but the end
    AT_END = "at the end"
    WHOLE = "whole"  # it needs the whole answer, of which nothing is sent before


_SUPPOSE_AN_END = (Strikes.ALONE, Strikes.AS_LAST, Strikes.AS_LAST_THEN_END)


class LiveAnswer:
    """An answer on its way, struck by faults in their order. `begun` is a script with its method, and no segments.

    `end` is None until it is known how the answer ends. `left_out` are the faults that have not struck, and why, and
    `unmet` is how the request broke a condition, or "". Times are in seconds since the request arrived.
    """

    def __init__(
        self, faults: Sequence[Fault], strikes: Sequence[Strikes], begun: Script, request: RequestHead | None = None
    ) -> None:
        self._stages = [_Stage(fault, how, begun, request) for fault, how in zip(faults, strikes, strict=True)]
        self._whole: list[Segment] | None = [] if Strikes.WHOLE in strikes else None
        self.end: ScriptEnd | None = None

    @property
    def left_out(self) -> tuple[tuple[Fault, str], ...]:
        return tuple((one.fault, one.why) for one in self._stages if not one.struck)

    @property
    def unmet(self) -> str:
        return next((one.unmet for one in self._stages if one.unmet), "")

    @property
    def struck(self) -> bool:
        return any(one.struck for one in self._stages)

    @property
    def needs_records(self) -> bool:
        """Whether what arrives must be given record by record, because a fault is still to be tried on each."""
        return self._whole is None and any(one.waits for one in self._stages)

    def feed(self, segments: Sequence[Segment]) -> list[Segment]:
        """What is to be sent now that these segments have arrived: the head, records, or a part of one."""
        if self._whole is not None:
            self._whole += segments
            return []
        return self._through(segments, None)

    def finish(self, end: ScriptEnd) -> list[Segment]:
        """What is to be sent at the end. An answer that was kept back is sent from now on, with its own gaps."""
        if self._whole is None:
            return self._through((), end)
        whole, end_s = _together(self._whole), end.at_s
        for stage in self._stages:
            whole, end = stage.whole(whole, end)
        later_s = end_s - self._whole[0].at_s if self._whole else 0.0
        self.end = replace(end, at_s=end.at_s + later_s)
        return [replace(one, at_s=one.at_s + later_s) for one in whole]

    def _through(self, segments: Sequence[Segment], end: ScriptEnd | None) -> list[Segment]:
        given = list(segments)
        for stage in self._stages:
            given = stage.feed(given) if given else []
            if end is not None and stage.end is None:
                given += stage.finish(end)
            end = stage.end
        self.end = end
        return given


class _Stage:
    """One fault in a live answer."""

    def __init__(self, fault: Fault, how: Strikes, begun: Script, request: RequestHead | None) -> None:
        self.fault, self._how, self._begun, self._request = fault, how, begun, request
        self._seen: list[Segment] = []
        self._sent = 0  # of those seen
        self._later_s = self._trying_s = 0.0
        self.struck, self.why, self.unmet = False, "nothing has arrived", ""
        self.end: ScriptEnd | None = None

    @property
    def waits(self) -> bool:
        return not self.struck and self._how is not Strikes.AT_END

    def feed(self, segments: list[Segment]) -> list[Segment]:
        if self.struck and self._how is Strikes.AS_LAST_THEN_END:
            segments = [one for one in segments if isinstance(one.parts[-1], LastChunk)]
        if self.struck:
            return [replace(one, at_s=one.at_s + self._later_s) for one in segments]
        if self._how is Strikes.ALONE:
            del self._seen[1:]
            self._sent = len(self._seen)
        self._seen += segments
        if self._trying_s > _MOST_TRYING_S and self._how is not Strikes.ALONE:
            return []
        if self._how is not Strikes.AT_END:
            began_s = time.perf_counter()
            new = self._tried(_OPEN)
            self._trying_s += time.perf_counter() - began_s
            if new is not None:
                self._seen.clear()
                return new
        self._sent = len(self._seen)
        return segments

    def finish(self, end: ScriptEnd) -> list[Segment]:
        new = [] if self.struck else self._tried(end)
        if self.end is None:
            self.end = replace(end, at_s=end.at_s + self._later_s)
        return self._seen[self._sent :] if new is None else new

    def whole(self, segments: tuple[Segment, ...], end: ScriptEnd) -> tuple[tuple[Segment, ...], ScriptEnd]:
        try:
            script = self._strike(segments, end)
        except FaultDoesNotApply as error:
            self.why = str(error)
            return segments, end
        self.struck = True
        return tuple(script.segments), script.ending

    def _tried(self, end: ScriptEnd) -> list[Segment] | None:
        """What the fault makes of all that was not sent; None if it does not strike yet."""
        seen = tuple(self._seen)
        ends_too = self._how in _SUPPOSE_AN_END and end is _OPEN and not isinstance(seen[-1].parts[-1], LastChunk)
        try:
            script = self._strike((*seen, Segment(seen[-1].at_s, (LastChunk(),))) if ends_too else seen, end)
        except FaultDoesNotApply as error:
            self.why = str(error)
            return None
        segments = script.segments
        if ends_too and segments and segments[-1].parts == (LastChunk(),):
            segments = segments[:-1]
        new = _after(segments, _wire(self._seen[: self._sent]))
        if new is None:
            self.why = "what it would change has been sent already"
            return None
        self.struck = True
        if script.ending.at_s < _OPEN_S:
            self.end = script.ending
        else:
            self._later_s = round(script.ending.at_s - _OPEN_S, 6)
        return new

    def _strike(self, segments: tuple[Segment, ...], end: ScriptEnd) -> Script:
        script = self.fault(replace(self._begun, segments=segments, ending=end))
        if self._request is not None:
            self.unmet = script.unmet(self._request)
        script = script.answer_to(self._request)
        script.render(date=_DATE)
        return script


def _together(segments: list[Segment]) -> tuple[Segment, ...]:
    """The segments; a record that has arrived with the head is in its segment, as in a recording."""
    if len(segments) < 2 or segments[0].at_s != segments[1].at_s:
        return tuple(segments)
    first, second, *rest = segments
    return replace(first, parts=(*first.parts, *second.parts)), *rest


def _after(segments: Sequence[Segment], sent: bytes) -> list[Segment] | None:
    """The segments without their first bytes, which were sent already; None if they do not begin with these."""
    if not _wire(segments).startswith(sent):
        return None
    found, left = [], len(sent)
    for segment in segments:
        parts = list(segment.parts)
        while parts and left:
            size = len(parts[0].wire(_DATE))
            if size > left:
                parts[0] = list(slices(parts[0], (0, left, size)))[1]
            else:
                parts.pop(0)
            left -= min(size, left)
        if parts:
            found.append(replace(segment, parts=tuple(parts)))
    return found


def _wire(segments: Iterable[Segment]) -> bytes:
    return b"".join(segment.rendered(_DATE).data for segment in segments)


# ------------------------------------------------------------------------------------------ which faults work so


def how_they_strike(faults: Sequence[Fault], scripts: Iterable[Script]) -> tuple[Strikes, ...]:
    """When each of these faults can be tried, so that a live answer is the same as one that was struck as a whole.

    It is found out with those of the scripts, recordings of one media type, that they strike. If they strike none: ().
    """
    nearest = sorted(scripts, key=lambda one: abs(len(one.segments) - _SEGMENTS))
    struck = (_in_parts(one) for one in nearest if any(_strikes(fault, one) for fault in faults))
    examples = list(itertools.islice(struck, _EXAMPLES))
    how = tuple(_how_it_strikes(fault, examples) for fault in faults)
    if examples and (Strikes.WHOLE in how or not _is_same(faults, how, examples)):
        return (Strikes.WHOLE,) * len(faults)
    return how if examples else ()


def _how_it_strikes(fault: Fault, examples: Sequence[Script]) -> Strikes:
    struck = [one for one in examples if _strikes(fault, one)]
    for how in Strikes:
        if how is not Strikes.WHOLE and struck and _is_same((fault,), (how,), struck):
            return how
    return Strikes.WHOLE


def _is_same(faults: Sequence[Fault], how: Sequence[Strikes], scripts: Iterable[Script]) -> bool:
    for script in scripts:
        begun, whole = replace(script, segments=(), ending=_OPEN), script
        for fault in faults:
            whole = fault(whole) if _strikes(fault, whole) else whole
        live, sent = LiveAnswer(faults, how, begun), list[Segment]()
        for segment in script.segments:
            if live.end is None:
                sent += live.feed((segment,))
        if live.end is None:
            sent += live.finish(script.ending)
        assert live.end is not None
        if _shown(sent, live.end) != _shown(whole.segments, whole.ending):
            return False
    return True


def _strikes(fault: Fault, script: Script) -> bool:
    try:
        fault(script).render(date=_DATE)
    except FaultDoesNotApply:
        return False
    return True


def _in_parts(script: Script) -> Script:
    """The same script with a segment for each part, as they arrive."""
    segments = (replace(one, parts=(part,)) for one in script.segments for part in one.parts)
    return replace(script, segments=tuple(segments))


def _shown(segments: Iterable[Segment], end: ScriptEnd) -> tuple[object, ...]:
    """What a client could tell apart: bytes that are sent together, their times and limits, and the end."""
    writes: list[tuple[float, int, bytes]] = []
    for segment in segments:
        _, data, awaits, apart = segment.rendered(_DATE)
        at_s = round(segment.at_s, 6)
        if writes and writes[-1][:2] == (at_s, awaits) and not apart:
            data = writes.pop()[2] + data
        writes.append((at_s, awaits, data))
    return *writes, end.how, round(end.at_s, 6)
