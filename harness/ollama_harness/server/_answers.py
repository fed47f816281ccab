"""What answers a request, and why: the steps of its way, in the world as it is now.

The order is: what Go's HTTP server refuses; an expectation of pytest-httpserver; the newest play for the method and
path; bytes of the user's own for them; what Ollama refuses; the recording that matches, or what a rule makes of the
models that are there; a 501 of ours. `answers` has the rules, which are pure. The state is here: the plays, where each
use counts, and the world, which some answers change. All connections of a server share it.

The client may wait for 100 Continue before it sends its body. A refusal that depends on the head alone is then sent
without asking for the body, as servers do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import Answer, Asked, Step, World, after, answer, world_of
from ollama_harness.answers.fitting import MOST_UNREAD_BYTES, fitted, model_of
from ollama_harness.recordings.recording import Recording
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import Script
from ollama_harness.server._expectations import Expectations
from ollama_harness.server._matching import Match, received
from ollama_harness.server._plays import Plays
from ollama_harness.server._unmatched import no_answer
from ollama_harness.server.connection import awaits_continue
from ollama_harness.server.recorded import RecordedAnswers

__all__ = ["Answerer", "Chosen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What answers a request: a script, or the response of an expectation. `by` and `why` are for the journal."""

    answer: Script | WerkzeugResponse
    by: str
    why: str = ""


class Answerer:
    """Chooses what answers each request. `given` makes the first world of the world of the recordings."""

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
        return self._given(world_of(self._recorded.matcher.recordings, self._recorded.version))

    # ------------------------------------------------------------------------------------- the way of a request

    def refusal(self, asked: Asked) -> Chosen | None:
        """What Go's HTTP server itself refuses, before it reads the body."""
        return self._ruled(asked, Step.PROTOCOL)

    def answer(self, asked: Asked, head: RequestHead, *, unread: bool = False) -> Chosen:
        """What answers a request. With `unread` its body has been left where it is."""
        if (response := self._expectations.answer(head, asked.body)) is not None:
            return Chosen(answer=response, by="expectation")
        if (play := self._plays.take(asked.method, asked.raw_path)) is not None:
            return Chosen(answer=play.script, by=play.name, why="the last play for this method and path")
        if (own := self._recorded.for_any_content(head, asked.body)) is not None:
            return self._played(own, asked, "", "the own bytes for this method and path")
        if (refused := self._ruled(asked, Step.GUARD, unread=unread)) is not None:
            return refused
        return self._ruled(asked, Step.REQUEST, Step.MODEL) or self._handled(asked, head)

    def _handled(self, asked: Asked, head: RequestHead) -> Chosen:
        """What answers a request that nothing refuses."""
        request = received(head, asked.body)
        found = self._recorded.match(request, asked, self._world)
        is_recorded = isinstance(found, Match) and found.is_same and not self._world.changed
        if not is_recorded and (made := self._ruled(asked, Step.ANSWER)) is not None:
            return made
        if isinstance(found, Match):
            return self._played(found.recording, asked, model_of(request), found.why)
        script = fitted(no_answer(request, found.why), asked, self._world, handled=True)
        return Chosen(answer=script, by="nothing", why=found.why)

    def _played(self, recording: Recording, asked: Asked, model: str, why: str) -> Chosen:
        """A recording as the answer, with the model called as it is here ("": as it was recorded)."""
        self._note_change(asked, recording)
        script, left_out = self._recorded.struck(recording, model)
        answer = fitted(script, asked, self._world, handled=True)
        return Chosen(answer=answer, by=recording.id, why=why + left_out)

    def needs_no_body(self, asked: Asked, head: RequestHead) -> bool:
        """Whether the request is refused whatever its body says, and its body is not worth reading away.

        That is a body that the client keeps back, or a long one. Who else answers is told by the body.
        """
        keeps_back = awaits_continue(head)
        if not keeps_back and int(asked.header("Content-Length") or "0") < MOST_UNREAD_BYTES:
            return False
        if self._expectations:
            return False
        if (play := self._plays.find(asked.method, asked.raw_path)) is not None:
            return keeps_back and bool(play.script.unmet(head))
        if self._recorded.for_any_content(head, b"") is not None:
            return False
        return answer(asked, self._world, steps=(Step.GUARD,)) is not None

    # ------------------------------------------------------------------------------------- rules, and the world

    def _ruled(self, asked: Asked, *steps: Step, unread: bool = False) -> Chosen | None:
        """What the first rule of these steps that has a reply answers."""
        found = self._asked_of_rules(asked, steps)
        if found is None:
            return None
        why = found.rule.why
        if found.rule.step is Step.MODEL and found.reply.status == 404:
            why += f"; there are {', '.join(sorted(self._world.models))}"
        handled = found.rule.step in (Step.REQUEST, Step.MODEL, Step.ANSWER)
        script = fitted(found.reply.script(asked.method), asked, self._world, handled=handled, unread=unread)
        return Chosen(answer=script, by=f"rule {found.rule.id}", why=why)

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

    def _note_change(self, asked: Asked, recording: Recording) -> None:
        """Note what a recorded answer to this request changes: a pull brings a model."""
        with self._lock:
            world = after(asked, self._world)
            if world is not self._world and b'"status":"success"' in recording.body:
                self._world = world
