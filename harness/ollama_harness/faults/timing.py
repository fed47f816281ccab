"""Faults of time: bytes are late, or never sent."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import accumulate

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import Place, fault
from ollama_harness.faults.places import after_record
from ollama_harness.script.script import ConnectionEnd, Script, Segment

__all__ = [
    "burst",
    "delay_end",
    "delay_first_byte",
    "jitter",
    "lock_step",
    "pause_at",
    "slow_records",
    "stall_at",
    "throttle",
]


@fault("Send nothing more from a place on, and hold the connection until the client leaves.", after_record(3))
def stall_at(script: Script, place: Place) -> Script:
    script, index = place.split(script)
    return script.cut(index, ConnectionEnd.HOLD)


@fault("Send nothing for `pause_s` seconds at a place, then go on as before.", after_record(3), 0.1)
def pause_at(script: Script, place: Place, pause_s: float) -> Script:
    _refuse_negative(pause_s)
    script, index = place.split(script)
    return _shifted(script, index, pause_s)


@fault("Send everything `delay_s` seconds later, as while a model loads; all gaps stay as they are.", 0.1)
def delay_first_byte(script: Script, delay_s: float) -> Script:
    _refuse_negative(delay_s)
    _refuse_empty(script)
    return _shifted(script, 0, delay_s)


@fault("End the connection `delay_s` seconds after the last byte.", 0.1)
def delay_end(script: Script, delay_s: float) -> Script:
    _refuse_negative(delay_s)
    return _shifted(script, len(script.segments), delay_s)


@fault("Let `gap_s` seconds pass between one segment and the next, and before the end.", 0.01)
def slow_records(script: Script, gap_s: float) -> Script:
    _refuse_negative(gap_s)
    if len(script.segments) < 2:
        raise FaultDoesNotApply("this script sends everything at once, so there is no gap to change")
    start_s = script.segments[0].at_s
    return script.timed(lambda index, _: start_s + gap_s * index)


@fault(
    "Delay each segment by up to `most_s` seconds more than the one before, at random, the same for each seed.", 0.02, 7
)
def jitter(script: Script, most_s: float, seed: int) -> Script:
    _refuse_negative(most_s)
    _refuse_empty(script)
    chance, late = random.Random(seed), 0.0
    delays = []
    for _ in range(len(script.segments) + 1):
        late += chance.uniform(0.0, most_s)
        delays.append(late)
    return script.timed(lambda index, at_s: at_s + delays[index])


@fault("Send at most `bytes_per_s` bytes a second: each segment waits for the time of the bytes before it.", 5_000)
def throttle(script: Script, bytes_per_s: float) -> Script:
    if not bytes_per_s >= 1:
        raise FaultDoesNotApply(f"{bytes_per_s} bytes a second is too slow: give 1 or more")
    _refuse_empty(script)
    sizes = [len(segment.data) for segment in script.render(date="x" * 29).segments]
    passed = [size / bytes_per_s for size in accumulate(sizes, initial=0)]
    return script.timed(lambda index, at_s: max(at_s, script.segments[0].at_s + passed[index]))


@fault("Send nothing until `after_s` seconds after the last byte was due, then everything in one segment.", 0.1)
def burst(script: Script, after_s: float) -> Script:
    _refuse_negative(after_s)
    _refuse_empty(script)
    at_s = script.segments[-1].at_s + after_s
    if any(segment.awaits for segment in script.segments):
        raise FaultDoesNotApply("in lock-step nothing can be kept back: put lock_step() last")
    parts = tuple(part for segment in script.segments for part in segment.parts)
    ending = replace(script.ending, at_s=max(script.ending.at_s, at_s))
    return replace(script, segments=(Segment(at_s, parts),), ending=ending)


@fault("Send nothing after a record until the client has yielded it, which only `run` can know; or for 3 s.")
def lock_step(script: Script) -> Script:
    ends = script.record_ends()
    if len(ends) < 2:
        raise FaultDoesNotApply("this script sends fewer than two records")
    for end in ends[:-1]:
        script, _ = script.split_at(end)
    segments, passed = [], 0
    sizes = {id(part): len(part.data) for _, _, part in script.body_parts()}
    for segment in script.segments:
        segments.append(replace(segment, awaits=sum(end <= passed for end in ends)))
        passed += sum(sizes.get(id(part), 0) for part in segment.parts)
    return replace(script, segments=tuple(segments))


def _shifted(script: Script, index: int, by_s: float) -> Script:
    """All from segment `index` on, `by_s` seconds later."""
    segments = tuple(replace(one, at_s=one.at_s + by_s * (i >= index)) for i, one in enumerate(script.segments))
    return replace(script, segments=segments, ending=replace(script.ending, at_s=script.ending.at_s + by_s))


def _refuse_empty(script: Script) -> None:
    if not script.segments:
        raise FaultDoesNotApply("this script sends nothing, so nothing can be late")


def _refuse_negative(seconds: float) -> None:
    if not 0 <= seconds < math.inf:
        raise FaultDoesNotApply(f"{seconds} s is no pause: give 0 or more")
