"""A programme: which request gets which answer, and which faults strike it.

A programme is a list of rules. They are tried in order. The first that is for a request, whose turn it is, and that is
not used up, answers it; where none does, the ordinary answer comes. A rule that only has faults lets what would have
come without it come, which may be the answer of a later rule, and strikes that.

The rules are values, and what is here is pure: whether a rule is for a request, and whether it is its turn at the n-th
of them. The server counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ollama_harness.answers.own_answers import (
    EMBEDDING_ROUTES,
    TEXT_ROUTES,
    OwnAnswer,
    OwnError,
    OwnReply,
    OwnVectors,
    own_reply,
)
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import Fault
from ollama_harness.script.script import Script
from ollama_harness.server._when import When

__all__ = [
    "ON_ACCEPT",
    "Forwarded",
    "OwnError",
    "OwnVectors",
    "Play",
    "Programme",
    "ProgrammeRule",
    "ScenarioRules",
    "ScenarioSummary",
    "Scenarios",
    "When",
    "own_reply",
]

#: Faults that strike before a request is read, so that they strike every connection.
ON_ACCEPT = ("refuse", "close_on_accept", "reset_on_accept", "never_read")

_64_BITS = 2**64 - 1
_EVERY_REQUEST = When()


@dataclass(frozen=True, slots=True)
class Play:
    """Recordings as an answer: names, ids or patterns, applied in order (`chat-*` adds, `!chat-load` removes).

    Where `when` gives no path, they answer requests for their own routes only. Of several, that of the same request
    answers, or else those that stream or not as the request wants it; of these one after the other. Those that the
    rule's faults cannot strike are not played. `speed` replaces the server's.
    """

    recordings: tuple[str, ...]
    speed: float | None = None

    def __post_init__(self) -> None:
        if not self.recordings:
            raise ValueError('play: the list is empty; give a recording, like "chat-stream"')


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The real Ollama behind the server answers: `FakeOllama(upstream=…)`, `serve --upstream`."""


@dataclass(frozen=True, kw_only=True)
class ProgrammeRule:
    """Which requests, which of them in turn, what answers them, and the faults that strike the answer.

    `answer` are recordings, a script (played as it is), words, vectors or an error of your own, or what the real Ollama
    behind the server answers; or None: what would have come anyway. An own answer is only for the routes that it can
    answer.

    `nth`, `every` and `probability` look at the number of a request, from 1, among all that the rule is for, in order
    of arrival, whatever answers them: these numbers; each multiple of this; each with this probability, which `seed`,
    the number, and the rule's name decide, or without a name its `when`, answer and faults, wherever it stands. So of
    rules that are equal in all this each strikes the same requests; another `seed` or name makes them differ. With
    `times` the rule answers only so many requests.

    With `before_guard` it also answers what Ollama refuses for its Host or Origin. `name` is for the journal, and
    `source` says in messages where the rule was written; by default, its place in the programme.

    Raises: ValueError, whose text begins with the field; FaultDoesNotApply.
    """

    when: When = _EVERY_REQUEST
    answer: Play | Script | OwnAnswer | Forwarded | None = None
    faults: tuple[Fault, ...] = ()
    nth: tuple[int, ...] = ()
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    times: int | None = None
    before_guard: bool = False
    name: str = ""
    source: str = ""
    _luck: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, numbers in (("nth", self.nth), ("every", (self.every,)), ("times", (self.times,))):
            if any(number is not None and number < 1 for number in numbers):
                raise ValueError(f"{name}: {numbers[0] if len(numbers) == 1 else numbers} is too small; give 1 or more")
        if self.probability is not None and not 0 < self.probability <= 1:
            raise ValueError(f"probability: {self.probability} is none; give more than 0 and at most 1")
        for fault in self.faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"{fault!r} is no fault; give one like close_at(after_record(3))")
            if fault.name in ON_ACCEPT:
                raise FaultDoesNotApply(
                    f"faults: {fault} strikes before a request is read, so it cannot strike those of one rule; "
                    "give it to the whole server"
                )
        if self.answer is None and not self.faults:
            raise ValueError("answer: the rule changes nothing; give it play, reply, embed, fail or forward, or faults")
        if self.answer is None and self.before_guard:
            raise ValueError("before_guard: what would have come anyway comes after the guard; give the rule an answer")
        self._refuse_route()
        if self.probability is not None:
            object.__setattr__(self, "_luck", _luck(self))

    def _refuse_route(self) -> None:
        """Refuse a path that an own answer would never be asked for."""
        match self.answer:
            case OwnReply():
                routes = TEXT_ROUTES
            case OwnVectors():
                routes = EMBEDDING_ROUTES
            case _:
                return
        if not any(map(self.when.is_for_path, routes)):
            path = self.when.path if isinstance(self.when.path, str) else ", ".join(self.when.paths)
            raise ValueError(f"path: {path!r} is none that this answers; give one of {', '.join(routes)}")
        if self.when.method not in (None, "POST"):
            raise ValueError(f"method: no request with {self.when.method} gets such an answer; give POST")

    @property
    def answers_all(self) -> bool:
        """Whether it leaves no request to the rules after it."""
        is_always = not self.counts and self.times is None
        return is_always and self.when == _EVERY_REQUEST and isinstance(self.answer, OwnError | Script | Forwarded)

    @property
    def counts(self) -> bool:
        """Whether the number of a request decides."""
        return bool(self.nth) or self.every is not None or self.probability is not None

    def is_turn(self, number: int) -> bool:
        """Whether it answers the request with this number."""
        if self.nth and number not in self.nth:
            return False
        if self.every is not None and number % self.every:
            return False
        return self.probability is None or _chance(self._luck, number) < self.probability


