"""What answers a request, and why: the steps of its way, in the world as it is now.

The order is: what Go's HTTP server refuses; a play that stands before the guard; a Host or an Origin that Ollama does
not let in; an expectation of pytest-httpserver; the newest play, or answer of the user's own, that suits the request;
bytes of the user's own for its method and path; what else Ollama refuses; the recording of the same request, or what a
rule makes of the models that are there; the nearest recording made to fit; a 501 of ours.

A play or an expectation is a handler, and so its method and path are a route. What the guard says of a route (that it
is not there, has other methods, is spelled differently) is therefore true only after them, but whom it lets in does not
depend on a route.

`answers` has the rules, which are pure. The state is here: the plays, where each use counts, and the world, which some
answers change. All connections of a server share it.

The client may wait for 100 Continue before it sends its body. A refusal that depends on the head alone is then sent
without asking for the body, as servers do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import Answer, Asked, Reply, Step, World, after, answer
from ollama_harness.answers.fitting import MOST_UNREAD_BYTES, fitted, model_of
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import apply
from ollama_harness.recordings.recording import GAP_S
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import Script
from ollama_harness.server._expectations import Expectations
from ollama_harness.server._plays import Play, Plays
from ollama_harness.server._unmatched import no_answer
from ollama_harness.server.connection import awaits_continue
from ollama_harness.server.recorded_answers import RecordedAnswer, RecordedAnswers, request_of

__all__ = ["Answerer", "Chosen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What answers a request: a script, or the response of an expectation. The rest is for the journal."""

    answer: Script | WerkzeugResponse
    step: Step
    by: str
    rule: str = ""
    why: str = ""


