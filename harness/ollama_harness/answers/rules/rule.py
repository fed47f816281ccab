"""Refusals by rule: what a version of Ollama answers with an error or a redirect, and in which words.

A rule is a function of a request and a world that gives a reply, or None for a request that it does not concern.
Decorating it puts it on the list, in its step; the rules of a step are asked in the order in which they stand there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.world import World
from ollama_harness.recordings.versions import order

__all__ = ["ROUTES_GO", "RULES", "Refusal", "Step", "refusal", "rules_for"]


#: The file with Ollama's handlers, where most rules come from.
ROUTES_GO = "server/routes.go"


class Step(StrEnum):
    """The steps of a request, in their order. Rules answer in five of them."""

    PROTOCOL = "protocol"  # what Go's HTTP server itself refuses
    GUARD = "guard"  # Host, Origin, method, path
    PROGRAMME = "programme"  # what the user has arranged: plays, expectations, faults of every connection
    REQUEST = "request"  # the body decoded as Go does, its fields validated
    MODEL = "model"  # is it there, and able to do this
    ANSWER = "answer"  # a good answer that the world alone decides
    RECORDING = "recording"  # the recording of the same request
    MADE = "made"  # the nearest recording, made to fit
    UPSTREAM = "upstream"  # the real Ollama behind the server
    NOTHING = "nothing"  # nothing fits: an error of the harness's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One rule. `since` and `before` bound the versions of Ollama that have it ("": no bound).

    `examples` are names of recordings, or ids of requests in fixtures/requests, that get it. Only requests for `paths`
    can get it, and for those below one that ends with a slash; with none of them all can. The reply of a `timed` one
    also depends on when it is asked, and on what is loaded.
    """

    id: str
    step: Step
    why: str
    source: str
    since: str
    before: str
    examples: tuple[str, ...]
    paths: tuple[str, ...]
    timed: bool
    reply: Callable[[Asked, World], Reply | None]

    @property
    def versions(self) -> str:
        """The versions that have it, in words."""
        bounds = [f"{word} {bound}" for word, bound in (("since", self.since), ("before", self.before)) if bound]
        return ", ".join(bounds) or "all"

    def holds_in(self, version: str) -> bool:
        """Whether this version of Ollama has the rule."""
        here = order(version)
        return (not self.since or order(self.since) <= here) and (not self.before or here < order(self.before))

    def concerns(self, path: str) -> bool:
        """Whether a request for this path can get it."""
        below = path.startswith(tuple(one for one in self.paths if one.endswith("/")))
        return not self.paths or path in self.paths or below


RULES: dict[str, Refusal] = {}


def refusal(
    id_: str,
    step: Step,
    why: str,
    *examples: str,
    source: str,
    since: str = "",
    before: str = "",
    paths: tuple[str, ...] = (),
    timed: bool = False,
) -> Callable[[Callable[[Asked, World], Reply | None]], Callable[[Asked, World], Reply | None]]:
    """Put a function `(asked, world) -> reply or None` on the list of rules."""

    def register(function: Callable[[Asked, World], Reply | None]) -> Callable[[Asked, World], Reply | None]:
        if id_ in RULES:
            raise ValueError(f"there are two rules called {id_}")
        RULES[id_] = Refusal(
            id=id_,
            step=step,
            why=why,
            source=source,
            since=since,
            before=before,
            examples=examples,
            paths=paths,
            timed=timed,
            reply=function,
        )
        return function

    return register


@lru_cache(maxsize=1024)  # a client may ask for any number of paths
def rules_for(path: str, version: str, steps: tuple[Step, ...]) -> tuple[Refusal, ...]:
    """The rules of these steps that a version has and that concern a path, in the order in which they are asked.

    To be called only when all modules of rules are imported.
    """
    rules = [rule for rule in RULES.values() if rule.holds_in(version) and rule.concerns(path)]
    return tuple(rule for step in steps for rule in rules if rule.step is step)
