"""The way of a request through the steps: the first rule that has a reply refuses it."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.rules import compatible, guard, models, native, protocol, registry
from ollama_harness.answers.rules.rule import Refusal, Step, rules_in
from ollama_harness.answers.world import World

__all__ = ["Answer", "answer"]

#: Importing them fills the list of rules.
_MODULES = (protocol, guard, native, compatible, models, registry)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and the rule that gives it."""

    reply: Reply
    rule: Refusal


def answer(asked: Asked, world: World, *, steps: tuple[Step, ...] = tuple(Step)) -> Answer | None:
    """What refuses a request in these steps; None if nothing does."""
    for step in steps:
        for rule in rules_in(world.version, step):
            if (reply := rule.reply(asked, world)) is not None:
                return Answer(reply, rule)
    return None
