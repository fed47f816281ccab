"""The way of a request through the steps: the first rule that has a reply refuses it.

A rule is a pure function, so what was answered to a request is kept for the next that is equal to it, in the same
world. Programs ask much the same again and again, and then a refusal costs little more than finding it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.fitting import fitted
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.rules import (
    about,
    compatible,
    guard,
    lists,
    models,
    native_body,
    native_model,
    native_run,
    protocol,
    registry,
)
from ollama_harness.answers.rules.rule import Refusal, Step, rules_for
from ollama_harness.answers.world import World
from ollama_harness.script.script import Script

__all__ = ["Answer", "answer"]

#: Importing them fills the list of rules: `native_model` comes before `native_run`.
_MODULES = (protocol, guard, about, native_body, native_model, native_run, compatible, models, lists, registry)

_ALL_STEPS = tuple(Step)

#: Requests with a longer body are not kept.
_MOST_KEPT_BYTES = 16 * 1024


@dataclass(frozen=True, eq=False)
class Answer:
    """A reply, the rule that gives it, and what it was given to."""

    reply: Reply
    rule: Refusal
    asked: Asked
    world: World

    @cached_property
    def script(self) -> Script:
        """What is played: the reply, with the head that Go sends to this request."""
        handled = self.rule.step in (Step.REQUEST, Step.MODEL, Step.ANSWER)
        return fitted(self.reply.script(self.asked.method), self.asked, self.world, handled=handled)

    @cached_property
    def why(self) -> str:
        """Why, in a few words: the text of the error, or where there is none what the rule is about."""
        why = _error_text(self.reply.body) or self.rule.why
        if self.rule.step is Step.MODEL and self.reply.status == 404:
            why += f"; there are {', '.join(sorted(self.world.models)) or 'none'}"
        return why


def answer(asked: Asked, world: World, *, steps: tuple[Step, ...] = _ALL_STEPS) -> Answer | None:
    """What refuses a request in these steps; None if nothing does."""
    if len(asked.body) > _MOST_KEPT_BYTES:
        return _answer(asked, world, steps)
    found, is_for_once = _kept(asked, world, steps)
    return _answer(asked, world, steps) if is_for_once else found


def _answer(asked: Asked, world: World, steps: tuple[Step, ...]) -> Answer | None:
    for rule in rules_for(asked.path, world.version, steps):
        if (reply := rule.reply(asked, world)) is not None:
            return Answer(reply, rule, asked, world)
    return None


@lru_cache(maxsize=512)
def _kept(asked: Asked, world: World, steps: tuple[Step, ...]) -> tuple[Answer | None, bool]:
    """The answer, and whether it is one for this moment only: it depends on the time, or it makes a next world, which
    has the models that are loaded now.
    """
    found = _answer(asked, world, steps)
    is_timed = any(rule.timed for rule in rules_for(asked.path, world.version, steps))
    return found, is_timed or (found is not None and found.reply.world is not None)


def _error_text(body: bytes) -> str:
    """The text of an error in any of Ollama's shapes: a body that is one, or whose last line is; "" in any other."""
    try:
        value = json.loads(body.rstrip().rpartition(b"\n")[2])
        error = value["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return text if isinstance(text, str) else ""
