"""What a test arranges on a FakeOllama: a programme, or one rule of it after the other, from now on or once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_httpserver import HTTPServer

from ollama_harness.answers.own_answers import OwnAnswer, OwnError, OwnVectors, own_reply
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import Fault, apply
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server.programme import Programme, ProgrammeRule, When
from ollama_harness.server.recorded_answers import RecordedAnswers

__all__ = ["Arranging", "Next"]

Function = Callable[[Request], object]


class Arranger:
    """The methods that arrange an answer. `_put` says where its rule stands, `_times` how often it answers."""

    _recorded: RecordedAnswers
    _listens: bool
    _times: int | None = None

    def _put(self, rule: ProgrammeRule, /) -> None:
        raise NotImplementedError

    def play(
        self,
        answer: Recording | Script | str,
        *faults: Fault,
        speed: float | None = None,
        method: str | None = None,
        path: str | None = None,
        when: Function | None = None,
        times: int | None = None,
        before_guard: bool = False,
    ) -> Script:
        """Give this answer to requests for its method and path from now on, whatever their body; returns the script.

        `answer` is a recording, its name (`generate-stream`), its id (`0.5.7/generate-stream`), or a script. `method`
        and `path` are the recording's by default; a script without them answers every request. `faults` are applied in
        order. `speed` replaces the server's.

        `when` is a function that says whether a request gets the answer: it is given the `method`, `path`, `headers`
        and `json` of the request. With `times` it answers only this many requests, and then what was arranged before
        answers again; `next` is for answers one after the other. With `before_guard` it also answers what Ollama
        refuses for its Host or Origin, and comes before expectations.

        Raises: UnknownName, if there is no such recording; FaultDoesNotApply; ValueError, if `times` is below 1.
        """
        name = "script"
        if isinstance(answer, str):
            answer = self._recorded.get(answer)
        if isinstance(answer, Recording):
            name, request = answer.id, answer.request
            method, path = method or request.method, path or request.path
            answer = self._recorded.paced(answer, speed=speed)
        script = apply(answer, faults)
        if script.ending.how is ConnectionEnd.REFUSE and self._listens:
            raise FaultDoesNotApply("this server listens, so it cannot refuse: make it with FakeOllama(listens=False)")
        if when is not None and not script.awaits_request:
            raise FaultDoesNotApply(
                "this is played before a request comes, so there is nothing that `when` could look at"
            )
        self._arrange(script, name=name, method=method, path=path, when=when, times=times, before_guard=before_guard)
        return script

    def reply(
        self,
        *tokens: str,
        text: str | Sequence[str] | None = None,
        thinking: str | Sequence[str] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] = (),
        json: Any = None,
        done_reason: str = "stop",
        tokens_per_s: float | None = None,
        first_token_s: float | None = None,
        faults: Sequence[Fault] = (),
        path: str | None = None,
        model: str | None = None,
        when: Function | None = None,
        times: int | None = None,
        before_guard: bool = False,
    ) -> None:
        """Let the model say this to every request for text from now on, on every route, as a stream or in one piece.

        `reply("Hello", " world")` gives the tokens; `reply("Hello world")` is split as a tokenizer would. `text` is the
        same by name, a text or a list of tokens, as is `thinking`. `tool_calls` are {"name": …, "arguments": {…}}, or
        of the form that messages have. `json` is a value that is said as JSON. `done_reason` is "stop" or "length".
        The first token comes after `first_token_s` seconds, and then `tokens_per_s` come, whatever the server's speed;
        what is not given follows that.

        Any model is there for it, and can do everything; only what Ollama cannot read or refuses for another field is
        refused, as ever. Nothing changes the words: not `stop`, `num_predict`, `format` or tools of the request. What
        only loads the model counts as no use.

        `faults` are applied in order to each answer; one that does not apply is left out, the journal says so, and
        `check` raises. `path` and `model` narrow the requests; for `when`, `times` and `before_guard` see `play`.

        Raises: ValueError, if there is nothing to say, or something is not as described.
        """
        if tokens and text is not None:
            raise ValueError("text: there are tokens, too; give one of the two")
        if tokens:
            text = tokens if len(tokens) > 1 else tokens[0]
        own = own_reply(
            text=text,
            thinking=thinking,
            tool_calls=tool_calls,
            json=json,
            done_reason=done_reason,
            tokens_per_s=tokens_per_s,
            first_token_s=first_token_s,
        )
        self._arrange(own, faults=faults, path=path, model=model, when=when, times=times, before_guard=before_guard)

    def embed(
        self,
        vectors: Sequence[Sequence[float]],
        *,
        faults: Sequence[Fault] = (),
        path: str | None = None,
        model: str | None = None,
        when: Function | None = None,
        times: int | None = None,
        before_guard: bool = False,
    ) -> None:
        """Answer requests for embeddings with these vectors from now on, on every route, as they are.

        The first text gets the first vector; where there are more texts than vectors, they begin again. All else is as
        for `reply`.

        Raises: ValueError, if there is no vector, or they are not of one width.
        """
        own = OwnVectors.of(vectors)
        self._arrange(own, faults=faults, path=path, model=model, when=when, times=times, before_guard=before_guard)

    def fail(
        self,
        status: int,
        message: str,
        *,
        faults: Sequence[Fault] = (),
        method: str | None = None,
        path: str | None = None,
        model: str | None = None,
        when: Function | None = None,
        times: int | None = None,
        before_guard: bool = False,
    ) -> None:
        """Answer every request with this error from now on, in the shape of the route that is asked.

        That is {"error": message} on Ollama's own routes, and what OpenAI and Anthropic have on theirs. It answers also
        what Ollama could not read. `set_header("Retry-After", "2")` among the `faults` adds a header. All else is as
        for `reply`.

        Raises: ValueError, if `status` is not from 400 to 599.
        """
        own = OwnError.of(status, message)
        self._arrange(
            own,
            faults=faults,
            method=method,
            path=path,
            model=model,
            when=when,
            times=times,
            before_guard=before_guard,
        )

    def _arrange(
        self,
        answer: Script | OwnAnswer,
        *,
        name: str = "",
        faults: Sequence[Fault] = (),
        method: str | None = None,
        path: str | None = None,
        model: str | None = None,
        when: Function | None = None,
        times: int | None = None,
        before_guard: bool = False,
    ) -> None:
        if isinstance(faults, Fault):
            raise TypeError(f"faults is one fault, and not a list; give faults=[{faults}]")
        self._put(
            ProgrammeRule(
                when=When(method=method, path=path, model=model, function=when),
                answer=answer,
                faults=tuple(faults),
                times=self._times if times is None else times,
                before_guard=before_guard,
                name=name,
            )
        )


class Next(Arranger):
    """What answers the next requests: `server.next.fail(503, "busy")`.

    Each call is for one request that it can answer, or for `times` of them. They answer in the order of the calls, and
    before all else that was arranged: `next.fail(…)`, `next.fail(…)`, `next.reply(…)` fails twice and then succeeds.
    """

    _times = 1

    def __init__(self, programme: RunningProgramme, recorded: RecordedAnswers, *, listens: bool) -> None:
        self._programme, self._recorded, self._listens = programme, recorded, listens

    def _put(self, rule: ProgrammeRule, /) -> None:
        self._programme.enqueue(rule)


class Arranging(Arranger, HTTPServer):
    """The half of a FakeOllama that a test talks to. The other half makes what is here, and answers."""

    _programme: RunningProgramme

    @property
    def programme(self) -> Programme:
        """The rules that answer requests, in the order in which they are tried.

        There is one order: what `next` arranged, in the order of its calls; what `play`, `reply`, `embed` and `fail`
        arranged, the newest first; and the programme from top to bottom. To set it replaces all rules, and counts from
        the beginning.

        Raises: ProgrammeError, when it is set, if a rule can have no effect; FaultDoesNotApply.
        """
        return self._programme.programme

    @programme.setter
    def programme(self, programme: Programme) -> None:
        self._programme.set(programme)

    @property
    def next(self) -> Next:
        """`play`, `reply`, `embed` and `fail` for just the next request, or with `times` for the next ones.

        They answer in the order of the calls, before all else that was arranged: `server.next.fail(503, "busy")` twice
        and then `server.next.reply("Hello")` fails twice and then succeeds.
        """
        return Next(self._programme, self._recorded, listens=self._listens)

    def _put(self, rule: ProgrammeRule, /) -> None:
        self._programme.prepend(rule)
