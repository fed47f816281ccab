"""A programme: which request gets which answer, and which faults strike it.

A programme is a list of rules. They are tried in order. The first that is for a request, whose turn it is, and that is
not used up, answers it; where none does, the ordinary answer comes. A rule that only has faults lets what would have
come without it come, which may be the answer of a later rule, and strikes that.

The rules are values, and what is here is pure: whether a rule is for a request, and whether it is its turn at the n-th
of them. The server counts.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ollama_harness.answers.model_name import parse_name
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
from ollama_harness.recordings.recording import Request
from ollama_harness.script.script import Script

__all__ = [
    "ON_ACCEPT",
    "OwnError",
    "OwnVectors",
    "Play",
    "Programme",
    "ProgrammeRule",
    "ScenarioRules",
    "ScenarioSummary",
    "Scenarios",
    "When",
    "is_part_of",
    "own_reply",
    "parse_on",
]

#: Faults that strike before a request is read, so that they strike every connection.
ON_ACCEPT = ("refuse", "close_on_accept", "reset_on_accept", "never_read")

_64_BITS = 2**64 - 1

_METHOD = re.compile(r"[A-Z]+")
_ON = re.compile(r"(?:(?P<method>[A-Za-z]+)(?:\s+|$))?(?P<path>[/*][^\s#]*)?\s*(?:#(?P<nth>\d{1,9}(?:,\d{1,9})*))?")


@dataclass(frozen=True, kw_only=True)
class When:
    """Which requests a rule is for. What is not given is true of every request.

    `path` is a pattern, or several of which one must match; it is compared with the path as it was sent, and `*` in it
    also stands for slashes. `headers` has a pattern for the value of each header. `json` is a part of the request's
    JSON: an object has at least these fields, a list at least these items in this order. `stream` is whether the answer
    is a stream of records. `model` is a pattern for the model's name, with its tag or without. `function` is given the
    request, and says whether.
    """

    method: str | None = None
    path: str | Sequence[str] | None = None
    headers: Mapping[str, str] | None = None
    json: Any = None
    stream: bool | None = None
    model: str | None = None
    function: Callable[[Request], object] | None = None

    def __post_init__(self) -> None:
        if self.function is not None and not callable(self.function):
            raise ValueError(
                f"when: {self.function!r} is no function; give one of the request, like lambda request: request.json[…]"
            )
        if self.method is not None and not _METHOD.fullmatch(self.method):
            raise ValueError(f'when.method: {self.method!r} is no method; give one in upper case, like "POST"')
        if self.path is not None and not self.paths:
            raise ValueError('when.path: the list is empty; give a path like "/api/chat", or leave it out')

    @property
    def paths(self) -> tuple[str, ...]:
        """The patterns of the path."""
        if self.path is None:
            return ()
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    @property
    def is_for_all_bodies(self) -> bool:
        """Whether the head of a request decides."""
        return self.json is None and self.stream is None and self.model is None and self.function is None

    def is_for_route(self, method: str, path: str) -> bool:
        """Whether method and path of a request are one of these."""
        return self.method in (None, method) and self.is_for_path(path)

    def has_headers(self, headers: Mapping[str, Sequence[str]]) -> bool:
        """Whether a request has the headers: the values of each, by its name in lower case."""
        return all(any(map(matches, headers.get(name, ()))) for name, matches in self._header_matchers)

    @functools.cached_property
    def _header_matchers(self) -> tuple[tuple[str, Callable[[str], object]], ...]:
        return tuple((name.lower(), _matcher(pattern)) for name, pattern in (self.headers or {}).items())

    def is_for_path(self, path: str) -> bool:
        """Whether one of the patterns matches."""
        return self.path is None or any(_matches(pattern, path) for pattern in self.paths)

    def is_for_body(self, request: Request, model: str) -> bool:
        """Whether what a request says is one of these; `function` is asked last, and may raise."""
        if self.model is not None and not self._has_model(_names(model)):
            return False
        if self.json is not None and not self._has_json(request.json):
            return False
        if self.stream is not None and request.streams is not self.stream:
            return False
        return self.function is None or bool(self.function(request))

    @functools.cached_property
    def _has_json(self) -> Callable[[Any], bool]:
        return _part(self.json)

    @functools.cached_property
    def _has_model(self) -> Callable[[tuple[str, str, str]], bool]:
        pattern = self.model or ""
        if not _is_pattern(pattern):
            key = _names(pattern)[0]
            return lambda names: names[0] == key
        matches = _matcher(pattern.lower())
        return lambda names: bool(matches(names[1]) or matches(names[2]))


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


@dataclass(frozen=True, kw_only=True)
class ProgrammeRule:
    """Which requests, which of them in turn, what answers them, and the faults that strike the answer.

    `answer` are recordings, a script (played as it is), words, vectors or an error of your own; or None: what would
    have come anyway. An own answer is only for the routes that it can answer.

    `nth`, `every` and `probability` look at the number of a request, from 1, among all that the rule is for, in order
    of arrival, whatever answers them: these numbers; each multiple of this; each with this probability, which `seed`,
    the rule's place and the number decide. With `times` the rule answers only so many requests.

    With `before_guard` it also answers what Ollama refuses for its Host or Origin. `name` is for the journal, and
    `source` says in messages where the rule was written; by default, its place in the programme.

    Raises: ValueError, whose text begins with the field; FaultDoesNotApply.
    """

    when: When = When()
    answer: Play | Script | OwnAnswer | None = None
    faults: tuple[Fault, ...] = ()
    nth: tuple[int, ...] = ()
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    times: int | None = None
    before_guard: bool = False
    name: str = ""
    source: str = ""

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
            raise ValueError("answer: the rule changes nothing; give it play, reply, embed or fail, or faults")
        if self.answer is None and self.before_guard:
            raise ValueError("before_guard: what would have come anyway comes after the guard; give the rule an answer")
        self._refuse_route()

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
        return is_always and self.when == When() and isinstance(self.answer, OwnError | Script)

    @property
    def counts(self) -> bool:
        """Whether the number of a request decides."""
        return bool(self.nth) or self.every is not None or self.probability is not None

    def is_turn(self, number: int, place: int) -> bool:
        """Whether it answers the request with this number; `place` is the rule's in its programme, from 1."""
        if self.nth and number not in self.nth:
            return False
        if self.every is not None and number % self.every:
            return False
        return self.probability is None or _chance(self.seed, place, number) < self.probability


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


