"""The way of a request through the steps: the first rule that has a reply refuses it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from ollama_harness.answers import compatible, guard, models, native, protocol, registry
from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.rule import RULES, Refusal, Step
from ollama_harness.answers.world import World

__all__ = ["Answer", "answer"]

#: Importing them fills the list of rules.
_MODULES = (protocol, guard, native, compatible, models, registry)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and the rule that gives it."""

    reply: Reply
    rule: Refusal


@cache
def _rules(version: str) -> dict[Step, tuple[Refusal, ...]]:
    found = defaultdict(list)
    for rule in RULES.values():
        if rule.holds_in(version):
            found[rule.step].append(rule)
    return {step: tuple(rules) for step, rules in found.items()}


def answer(asked: Asked, world: World, *, steps: tuple[Step, ...] = tuple(Step)) -> Answer | None:
    """What refuses a request in these steps; None if nothing does."""
    rules = _rules(world.version)
    for step in steps:
        for rule in rules.get(step, ()):
            if (reply := rule.reply(asked, world)) is not None:
                return Answer(reply, rule)
    return None
