"""The scenarios in which canaries of both kinds must show what they are."""

from __future__ import annotations

from ollama_harness.oracle.words import Verdict

__all__ = ["CUT", "LOCK_STEP", "WHOLE", "over_v1"]

WHOLE, CUT, LOCK_STEP = "stream", "cut-after-record", "lock-step"


def over_v1(earns: dict[str, Verdict]) -> dict[str | None, Verdict]:
    """The same verdicts, and these in the twins of the scenarios, which play streams of events."""
    return {name: verdict for scenario, verdict in earns.items() for name in (scenario, f"{scenario}-v1")}