def is_part_of(part: Any, value: Any) -> bool:
    """Whether a JSON value holds at least this: objects these fields, lists these items in this order."""
    return _part(part)(value)


def parse_on(text: str) -> tuple[When, tuple[int, ...]]:
    """Which requests `[METHOD] [PATH] [#N[,N]]` means, and the numbers of those that are meant.

    Raises: ValueError.
    """
    found = _ON.fullmatch(text.strip())
    if not text.strip() or found is None:
        raise ValueError(f"{text!r} names no requests; give METHOD PATH #N, each of them or not: POST /api/chat #2")
    method, path, nth = found["method"], found["path"], found["nth"]
    numbers = tuple(map(int, nth.split(","))) if nth else ()
    if 0 in numbers:
        raise ValueError(f"{text!r}: the first request is #1; give 1 or more")
    return When(method=method and method.upper(), path=path), numbers


def _part(part: Any) -> Callable[[Any], bool]:
    """Whether a JSON value holds at least this, made ready once for many values."""
    if isinstance(part, Mapping):
        fields = [(name, _part(inner)) for name, inner in part.items()]

        def has_fields(value: Any) -> bool:
            if not isinstance(value, dict):
                return False
            return all(name in value and has(value[name]) for name, has in fields)

        return has_fields
    if isinstance(part, list | tuple):
        items = [_part(inner) for inner in part]

        def has_items(value: Any) -> bool:
            if not isinstance(value, list):
                return False
            rest = iter(value)  # `any` goes on where it has stopped, so the order counts
            return all(any(map(has, rest)) for has in items)

        return has_items
    if isinstance(part, bool):
        return lambda value: value is part
    return lambda value: value == part and not isinstance(value, bool)


@functools.lru_cache(maxsize=1024)
def _names(model: str) -> tuple[str, str, str]:
    """What is compared of a model's name: Ollama's key of it, it as it is, and it with its tag; case counts nothing."""
    name = parse_name(model)
    return str(name.key), model.lower(), name.short.lower()


def _matches(pattern: str, text: str) -> bool:
    return bool(_matcher(pattern)(text))


def _is_pattern(text: str) -> bool:
    return not set("*?[").isdisjoint(text)


@functools.lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Callable[[str], object]:
    if not _is_pattern(pattern):
        return pattern.__eq__
    return re.compile(fnmatch.translate(pattern)).match


def _chance(seed: int, place: int, number: int) -> float:
    """A number from 0 to 1 that looks random and is always the same for these three (the finish of splitmix64)."""
    mixed = (_start(seed, place) + number * 0x9E3779B97F4A7C15) & _64_BITS
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return (mixed ^ (mixed >> 31)) / 2**64


@functools.lru_cache(maxsize=4096)
def _start(seed: int, place: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {place}".encode(), digest_size=8).digest(), "big")
