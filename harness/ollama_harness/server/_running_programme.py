"""A programme as a server runs it: its recordings found, its faults tried, its requests counted.

All connections of a server share it, so a lock guards the counts. It is not held while a `function` of the user's runs,
which may take its time, or ask the server itself. A request is matched first, and then it gets its number from all
rules at once.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ollama_harness.answers import Answer, Asked, Reply, World
from ollama_harness.answers.fitting import model_of
from ollama_harness.answers.own_answers import OwnAnswer
from ollama_harness.errors import FaultDoesNotApply, ProgrammeError, UnknownName
from ollama_harness.faults import Fault, apply
from ollama_harness.recordings.recording import GAP_S, Headers, Recording, Request
from ollama_harness.script.script import Script
from ollama_harness.server.programme import Play, Programme, ProgrammeRule
from ollama_harness.server.recorded_answers import RecordedAnswers, request_of

__all__ = ["Candidate", "FunctionRaised", "RunningProgramme", "RunningRule", "Seen", "script_of"]


#: For how many routes the rules are kept: a client may ask for any path.
_MOST_ROUTES = 1024


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

    @functools.cached_property
    def request(self) -> Request:
        return request_of(self.asked, self.world)

    @functools.cached_property
    def headers(self) -> dict[str, list[str]]:
        return _values_of(self.asked.headers)

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
    """A rule with its state: how many requests it was for, and how many it answered. `place` is from 1, or 0."""

    def __init__(self, rule: ProgrammeRule, place: int, candidates: tuple[Candidate, ...] = ()) -> None:
        self.rule, self.place, self._candidates = rule, place, candidates
        self._is_play = isinstance(rule.answer, Play)
        self._own = None if rule.answer is None or isinstance(rule.answer, Script | Play) else rule.answer
        self._looks_at_body = not rule.when.is_for_all_bodies
        self.counts, self.before_guard = rule.counts, rule.before_guard
        self._routes = {(one.recording.request.method, one.recording.request.path) for one in candidates}
        self.matched = self.answered = 0

    @property
    def name(self) -> str:
        """What the journal says has answered."""
        answer = self.rule.answer
        if self.rule.name and not self.place:
            return self.rule.name
        return "script" if answer is None or isinstance(answer, Script | Play) else answer.name

    @property
    def label(self) -> str:
        """The rule in the words of the journal; "" if it stands in no programme."""
        named = f" ({self.rule.name})" if self.rule.name else ""
        return f"{self.rule.source or f'rule {self.place}'}{named}" if self.place else ""

    @property
    def script(self) -> Script | None:
        """The script that a request gets whatever its body says; None if more than its head decides."""
        rule = self.rule
        return rule.answer if isinstance(rule.answer, Script) and not self._looks_at_body else None

    @property
    def is_used_up(self) -> bool:
        return self.rule.times is not None and self.answered >= self.rule.times

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
        when = self.rule.when
        if when.headers and not when.has_headers(seen.headers):
            return False
        if self._looks_at_body:
            try:
                if not when.is_for_body(seen.request, seen.model):
                    return False
            except Exception as error:
                raise FunctionRaised(self, error) from error
        return self._own is None or seen.suits(self._own)

    def candidate(self, seen: Seen) -> Candidate:
        """The recording that is played: of those that fit best, one after the other."""
        request, method, path = seen.request, seen.asked.method, seen.asked.raw_path

        def distance(one: Candidate) -> tuple[bool, bool, bool]:
            own = one.recording.request
            is_route = self._is_route((own.method, own.path), method, path)
            same = is_route and own.json == request.json and own.body == request.body
            return not is_route, not same, own.streams != request.streams

        nearest = min(map(distance, self._candidates))
        best = [one for one in self._candidates if distance(one) == nearest]
        return best[self.answered % len(best)]

    def _is_route(self, route: tuple[str, str], method: str, path: str) -> bool:
        """Whether a request is for this route of a recording, as far as `when` does not say which."""
        return route[1] == path and (self.rule.when.method is not None or route[0] == method)


class RunningProgramme:
    """The rules of a server in one order: what was arranged last comes first, and then its programme's.

    `permanent` are scripts that are played when a connection is accepted, and stand at the end.
    """

    def __init__(self, recorded: RecordedAnswers, permanent: Iterable[Script] = ()) -> None:
        self._recorded = recorded
        self._permanent = tuple(RunningRule(ProgrammeRule(answer=script, name="faults"), 0) for script in permanent)
        self._rules: tuple[RunningRule, ...] = self._permanent
        self._kept: dict[tuple[str, str, bool], tuple[tuple[RunningRule, ...], tuple[RunningRule, ...]]] = {}
        self._lock = threading.Lock()

    @property
    def programme(self) -> Programme:
        """The rules as they are tried now."""
        return Programme(tuple(one.rule for one in self._rules if one not in self._permanent))

    def set(self, programme: Programme) -> None:
        """Put these rules in place of all, and count from the beginning.

        Raises: ProgrammeError, UnknownName, FaultDoesNotApply, for a rule that can have no effect.
        """
        rules = tuple(self._checked(rule, place) for place, rule in enumerate(programme.rules, start=1))
        for first in (one for one in rules if one.rule.answers_all):
            for later in rules[first.place :]:
                if later.rule.before_guard is first.rule.before_guard:
                    raise ProgrammeError(f"{later.label} never answers: {first.label} answers every request; swap them")
        if rules and self._permanent:
            fault = "a fault that strikes when a connection is accepted"
            raise FaultDoesNotApply(f"{fault} leaves no request for a programme; give one of the two")
        with self._lock:
            self._rules = (*rules, *self._permanent)

    def prepend(self, rule: ProgrammeRule) -> None:
        """Put a rule before all others, whose counts stay."""
        with self._lock:
            self._rules = (RunningRule(rule, 0), *self._rules)

    # ------------------------------------------------------------------------------------- for each request

    def by_head(self, asked: Asked, *, before_guard: bool) -> RunningRule | None:
        """The first rule that may answer a request with this head; this counts nothing."""
        headers = _values_of(asked.headers)
        for one in self._on_route(asked.method, asked.raw_path, before_guard=before_guard):
            if not one.is_used_up and one.rule.when.has_headers(headers):
                return one
        return None

    def calls_functions(self, asked: Asked) -> bool:
        """Whether a function of the user's is asked about requests for this route."""
        return any(
            one.rule.when.function is not None
            for before_guard in (True, False)
            for one in self._on_route(asked.method, asked.raw_path, before_guard=before_guard)
        )

    def met(self, seen: Seen, *, before_guard: bool) -> Iterator[RunningRule]:
        """The rules whose turn it is, in order. Each rule that counts has counted the request when this returns.

        Raises: FunctionRaised.
        """
        rules = self._on_route(seen.asked.method, seen.asked.raw_path, before_guard=before_guard)
        numbers: dict[RunningRule, int] = {}
        if counting := [one for one in rules if one.counts and one.is_for(seen)]:
            with self._lock:
                for one in counting:
                    one.matched += 1
                    numbers[one] = one.matched
        return (one for one in rules if not one.is_used_up and _is_turn(one, seen, numbers))

    def _on_route(self, method: str, path: str, *, before_guard: bool) -> tuple[RunningRule, ...]:
        """The rules for requests for this method and path, which are found once for a list of rules."""
        rules, key = self._rules, (method, path, before_guard)
        of_rules, found = self._kept.get(key, (None, ()))
        if of_rules is not rules:
            found = tuple(one for one in rules if one.before_guard is before_guard and one.is_for_route(method, path))
            if len(self._kept) >= _MOST_ROUTES:
                self._kept.clear()
            self._kept[key] = rules, found
        return found

    def use(self, one: RunningRule) -> bool:
        """Count an answer; False if others have used the rule up meanwhile."""
        with self._lock:
            if one.is_used_up:
                return False
            one.answered += 1
            return True

    def take_on_accept(self) -> RunningRule | None:
        """The first rule, if it does not await a request; this counts as an answer."""
        first = next((one for one in self._rules if not one.is_used_up), None)
        if first is None or first.script is None or first.script.awaits_request:
            return None
        return first if self.use(first) else None

    # ------------------------------------------------------------------------------------- before the first request

    def _checked(self, rule: ProgrammeRule, place: int) -> RunningRule:
        """A rule that can have an effect."""
        try:
            match rule.answer:
                case Play():
                    return RunningRule(rule, place, self._candidates(rule, rule.answer))
                case None:
                    self._refuse_useless(rule)
                case Script():
                    apply(rule.answer, rule.faults)
                case _:
                    self._refuse_useless_on_own(rule, rule.answer)
        except (FaultDoesNotApply, UnknownName) as error:
            raise ProgrammeError(f"{RunningRule(rule, place).label}: {error}") from None
        return RunningRule(rule, place)

    def _candidates(self, rule: ProgrammeRule, play: Play) -> tuple[Candidate, ...]:
        recorded, found, why = self._recorded, list[Candidate](), ""
        for recording in recorded.chosen(play.recordings):
            script, left_out = recorded.struck(recorded.paced(recording, speed=play.speed))
            try:
                script = apply(script, rule.faults)
                script.render(date="")
            except FaultDoesNotApply as error:
                why = why or str(error)
            else:
                found.append(Candidate(recording, script, left_out))
        if not found:
            faults = _listed(rule.faults)
            raise FaultDoesNotApply(f"{faults} can strike none of {', '.join(play.recordings)}: {why}")
        return tuple(found)

    def _refuse_useless(self, rule: ProgrammeRule) -> None:
        """Refuse faults that can strike no answer to a request that the rule is for."""
        recordings = sorted(self._recorded.recordings, key=lambda one: not one.name.endswith("-stream"))
        when = rule.when
        on_route = [
            one
            for one in recordings
            if when.is_for_route(one.request.method, one.request.path) and when.stream in (None, one.request.streams)
        ]
        if recordings and not on_route:
            path = " or ".join(when.paths) or "any path"
            raise FaultDoesNotApply(
                f"no recording answers {when.method or 'a request'} to {path}, so the faults have nothing to strike; "
                "correct the route, or give the rule an answer with play or fail"
            )
        _refuse_all(rule.faults, (Script.from_recording(one) for one in on_route))

    def _refuse_useless_on_own(self, rule: ProgrammeRule, own: OwnAnswer) -> None:
        if rule.faults:
            _refuse_all(rule.faults, self._examples(rule, own))

    def _examples(self, rule: ProgrammeRule, own: OwnAnswer) -> Iterator[Script]:
        """What an own answer says to recorded requests that the rule may be for."""
        for recording in self._recorded.recordings:
            request = recording.request
            asked = Asked(
                method=request.method,
                target=request.path,
                headers=request.headers or (("Host", "127.0.0.1"),),
                body=request.content or b"",
            )
            world = self._recorded.world
            if (
                not rule.when.is_for_route(request.method, request.path)
                or rule.when.stream not in (None, request.streams)
                or not own.suits(asked, world)
            ):
                continue
            given = own.give(asked, world, request, GAP_S)
            if not isinstance(given, Answer) and given.is_use:
                yield script_of(given.answer, asked.method)


def _values_of(headers: Headers) -> dict[str, list[str]]:
    """The values of each header, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def script_of(answer: Recording | Reply, method: str) -> Script:
    """The script of an own answer."""
    return answer.script(method) if isinstance(answer, Reply) else Script.from_recording(answer)


def _is_turn(one: RunningRule, seen: Seen, numbers: dict[RunningRule, int]) -> bool:
    if not one.counts:
        return one.is_for(seen)
    return one in numbers and one.rule.is_turn(numbers[one], one.place)


def _refuse_all(faults: tuple[Fault, ...], scripts: Iterable[Script]) -> None:
    """Raise FaultDoesNotApply if the faults can strike none of these scripts, of which there is one."""
    why = ""
    for script in scripts:
        try:
            apply(script, faults).render(date="")
        except FaultDoesNotApply as error:
            why = why or str(error)
        else:
            return
    if why:
        raise FaultDoesNotApply(f"{_listed(faults)} can strike no answer to such a request: {why}")


def _listed(faults: tuple[Fault, ...]) -> str:
    return ", ".join(map(str, faults))
