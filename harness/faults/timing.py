"""Faults of time: every byte comes, but not when it should; or it never comes."""

from __future__ import annotations

from dataclasses import replace

from harness.errors import FaultDoesNotApply
from harness.faults.registry import fault, split_after_record
from harness.script import HowItEnds, Script

__all__ = ["delay_first_byte", "slow_records", "stall_after_record"]


@fault(where="before the head", what="delay", delay_s=0.1)
def delay_first_byte(script: Script, delay_s: float) -> Script:
    """Send nothing at all for `delay_s` seconds more, as while a model loads; all gaps stay as they were."""
    _refuse_negative(delay_s)
    if not script.sends:
        raise FaultDoesNotApply("this script sends nothing that could be late")
    sends = tuple(replace(send, at_s=send.at_s + delay_s) for send in script.sends)
    return replace(script, sends=sends, ending=replace(script.ending, at_s=script.ending.at_s + delay_s))


@fault(where="between records", what="delay", gap_s=0.01)
def slow_records(script: Script, gap_s: float) -> Script:
    """Let `gap_s` seconds pass between one segment and the next, and before the end."""
    _refuse_negative(gap_s)
    if len(script.sends) < 2:
        raise FaultDoesNotApply("this script sends everything at once, there is no gap to widen")
    start_s = script.sends[0].at_s
    sends = tuple(replace(send, at_s=start_s + gap_s * index) for index, send in enumerate(script.sends))
    return replace(script, sends=sends, ending=replace(script.ending, at_s=start_s + gap_s * len(sends)))


@fault(where="after record n", what="stall", n=3)
def stall_after_record(script: Script, n: int) -> Script:
    """Say nothing more after record n and hold the connection until the client leaves."""
    script, index = split_after_record(script, n)
    return script.cut(index, HowItEnds.HOLD)


def _refuse_negative(seconds: float) -> None:
    if seconds < 0:
        raise FaultDoesNotApply(f"{seconds} s cannot pass: give 0 or more")
