"""Faults of the connection: it ends before the answer does."""

from __future__ import annotations

from dataclasses import replace

from harness.faults.registry import fault, record_span, split_after_record
from harness.parts import Raw
from harness.script import HowItEnds, Script

__all__ = ["cut_after_record", "cut_inside_record", "reset_after_record"]


@fault(where="after record n", what="close", n=3)
def cut_after_record(script: Script, n: int) -> Script:
    """Close the connection (FIN) after record n, without the end of the message."""
    script, index = split_after_record(script, n)
    return script.cut(index, HowItEnds.CLOSE)


@fault(where="inside record n", what="close", n=3)
def cut_inside_record(script: Script, n: int) -> Script:
    """Close the connection (FIN) in the middle of record n: a chunk announces more than it brings."""
    start, end = record_span(script, n)
    middle = (start + end) // 2
    offset = 0
    for i, j, part in script.body_parts():
        if middle < offset + len(part.data):
            send = script.sends[i]
            broken = Raw(part.until(middle - offset))
            return script.cut(i, HowItEnds.CLOSE, replace(send, parts=(*send.parts[:j], broken)))
        offset += len(part.data)
    raise AssertionError("a record lies inside the body")


@fault(where="after record n", what="reset", n=3)
def reset_after_record(script: Script, n: int) -> Script:
    """Reset the connection (RST) after record n, once the system has delivered all bytes before it."""
    script, index = split_after_record(script, n)
    return script.cut(index, HowItEnds.RESET)