@dataclass(frozen=True, slots=True)
class Programme:
    """Rules in the order in which they are tried."""

    rules: tuple[ProgrammeRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSummary:
    """A scenario for people who choose one. `routes` are the patterns of the paths that it answers or strikes.

    They are () if it cannot be served; then `Scenarios.rules` says what to use instead.
    """

    name: str
    group: str
    summary: str
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScenarioRules:
    """What a server does in a scenario: the rules, or the faults that strike each connection before a request."""

    programme: Programme
    on_accept: tuple[Fault, ...] = ()


class Scenarios(Protocol):
    """The scenarios that a server can play by their names, for its recordings and its version."""

    @property
    def summaries(self) -> Sequence[ScenarioSummary]:
        """All scenarios, in the order of the reports; also those that cannot be served."""
        ...

    def rules(self, name: str) -> ScenarioRules:
        """What plays the scenario.

        Raises: UnknownName; HarnessError, which says what to use instead, if it cannot be served.
        """
        ...


def _luck(rule: ProgrammeRule) -> int:
    """What a rule's chances start from: always the same for the same seed and the same name, or the same content."""
    said = rule.name or [_when_text(rule.when), _answer_text(rule.answer), *map(str, rule.faults)]
    text = json.dumps([rule.seed, said])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _when_text(when: When) -> str:
    headers = sorted((name.lower(), pattern) for name, pattern in (when.headers or {}).items())
    head = [when.method, when.paths, headers, when.jmespath, when.stream, when.model]
    return json.dumps([*head, when.json], sort_keys=True, default=repr)


def _answer_text(answer: Play | Script | OwnAnswer | Forwarded | None) -> str:
    """What an answer is. The bytes of a script count nothing, which may be many; a name tells such rules apart."""
    return "script" if isinstance(answer, Script) else repr(answer)


def _chance(luck: int, number: int) -> float:
    """A number from 0 to 1 that looks random and is always the same for these two (the finish of splitmix64)."""
    mixed = (luck + number * 0x9E3779B97F4A7C15) & _64_BITS
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return (mixed ^ (mixed >> 31)) / 2**64
