"""A rule of a programme as a server runs it, and a request as rules see it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from ollama_harness.answers import Asked, World
from ollama_harness.answers.fitting import model_of
from ollama_harness.answers.own_answers import OwnAnswer
from ollama_harness.recordings.recording import Headers, Recording, Request
from ollama_harness.script.script import Script
from ollama_harness.server._expressions import Kept
from ollama_harness.server.programme import Forwarded, Play, ProgrammeRule
from ollama_harness.server.recorded_answers import request_of

__all__ = ["Candidate", "FunctionRaised", "RunningRule", "Seen", "values_of"]


class FunctionRaised(Exception):
    """The `function` of a rule raised this."""

    def __init__(self, rule: RunningRule, error: Exception) -> None:
        self.rule, self.error = rule, error
        super().__init__(f"the `when` of a {rule.name} raised {error!r}")


class Seen:
    """A request as rules see it. What is read from it is read once for all of them."""

    def __init__(self, asked: Asked, world: World) -> None:
        self.asked, self.world = asked, world
        self._suited: dict[type, bool] = {}
        self.kept: Kept = {}

    @functools.cached_property
    def request(self) -> Request:
        return request_of(self.asked, self.world)

    @functools.cached_property
    def headers(self) -> dict[str, list[str]]:
        return values_of(self.asked.headers)

    @functools.cached_property
    def model(self) -> str:
        return model_of(self.request)

    def suits(self, answer: OwnAnswer) -> bool:
        """Whether an own answer of this kind is one to the request."""
        kind = type(answer)
        if kind not in self._suited:
            self._suited[kind] = answer.suits(self.asked, self.world)
        return self._suited[kind]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recording that a rule plays, with the script that it plays, and the server's faults that cannot strike it."""

    recording: Recording
    script: Script
    left_out: tuple[str, ...]


class RunningRule:
    """A rule with its state: how many requests came to it that it is for, and how many it answered.

    `id` names it among all rules that the server has ever had; it is "" until it is one of them. `place` is its place
    in its programme, from 1, or 0.
    """

    def __init__(self, rule: ProgrammeRule, place: int, candidates: tuple[Candidate, ...] = ()) -> None:
        self.rule, self.place, self._candidates = rule, place, candidates
        self.id, self.source = "", rule.source or f"rule {place}"
        self._is_play = isinstance(rule.answer, Play)
        answer = rule.answer
        self._own = None if answer is None or isinstance(answer, Script | Play | Forwarded) else answer
        self._looks_at_body = not rule.when.is_for_all_bodies
        self._has_headers = rule.when.has_headers if rule.when.headers else None
        self._body_conditions = rule.when.body_conditions
        self.counts, self.before_guard = rule.counts, rule.before_guard
        self._routes = {(one.recording.request.method, one.recording.request.path) for one in candidates}
        self.matched = self.answered = 0
        self.is_used_up = False

    def is_same(self, other: RunningRule) -> bool:
        """Whether the other is this rule, wherever it was written."""
        return replace(self.rule, source="") == replace(other.rule, source="")

    @property
    def name(self) -> str:
        """What the journal says has answered."""
        answer = self.rule.answer
        if self.rule.name and not self.place:
            return self.rule.name
        if isinstance(answer, Forwarded):
            return "upstream"
        return "script" if answer is None or isinstance(answer, Script | Play) else answer.name

    @property
    def label(self) -> str:
        """The rule in the words of the journal; "" if it stands in no programme."""
        named = f" ({self.rule.name})" if self.rule.name else ""
        return f"{self.source}{named}" if self.place else ""

    @property
    def script(self) -> Script | None:
        """The script that a request gets whatever its body says; None if more than its head decides."""
        rule = self.rule
        return rule.answer if isinstance(rule.answer, Script) and not self._looks_at_body else None

    def count_answer(self) -> int:
        """Count an answer; returns its number, from 1."""
        self.answered += 1
        self.is_used_up = self.answered == self.rule.times
        return self.answered

    def is_for_route(self, method: str, path: str) -> bool:
        """Whether method and path of a request are one that this rule is for."""
        when = self.rule.when
        if not when.is_for_route(method, path):
            return False
        return (
            not self._is_play or when.path is not None or any(self._is_route(one, method, path) for one in self._routes)
        )

    def is_for(self, seen: Seen) -> bool:
        """Whether a request for such a route is one that this rule is for.

        Raises: FunctionRaised.
        """
        if self._has_headers is not None and not self._has_headers(seen.headers):
            return False
        try:
            for is_met in self._body_conditions:  # as `When.is_for_body`, without another call for each of many rules
                if not is_met(seen):
                    return False
        except Exception as error:
            raise FunctionRaised(self, error) from error
        return self._own is None or seen.suits(self._own)

    def candidate(self, seen: Seen, number: int) -> Candidate:
        """The recording that the rule's answer of this number plays: of those that fit best, one after the other."""
        request, method, path = seen.request, seen.asked.method, seen.asked.raw_path

        def distance(one: Candidate) -> tuple[bool, bool, bool]:
            own = one.recording.request
            is_route = self._is_route((own.method, own.path), method, path)
            same = is_route and own.json == request.json and own.body == request.body
            return not is_route, not same, own.streams != request.streams

        nearest = min(map(distance, self._candidates))
        best = [one for one in self._candidates if distance(one) == nearest]
        return best[(number - 1) % len(best)]

    def _is_route(self, route: tuple[str, str], method: str, path: str) -> bool:
        """Whether a request is for this route of a recording, as far as `when` does not say which."""
        return route[1] == path and (self.rule.when.method is not None or route[0] == method)


def values_of(headers: Headers) -> dict[str, list[str]]:
    """The values of each header, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found
