"""What answers a request, and why: the steps of its way, in the world as it is now.

The order is: what Go's HTTP server refuses; a rule of the programme that stands before the guard; a Host or an Origin
that Ollama does not let in; a 400 of ours if the request chooses what is not there; an expectation of
pytest-httpserver; the first rule that is for the request, and has an answer, of those that the request chooses itself,
and then of the programme; bytes of the user's own for its method and path; what else Ollama refuses; the recording of
the same request, or what a rule makes of the models that are there; the nearest recording made to fit; a 501 of ours.
Rules that stand before the one that answers, and have only faults, strike the answer; the first of them strikes last.

A rule of the programme or an expectation is a handler, and so its method and path are a route. What the guard says of a
route (that it is not there, has other methods, is spelled differently) is therefore true only after them, but whom it
lets in does not depend on a route.

`answers` has the rules of Ollama, which are pure. The state is here: the programme, which counts requests, and the
world, which some answers change. All connections of a server share it.

The client may wait for 100 Continue before it sends its body. A refusal that depends on the head alone is then sent
without asking for the body, as servers do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import Answer, Asked, Step, World, after, answer
from ollama_harness.answers.fitting import MOST_UNREAD_BYTES, fitted
from ollama_harness.answers.route_error import route_error
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import set_header
from ollama_harness.recordings.recording import GAP_S, Recording
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import Script
from ollama_harness.server._checked_rules import script_of
from ollama_harness.server._choices import Choice, Choices
from ollama_harness.server._connection import awaits_continue
from ollama_harness.server._expectations import Expectations
from ollama_harness.server._real_ollama import RealOllama
from ollama_harness.server._relay import Onward
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server._running_rule import FunctionRaised, RunningRule, Seen
from ollama_harness.server._slots import QUEUE_FULL
from ollama_harness.server._unmatched import bad_choice, no_answer
from ollama_harness.server.programme import Forwarded, Play
from ollama_harness.server.recorded_answers import RecordedAnswer, RecordedAnswers, request_of, strike

__all__ = ["Answerer", "Chosen"]

_ARRANGED = "arranged for this method and path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What answers a request: a script, the response of an expectation, or the real Ollama.

    The rest is for the journal.
    """

    answer: Script | WerkzeugResponse | Onward
    step: Step
    by: str
    rule: str = ""
    why: str = ""
    programme_rules: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Answerer:
    """Chooses what answers each request. `given` makes the first world of the world of the recordings.

    What a `when` of the user's raises, and a fault that strikes no own answer, is an error for `check` to raise.
    """

    def __init__(
        self,
        recorded: RecordedAnswers,
        programme: RunningProgramme,
        choices: Choices,
        expectations: Expectations,
        given: Callable[[World], World],
        real_ollama: RealOllama | None = None,
    ) -> None:
        self._real_ollama = real_ollama
        self._recorded, self._programme, self._choices = recorded, programme, choices
        self._expectations, self._given = expectations, given
        self._lock = threading.Lock()

    def forget_changes(self) -> None:
        """Make the world again what it was at first, and begin the counts of what requests choose."""
        with self._lock:
            self.__dict__.pop("_world", None)
        self._choices.clear()

    @functools.cached_property
    def _world(self) -> World:
        """What there is now."""
        return self._first_world

    @functools.cached_property
    def _first_world(self) -> World:
        return self._given(self._recorded.world)

    @property
    def is_ready(self) -> bool:
        """Whether the recordings are loaded, which may take a second."""
        return self._recorded.has_world

    def get_ready(self) -> None:
        """Load the recordings now."""
        _ = self._first_world

    # ------------------------------------------------------------------------------------- the way of a request

    def refusal(self, asked: Asked) -> Chosen | None:
        """What Go's HTTP server itself refuses, before it reads the body."""
        return self._ruled(asked, Step.PROTOCOL)

    def answer(self, asked: Asked, head: RequestHead, *, unread: bool = False) -> Chosen:
        """What answers a request. With `unread` its body has been left where it is."""
        choice = self._choices.of(asked)
        if choice.asked is not asked:
            asked = choice.asked
            head = replace(head, target=asked.target, headers=asked.headers)
        chosen = self._chosen(choice, head, unread=unread)
        if choice.prefix and chosen.step is Step.GUARD:
            chosen = _redirected_below(choice.prefix, chosen)
        return chosen

    def is_at_hand(self, asked: Asked) -> bool:
        """Whether the head of the request alone decides that it gets a script, before the guard."""
        rule = self._programme.by_head(asked, before_guard=True)
        return rule is not None and rule.script is not None

    def take_effect(self, asked: Asked, head: RequestHead, chosen: Chosen) -> None:
        """Note what an answer that is given now changes: a pull brings a model, a chat loads one."""
        if isinstance(chosen.answer, Script):
            asked = self._choices.of(asked).asked
            with self._lock:
                self._world = after(asked, self._world, chosen.answer.answer_to(head))

    def _chosen(self, choice: Choice, head: RequestHead, *, unread: bool) -> Chosen:
        asked = choice.asked
        strikers: list[RunningRule] = []
        if (arranged := self._arranged(asked, strikers, before_guard=True)) is not None:
            return arranged
        guarded = self._guarded(asked, unread=unread)
        if guarded is not None and _keeps_out(guarded):
            return guarded
        if choice.problem:
            return self._refused_choice(asked, choice.problem)
        if (response := self._expectations.answer(head, asked.body)) is not None:
            return Chosen(answer=response, step=Step.PROGRAMME, by="expectation")
        chosen = self._arranged(asked, strikers, before_guard=False, first=choice.rules)
        if chosen is None:
            if (own := self._recorded.own_bytes(asked, self._world)) is not None:
                chosen = self._recording(own, asked, Step.PROGRAMME)
            else:
                chosen = self._sent_on(asked) or guarded or self._ruled(asked, Step.REQUEST, Step.MODEL)
                chosen = chosen or self._handled(asked)
        for rule in reversed(strikers):
            chosen = self._struck(chosen, rule, notes=rule not in choice.rules)
        return _with_what_had_no_effect(chosen, choice)

    def _struck(self, chosen: Chosen, rule: RunningRule, *, notes: bool) -> Chosen:
        """An answer, struck by those faults of a rule that can strike it; `notes` has `check` raise for the others."""
        if isinstance(chosen.answer, Onward):
            return self._struck_onward(chosen, chosen.answer, rule, notes=notes)
        assert isinstance(chosen.answer, Script)
        script, left_out = strike(chosen.answer, rule.rule.faults)
        if len(left_out) < len(rule.rule.faults) and not self._programme.use(rule):
            return chosen
        if notes:
            self._note(left_out)
        return replace(
            chosen,
            answer=script,
            why=f"{chosen.why}; struck by {rule.label}" if script is not chosen.answer else chosen.why,
            programme_rules=(*chosen.programme_rules, rule.label),
            left_out=(*chosen.left_out, *left_out),
        )

    def _struck_onward(self, chosen: Chosen, onward: Onward, rule: RunningRule, *, notes: bool) -> Chosen:
        """An answer that is still to come: its faults are tried on it then."""
        if not self._programme.use(rule):
            return chosen
        faults = rule.rule.faults
        onward = replace(
            onward, faults=(*onward.faults, *faults), noted=(*onward.noted, *faults) if notes else onward.noted
        )
        return replace(chosen, answer=onward, programme_rules=(*chosen.programme_rules, rule.label))

    def _guarded(self, asked: Asked, *, unread: bool = False) -> Chosen | None:
        """What the guard refuses; a real Ollama guards itself."""
        return None if self._real_ollama is not None else self._ruled(asked, Step.GUARD, unread=unread)

    def _sent_on(self, asked: Asked) -> Chosen | None:
        """What the real Ollama answers, or was recorded before; None if there is none, or it cannot be asked."""
        real, world = self._real_ollama, self._world
        if real is None or asked.body_error:
            return None
        keeps_out = self._ruled(asked, Step.GUARD)
        if keeps_out is None or not _keeps_out(keeps_out):
            if (kept := real.kept(request_of(asked, world))) is not None:
                return self._recording(self._recorded.played(kept, "kept before"), asked, Step.RECORDING)
            if real.misses_only and (found := self._recorded.same(asked, world)) is not None:
                return self._recording(found, asked, Step.RECORDING)
        onward = Onward(asked=asked, world=world, faults=self._recorded.faults)
        return Chosen(answer=onward, step=Step.UPSTREAM, by="upstream", why=f"sent on to {real.url}")

    def _arranged(
        self, asked: Asked, strikers: list[RunningRule], *, before_guard: bool, first: Sequence[RunningRule] = ()
    ) -> Chosen | None:
        """What the first rule that has an answer answers; those before it that have none strike it.

        The rules are `first`, which the request chose, and then those of the programme.
        """
        seen = Seen(asked, self._world)
        try:
            for rule in self._programme.met(seen, before_guard=before_guard, first=first):
                if rule.rule.answer is None:
                    strikers.append(rule)
                elif (chosen := self._by_programme(rule, seen, notes=rule not in first)) is not None:
                    return chosen
        except FunctionRaised as raised:
            self._expectations.note_error(raised.error)
            return self._nothing(asked, seen.world, str(raised))
        return None

    def _by_programme(self, rule: RunningRule, seen: Seen, *, notes: bool) -> Chosen | None:
        """What a rule of the programme answers; None if it has been used up meanwhile."""
        answer, asked, world = rule.rule.answer, seen.asked, seen.world
        assert answer is not None
        by, why, faults = rule.name, rule.label or _ARRANGED, rule.rule.faults
        left_out: tuple[str, ...] = ()
        if isinstance(answer, Play):
            number = self._programme.use(rule)
            if not number:
                return None
            candidate = rule.candidate(seen, number)
            script, left_out, faults, by = candidate.script, candidate.left_out, (), candidate.recording.id
        elif isinstance(answer, Forwarded):
            assert self._real_ollama is not None, "such a rule is refused without one"
            if asked.body_error or not self._programme.use(rule):
                return None
            onward = Onward(
                asked=asked,
                world=world,
                faults=(*self._recorded.faults, *faults),
                noted=faults if notes else (),
            )
            return Chosen(
                answer=onward,
                step=Step.PROGRAMME,
                by="upstream",
                why=f"sent on to {self._real_ollama.url}" + (f" ({rule.label})" if rule.label else ""),
                programme_rules=(rule.label,) if rule.label else (),
            )
        elif isinstance(answer, Script):
            if not self._programme.use(rule):
                return None
            script = answer
        else:
            given = answer.give(asked, world, seen.request, self._recorded.at_pace(GAP_S))
            if isinstance(given, Answer):
                return _by_rule(given, given.script)
            if given.is_use and not self._programme.use(rule):
                return None
            why = f"{given.why} ({rule.label})" if rule.label else given.why
            script = script_of(given.answer, asked.method)
            if isinstance(given.answer, Recording):
                script, left_out = self._recorded.struck(script)
        script, not_struck = strike(script, faults)
        if notes:
            self._note(not_struck)
        if not isinstance(answer, Script | Play):
            script = fitted(script, asked, world, handled=True)
        return Chosen(
            answer=script,
            step=Step.PROGRAMME,
            by=by,
            why=why,
            programme_rules=(rule.label,) if rule.label else (),
            left_out=(*left_out, *not_struck),
        )

    def _note(self, left_out: tuple[str, ...]) -> None:
        """Have `check` raise for a fault of a rule that could not strike an answer."""
        for text in left_out:
            self._expectations.note_error(FaultDoesNotApply(text))

    def _handled(self, asked: Asked) -> Chosen:
        """What answers a request that nothing refuses. A recorded list of models is wrong once they have changed."""
        world, step = self._world, Step.RECORDING
        found = None if world.changed else self._recorded.same(asked, world)
        if found is None and (made := self._ruled(asked, Step.ANSWER)) is not None:
            return made
        if found is None and (found := self._recorded.same(asked, world)) is None:
            found, step = self._recorded.made(asked, world), Step.MADE
        if found is None:
            return self._nothing(asked, world, self._why_nothing(asked))
        return self._recording(found, asked, step)

    def _recording(self, found: RecordedAnswer, asked: Asked, step: Step) -> Chosen:
        script = fitted(found.script, asked, self._world, handled=True)
        return Chosen(answer=script, step=step, by=found.recording.id, why=found.why, left_out=found.left_out)

    def _refused_choice(self, asked: Asked, problem: str) -> Chosen:
        script = fitted(bad_choice(asked, self._world, problem), asked, self._world, handled=True)
        return Chosen(answer=script, step=Step.NOTHING, by="nothing", why=problem)

    def _nothing(self, asked: Asked, world: World, why: str) -> Chosen:
        script = fitted(no_answer(asked.method, asked.path, why), asked, world, handled=True)
        return Chosen(answer=script, step=Step.NOTHING, by="nothing", why=why)

    def _why_nothing(self, asked: Asked) -> str:
        names = self._recorded.nearest_names(asked)
        if not names:
            return f"no recording has the path {asked.path}"
        return f"no recording has this request; there are {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"

    def queue_full(self, asked: Asked) -> Chosen:
        """503, in the shape of the route, as Ollama answers when OLLAMA_MAX_QUEUE requests wait."""
        asked = self._choices.of(asked).asked
        script = route_error(asked, self._world, 503, QUEUE_FULL).script(asked.method)
        script = fitted(script, asked, self._world, handled=True)
        return Chosen(answer=script, step=Step.MODEL, by="queue", why=QUEUE_FULL)

    def needs_no_body(self, asked: Asked, head: RequestHead) -> bool:
        """Whether the request is refused whatever its body says, and its body is not worth reading away.

        That is a body that the client keeps back, or a long one. Who else answers is told by the body.
        """
        keeps_back = awaits_continue(head)
        if not keeps_back and int(asked.header("Content-Length") or "0") < MOST_UNREAD_BYTES:
            return False
        choice = self._choices.of(asked)
        asked = choice.asked
        guarded = self._guarded(asked)
        rule = self._programme.by_head(asked, before_guard=True)
        if rule is None and (guarded is None or not _keeps_out(guarded)):
            if self._expectations or choice.problem:
                return False
            rule = self._programme.by_head(asked, before_guard=False, first=choice.rules)
            if rule is None and self._recorded.own_bytes(asked, self._world) is not None:
                return False
        if rule is None:
            return guarded is not None
        return rule.script is not None and keeps_back and bool(rule.script.unmet(head))

    # ------------------------------------------------------------------------------------- rules, and the world

    def _ruled(self, asked: Asked, *steps: Step, unread: bool = False) -> Chosen | None:
        """What the first rule of these steps that has a reply answers."""
        found = self._asked_of_rules(asked, steps)
        if found is None:
            return None
        script = found.script
        if unread:
            script = fitted(script, asked, found.world, handled=False, unread=True)
        return _by_rule(found, script)

    def _asked_of_rules(self, asked: Asked, steps: tuple[Step, ...]) -> Answer | None:
        """What a rule answers in the world as it is now, which its reply may change."""
        ruled = answer(asked, self._world, steps=steps)
        if ruled is None or ruled.reply.world is None:
            return ruled
        with self._lock:  # again, since two requests may have come at once
            ruled = answer(asked, self._world, steps=steps)
            if ruled is not None and ruled.reply.world is not None:
                self._world = ruled.reply.world
        return ruled


