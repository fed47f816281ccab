"""The way of a request through the steps: the first rule that has a reply refuses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.rules import compatible, guard, models, native, protocol, registry
from ollama_harness.answers.rules.rule import Refusal, Step, rules_in
from ollama_harness.answers.world import World

__all__ = ["Answer", "answer"]

#: Importing them fills the list of rules.
_MODULES = (protocol, guard, native, compatible, models, registry)


@dataclass(frozen=True)
class Answer:
    """A reply, and the rule that gives it."""

    reply: Reply
    rule: Refusal

    @cached_property
    def why(self) -> str:
        """Why, in a few words: the text of the error, or where there is none what the rule is about."""
        return _error_text(self.reply.body) or self.rule.why


def _error_text(body: bytes) -> str:
    """The text of an error in any of Ollama's shapes: a body that is one, or whose last line is; "" in any other."""
    try:
        value = json.loads(body.rstrip().rpartition(b"\n")[2])
        error = value["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return text if isinstance(text, str) else ""


def answer(asked: Asked, world: World, *, steps: tuple[Step, ...] = tuple(Step)) -> Answer | None:
    """What refuses a request in these steps; None if nothing does."""
    for step in steps:
        for rule in rules_in(world.version, step):
            if (reply := rule.reply(asked, world)) is not None:
                return Answer(reply, rule)
    return None
