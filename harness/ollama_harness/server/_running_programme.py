"""A programme as a server runs it: its rules in their order, and its requests counted.

All connections of a server share it, so a lock guards the counts. It is not held while a `function` of the user's runs,
which may take its time, or ask the server itself. A request is matched first, and then it gets its number from all
rules at once.

There is one order: what answers the next requests, in the order in which it was arranged; what was arranged for all
further requests, the newest first; and the rules of the programme, from top to bottom.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from ollama_harness.answers import Asked
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.script.script import Script
from ollama_harness.server._checked_rules import checked, refuse_unreachable
from ollama_harness.server._running_rule import RunningRule, Seen, values_of
from ollama_harness.server.programme import Programme, ProgrammeRule
from ollama_harness.server.recorded_answers import RecordedAnswers

__all__ = ["RunningProgramme", "Where"]

#: For how many routes the rules are kept: a client may ask for any path.
_MOST_ROUTES = 1024


class Where(StrEnum):
    """Where rules are put into a programme."""

    FIRST = "first"
    END = "end"
    INSTEAD = "instead"  # of all that are there


class RunningProgramme:
    """The rules of a server in one order: what was arranged last comes first, and then its programme's.

    `permanent` are scripts that are played when a connection is accepted, and stand at the end. `forwards` is whether a
    real Ollama is behind the server.
    """

    def __init__(self, recorded: RecordedAnswers, permanent: Iterable[Script] = (), *, forwards: bool = False) -> None:
        self._recorded, self._forwards = recorded, forwards
        self._permanent = tuple(RunningRule(ProgrammeRule(answer=script, name="faults"), 0) for script in permanent)
        self._rules: tuple[RunningRule, ...] = self._permanent
        self._asks_functions: tuple[object, bool] = (None, False)
        self._kept: dict[tuple[str, str, bool], tuple[tuple[RunningRule, ...], tuple[RunningRule, ...]]] = {}
        self._lock = threading.Lock()
        self._of_programme: tuple[RunningRule, ...] = ()
        self._next: tuple[RunningRule, ...] = ()
        self._ids = map("r{}".format, itertools.count(1))

    @property
    def rules(self) -> tuple[RunningRule, ...]:
        """The rules as they are tried now, with their counts."""
        return tuple(one for one in self._rules if one not in self._permanent)

    @property
    def programme(self) -> Programme:
        """The rules as they are tried now."""
        return Programme(tuple(one.rule for one in self.rules))

    def set(self, programme: Programme) -> None:
        """Put these rules in place of all, and count from the beginning.

        Raises: ProgrammeError, UnknownName, FaultDoesNotApply, for a rule that can have no effect.
        """
        rules = self._all_checked(programme.rules)
        with self._lock:
            refuse_unreachable(rules)
            self._of_programme, self._next = self._named(rules), ()
            self._rules = (*rules, *self._permanent)

    def edit(self, programme: Programme) -> None:
        """Put these rules in place of those that were set, and leave others where they are.

        A rule that was there goes on with its counts. A rule that is new, or that was changed, begins.

        Raises: ProgrammeError, UnknownName, FaultDoesNotApply, for a rule that can have no effect; nothing is changed.
        """
        rules = list(self._all_checked(programme.rules))
        refuse_unreachable(rules)
        with self._lock:
            old = {id(one) for one in self._of_programme}
            there = [one for one in self._of_programme if one in self._rules]
            for at, one in enumerate(rules):
                same = next((each for each in there if each.is_same(one)), None)
                if same is not None:
                    there.remove(same)
                    same.rule, same.place, same.source = one.rule, one.place, one.source
                    rules[at] = same
            self._named(tuple(one for one in rules if not one.id))
            first = next((at for at, one in enumerate(self._rules) if id(one) in old), None)
            if first is None:
                first = len(self._rules) - len(self._permanent)
            after = (one for one in self._rules[first:] if id(one) not in old)
            self._rules, self._of_programme = (*self._rules[:first], *rules, *after), tuple(rules)

    def put(self, rules: Sequence[ProgrammeRule], where: Where) -> tuple[RunningRule, ...]:
        """Put these rules into the programme, whose other counts stay; the journal names them by their ids.

        Raises: ProgrammeError, UnknownName, FaultDoesNotApply, for a rule that can have no effect; nothing is changed.
        """
        made = self._all_checked(rules)
        with self._lock:
            old = () if where is Where.INSTEAD else self.rules
            refuse_unreachable((*old, *made) if where is Where.END else made)
            for one in self._named(made):
                one.source, one.place = one.id, len(old) + one.place
            self._rules = (*old, *made) if where is Where.END else (*made, *old)
            self._rules += self._permanent
        return made

    def remove(self, id_: str) -> bool:
        """Take the rule with this id away; returns whether it was there."""
        with self._lock:
            kept = tuple(one for one in self._rules if one.id != id_ or one in self._permanent)
            is_there, self._rules = len(kept) < len(self._rules), kept
        return is_there

    def prepend(self, rule: ProgrammeRule) -> None:
        """Put a rule before all others but those for the next requests; their counts stay."""
        with self._lock:
            waiting = self._waiting()
            after = self._rules[len(waiting) :]
            self._rules = (*waiting, *self._named((RunningRule(rule, 0),)), *after)

    def enqueue(self, rule: ProgrammeRule) -> None:
        """Put a rule for the next requests before all others, but behind those that were put there before it."""
        with self._lock:
            waiting = self._waiting()
            after = self._rules[len(waiting) :]
            self._next = (*waiting, *self._named((RunningRule(rule, 0),)))
            self._rules = (*self._next, *after)

    def _waiting(self) -> tuple[RunningRule, ...]:
        """The rules for the next requests, without those that are used up, which are taken away."""
        waiting = tuple(one for one in self._next if one in self._rules and not one.is_used_up)
        others = tuple(one for one in self._rules if one not in self._next)
        self._next, self._rules = waiting, (*waiting, *others)
        return waiting

    def _all_checked(self, rules: Sequence[ProgrammeRule]) -> tuple[RunningRule, ...]:
        if rules and self._permanent:
            fault = "a fault that strikes when a connection is accepted"
            raise FaultDoesNotApply(f"{fault} leaves no request for a programme; give one of the two")
        return self.checked_apart(rules)

    def checked_apart(self, rules: Iterable[ProgrammeRule]) -> tuple[RunningRule, ...]:
        """These rules, which are not put into the programme.

        Raises: ProgrammeError, UnknownName, FaultDoesNotApply, for a rule that can have no effect.
        """
        return tuple(
            checked(rule, place, self._recorded, forwards=self._forwards) for place, rule in enumerate(rules, start=1)
        )

    def _named(self, rules: tuple[RunningRule, ...]) -> tuple[RunningRule, ...]:
        for one in rules:
            one.id = next(self._ids)
        return rules

    # ------------------------------------------------------------------------------------- for each request

    def by_head(self, asked: Asked, *, before_guard: bool, first: Sequence[RunningRule] = ()) -> RunningRule | None:
        """The first rule that may answer a request with this head; this counts nothing. `first` are as for `met`."""
        headers = values_of(asked.headers)
        for one in self._on_route(asked.method, asked.raw_path, before_guard=before_guard, first=first):
            if not one.is_used_up and one.rule.when.has_headers(headers):
                return one
        return None

    @property
    def calls_functions(self) -> bool:
        """Whether a rule asks a function of the user's."""
        rules = self._rules
        if self._asks_functions[0] is not rules:
            self._asks_functions = rules, any(one.rule.when.function is not None for one in rules)
        return self._asks_functions[1]

    def met(self, seen: Seen, *, before_guard: bool, first: Sequence[RunningRule] = ()) -> Iterator[RunningRule]:
        """The rules whose turn it is, in order. Each rule that counts has counted the request when this returns.

        `first` are rules for this request only, which it chose; they stand before all others.

        Raises: FunctionRaised.
        """
        rules = self._on_route(seen.asked.method, seen.asked.raw_path, before_guard=before_guard, first=first)
        numbers: dict[RunningRule, int] = {}
        if counting := [one for one in rules if one.counts and one.is_for(seen)]:
            with self._lock:
                for one in counting:
                    one.matched += 1
                    numbers[one] = one.matched
        return self._in_turn(rules, seen, numbers)

    def _in_turn(
        self, rules: Iterable[RunningRule], seen: Seen, numbers: dict[RunningRule, int]
    ) -> Iterator[RunningRule]:
        for one in rules:
            if one.is_used_up:
                continue
            if one.counts:
                if one in numbers and one.rule.is_turn(numbers[one]):
                    yield one
            elif one.is_for(seen):
                with self._lock:
                    one.matched += 1
                yield one

    def _on_route(
        self, method: str, path: str, *, before_guard: bool, first: Sequence[RunningRule]
    ) -> tuple[RunningRule, ...]:
        """The rules for requests for this method and path, which are found once for a list of rules."""
        rules, key = self._rules, (method, path, before_guard)
        of_rules, found = self._kept.get(key, (None, ()))
        if of_rules is not rules:
            found = tuple(one for one in rules if one.before_guard is before_guard and one.is_for_route(method, path))
            if len(self._kept) >= _MOST_ROUTES:
                self._kept.clear()
            self._kept[key] = rules, found
        return (*(one for one in first if one.is_for_route(method, path)), *found) if first else found

    def use(self, one: RunningRule) -> int:
        """Count an answer; returns its number, from 1, or 0 if others have used the rule up meanwhile."""
        with self._lock:
            if one.is_used_up:
                return 0
            return one.count_answer()

    def take_on_accept(self) -> RunningRule | None:
        """The first rule, if it does not await a request; this counts as an answer."""
        first = next((one for one in self._rules if not one.is_used_up), None)
        if first is None or first.script is None or first.script.awaits_request:
            return None
        if not self.use(first):
            return None
        with self._lock:
            first.matched += 1
        return first
