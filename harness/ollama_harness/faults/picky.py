"""Faults of a picky server: only a request whose head meets a condition gets the answer; others get a refusal.

The refusal is one of INTERMEDIARIES. The journal shows which of the two was played, and why (`Entry.unmet`).
"""

from __future__ import annotations

from dataclasses import replace

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import fault
from ollama_harness.faults.head import replace_with
from ollama_harness.script.head_predicates import First, HeadPredicate, Holds, Lacks, Spelt
from ollama_harness.script.script import HeadCondition, Script

__all__ = ["demand_first", "demand_header", "demand_spelling", "forbid_header"]


@fault("Refuse a request that has this header with this word in it.", "Transfer-Encoding", "chunked", "nginx-411")
def forbid_header(script: Script, name: str, word: str, answer: str) -> Script:
    return _demanding(script, Lacks(name, word), answer)


@fault(
    "Refuse a request without this header, or with none of `members` in it; or let it pass if the header is absent.",
    "User-Agent",
    "github-403",
)
def demand_header(script: Script, name: str, answer: str, *, members: str = "", or_absent: bool = False) -> Script:
    wanted = tuple(part.strip() for part in members.split(",") if part.strip())
    if or_absent and not wanted:
        raise FaultDoesNotApply("a header that may be absent and may have any value is no condition: give members")
    return _demanding(script, Holds(name, wanted, or_absent), answer)


@fault(
    "Refuse a request without a header of exactly this spelling, upper and lower case.",
    "Content-Type",
    "manticore-400",
)
def demand_spelling(script: Script, name: str, answer: str) -> Script:
    return _demanding(script, Spelt(name), answer)


@fault("Refuse a request whose first header is another one.", "Host", "cloudflare-challenge")
def demand_first(script: Script, name: str, answer: str) -> Script:
    return _demanding(script, First(name), answer)


def _demanding(script: Script, rule: HeadPredicate, answer: str) -> Script:
    refusal = replace_with(answer)(replace(script, conditions=()))
    return replace(script, conditions=(*script.conditions, HeadCondition(rule, refusal)))