class Answerer:
    """Chooses what answers each request. `given` makes the first world of the world of the recordings.

    What a `when` of the user's raises, and a fault that strikes no own answer, is an error for `check` to raise.
    """

    def __init__(
        self,
        recorded: RecordedAnswers,
        plays: Plays,
        expectations: Expectations,
        given: Callable[[World], World],
    ) -> None:
        self._recorded, self._plays, self._expectations, self._given = recorded, plays, expectations, given
        self._lock = threading.Lock()

    def forget_changes(self) -> None:
        """Make the world again what it was at first."""
        with self._lock:
            self.__dict__.pop("_world", None)

    @functools.cached_property
    def _world(self) -> World:
        """What there is now."""
        return self._first_world

    @functools.cached_property
    def _first_world(self) -> World:
        return self._given(self._recorded.world)

    # ------------------------------------------------------------------------------------- the way of a request

    def refusal(self, asked: Asked) -> Chosen | None:
        """What Go's HTTP server itself refuses, before it reads the body."""
        return self._ruled(asked, Step.PROTOCOL)

    def answer(self, asked: Asked, head: RequestHead, *, unread: bool = False) -> Chosen:
        """What answers a request. With `unread` its body has been left where it is."""
        chosen = self._chosen(asked, head, unread=unread)
        if isinstance(chosen.answer, Script):  # a pull brings a model, a chat loads one
            with self._lock:
                self._world = after(asked, self._world, chosen.answer.answer_to(head))
        return chosen

    def _chosen(self, asked: Asked, head: RequestHead, *, unread: bool) -> Chosen:
        if (arranged := self._arranged(asked, before_guard=True)) is not None:
            return arranged
        guarded = self._ruled(asked, Step.GUARD, unread=unread)
        if guarded is not None and _keeps_out(guarded):
            return guarded
        if (response := self._expectations.answer(head, asked.body)) is not None:
            return Chosen(answer=response, step=Step.PROGRAMME, by="expectation")
        if (arranged := self._arranged(asked, before_guard=False)) is not None:
            return arranged
        if (own := self._recorded.own_bytes(asked, self._world)) is not None:
            return self._recording(own, asked, Step.PROGRAMME)
        return guarded or self._ruled(asked, Step.REQUEST, Step.MODEL) or self._handled(asked)

    def _arranged(self, asked: Asked, *, before_guard: bool) -> Chosen | None:
        """What the newest play that suits the request answers."""
        world = self._world
        for play in self._plays.find(asked.method, asked.raw_path, before_guard=before_guard):
            if play.script is not None:
                if self._plays.use(play):
                    why = "the last play for this method and path"
                    return Chosen(answer=play.script, step=Step.PROGRAMME, by=play.name, why=why)
            elif (own := self._own(play, asked, world)) is not None:
                return own
        return None

    def _own(self, play: Play, asked: Asked, world: World) -> Chosen | None:
        """What an answer says for which more than the head decides."""
        own, request = play.answer, request_of(asked, world)
        if not isinstance(own, Script) and not own.suits(asked, world):
            return None
        if not play.is_for_model(model_of(request)):
            return None
        try:
            if play.when is not None and not play.when(request):
                return None
        except Exception as error:  # noqa: BLE001 - whatever a user's `when` raises; check() raises it again
            self._expectations.note_error(error)
            return self._nothing(asked, world, f"the `when` of a {play.name} raised {error!r}")
        if isinstance(own, Script):
            if not self._plays.use(play):
                return None
            return Chosen(answer=own, step=Step.PROGRAMME, by=play.name, why="the last play whose `when` says yes")
        given = own.give(asked, world, request, self._recorded.at_pace(GAP_S))
        if isinstance(given, Answer):
            return _by_rule(given, given.script)
        if given.is_use and not self._plays.use(play):
            return None
        if isinstance(given.answer, Reply):
            script, why = given.answer.script(asked.method), given.why
        else:
            script, why = self._recorded.struck(Script.from_recording(given.answer), given.why)
        try:
            script = apply(script, play.faults)
        except FaultDoesNotApply as error:
            self._expectations.note_error(error)
            return self._nothing(asked, world, f"a fault of your {play.name} cannot strike this answer: {error}")
        script = fitted(script, asked, world, handled=True)
        return Chosen(answer=script, step=Step.PROGRAMME, by=play.name, why=why)

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
        return Chosen(answer=script, step=step, by=found.recording.id, why=found.why)

    def _nothing(self, asked: Asked, world: World, why: str) -> Chosen:
        script = fitted(no_answer(asked.method, asked.path, why), asked, world, handled=True)
        return Chosen(answer=script, step=Step.NOTHING, by="nothing", why=why)

    def _why_nothing(self, asked: Asked) -> str:
        names = self._recorded.nearest_names(asked)
        if not names:
            return f"no recording has the path {asked.path}"
        return f"no recording has this request; there are {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"

    def needs_no_body(self, asked: Asked, head: RequestHead) -> bool:
        """Whether the request is refused whatever its body says, and its body is not worth reading away.

        That is a body that the client keeps back, or a long one. Who else answers is told by the body.
        """
        keeps_back = awaits_continue(head)
        if not keeps_back and int(asked.header("Content-Length") or "0") < MOST_UNREAD_BYTES:
            return False
        guarded = self._ruled(asked, Step.GUARD)
        play = next(self._plays.find(asked.method, asked.raw_path, before_guard=True), None)
        if play is None and (guarded is None or not _keeps_out(guarded)):
            if self._expectations:
                return False
            play = next(self._plays.find(asked.method, asked.raw_path, before_guard=False), None)
            if play is None and self._recorded.own_bytes(asked, self._world) is not None:
                return False
        if play is None:
            return guarded is not None
        return play.script is not None and keeps_back and bool(play.script.unmet(head))

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


def _keeps_out(guarded: Chosen) -> bool:
    """Whether the guard does not let a Host or an Origin in, whatever the route: it answers only these with 403."""
    head = guarded.answer.head if isinstance(guarded.answer, Script) else None
    return head is not None and head.status == 403