def _by_rule(found: Answer, script: Script) -> Chosen:
    rule = found.rule
    return Chosen(answer=script, step=rule.step, by=f"rule {rule.id}", rule=rule.id, why=found.why)


def _with_what_had_no_effect(chosen: Chosen, choice: Choice) -> Chosen:
    """The answer; it says so if the request's choice changed nothing in it."""
    labels = {rule.label for rule in choice.rules}
    if not labels or labels & set(chosen.programme_rules):
        return chosen
    return replace(chosen, why=f"{chosen.why}; {choice.door} changed nothing")


def _redirected_below(prefix: str, chosen: Chosen) -> Chosen:
    """A redirect to the clean path keeps the prefix, so that the choice is not lost on the way."""
    head = chosen.answer.head if isinstance(chosen.answer, Script) else None
    location = "" if head is None else dict(head.headers).get("Location", "")
    if not location.startswith("/"):
        return chosen
    assert isinstance(chosen.answer, Script)
    return replace(chosen, answer=set_header("Location", f"{prefix}{location}")(chosen.answer))


def _keeps_out(guarded: Chosen) -> bool:
    """Whether the guard does not let a Host or an Origin in, whatever the route: it answers only these with 403."""
    head = guarded.answer.head if isinstance(guarded.answer, Script) else None
    return head is not None and head.status == 403
