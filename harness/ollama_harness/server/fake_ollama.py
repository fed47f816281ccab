"""FakeOllama: a pytest-httpserver that answers as a recorded Ollama does, byte for byte and on time.

werkzeug's request handler cannot do this: it always sends `Connection: close`, writes two segments a chunk, adds a
`Server` header and loses pipelined requests. So the sockets are our own, and only expectations go through werkzeug.

A `Listener` runs `_serve` as a coroutine for each connection; `engine` has the page on how these run, and `_connection`
the states of one. If the newest play does not await a request (`close_on_accept` and its like), it is played at once.
Otherwise the coroutine reads one request after the other, asks the `Chooser` for the answer to each, and plays that,
until an answer ends the connection.
"""

from __future__ import annotations

import ipaddress
import math
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_httpserver import HTTPServerError
from werkzeug import Request as WerkzeugRequest
from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import Asked, Step, World, parse_model
from ollama_harness.answers.go.go_body import GoBodyReader
from ollama_harness.answers.go.go_request import GoHead, GoHeadReader
from ollama_harness.faults import Fault
from ollama_harness.recordings.lazy import Lazy
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, http_date
from ollama_harness.server._answers import Answerer, Chosen
from ollama_harness.server._arranging import Arranging
from ollama_harness.server._choosing import Chooser
from ollama_harness.server._connection import Connection, RequestTooLarge
from ollama_harness.server._expectations import Expectations, NoExpectation, segments
from ollama_harness.server._playback import Batch, batches, play, play_live
from ollama_harness.server._running_programme import RunningProgramme, RunningRule
from ollama_harness.server._unmatched import not_http
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.listener import Listener
from ollama_harness.server.programme import ON_ACCEPT, Programme
from ollama_harness.server.recorded_answers import NEWEST, RecordedAnswers
from ollama_harness.server.transport import Transport

__all__ = ["FakeOllama"]

_STAYS = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
_NOTHING = Script(method="GET", segments=(), ending=_STAYS)

#: Of how many scripts a server keeps the writes.
_MOST_KEPT = 256


class FakeOllama(Arranging):
    """A server on 127.0.0.1 that answers from recordings; a context manager that starts and stops it.

    A request is answered by the first of these that has an answer. What Go's HTTP server refuses, and a Host or an
    Origin that Ollama does not let in, come before all that is arranged. Then come an expectation of pytest-httpserver
    (`expect_request` and its like), whatever its path; the first rule of the `programme` that is for the request, where
    the last `play`, `reply`, `embed` or `fail` comes first; bytes of your own for its method and path; what else that
    version of Ollama refuses, in its words; the recording of the same request, or else the nearest made to fit; a 501
    of ours.
    `journal` has what was received, what answered it and why, and what was really sent.

    `version` is a recorded version of Ollama, "newest", or None for no recordings. `store` has the recordings, by
    default those of the package; those in the folder `recordings` come before them. `speed` is 1 for the recorded
    times, 10 for ten times as fast, 0 for as fast as possible; or `gap_s` seconds pass between any two segments.
    `faults` are applied to every recording that they can strike. `models` are there besides those of the recordings,
    each as NAME or NAME=CAPABILITY,CAPABILITY; with `only_models` there are no others. With `any_model` every model is
    there and can do everything. `origins` are those of OLLAMA_ORIGINS. Without `listens` the port is bound, but
    connections to it are refused. `port` 0 is any free port. `programme` is the programme at first and after `clear`.

    Raises: UnknownName, if `version` is not recorded; ValueError, if `speed` or `gap_s` is not 0 or more;
    ProgrammeError, if a rule of `programme` can have no effect; FaultDoesNotApply.
    """

    DEFAULT_LISTEN_HOST = "127.0.0.1"

    def __init__(
        self,
        host: str = DEFAULT_LISTEN_HOST,
        port: int = 0,
        *,
        version: str | None = NEWEST,
        store: RecordingStore | None = None,
        recordings: Path | str | None = None,
        speed: float = 1.0,
        gap_s: float | None = None,
        faults: Sequence[Fault] = (),
        any_model: bool = False,
        models: Sequence[str] = (),
        only_models: Sequence[str] | None = None,
        origins: Sequence[str] = (),
        listens: bool = True,
        programme: Programme | None = None,
    ) -> None:
        super().__init__(host=host, port=port, threaded=True)
        for name, number in (("speed", speed), ("gap_s", gap_s or 0.0)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is {number}; give 0 or more")
        self.journal = Journal()
        self._any_model = any_model
        self._models = tuple(map(parse_model, models))
        self._only_models = None if only_models is None else tuple(map(parse_model, only_models))
        self._origins = tuple(origins)
        on_accept = [fault(_NOTHING) for fault in faults if fault.name in ON_ACCEPT]
        self._listens = listens and all(script.ending.how is not ConnectionEnd.REFUSE for script in on_accept)
        self._kept_writes: dict[int, tuple[Script, str, Sequence[Batch]]] = {}
        self._recorded = RecordedAnswers(
            store=store,
            own=None if recordings is None else Path(recordings),
            version=version,
            speed=speed,
            gap_s=gap_s,
            faults=faults,
        )
        self._programme = RunningProgramme(self._recorded, on_accept)
        self._programme_at_first = programme or Programme()
        if self._programme_at_first.rules:
            self.programme = self._programme_at_first
        self._expectations = Expectations(self)
        self._answerer = Answerer(self._recorded, self._programme, self._expectations, self._as_given)
        self._chooser = Chooser(self._answerer, self._programme, self._expectations)

    @property
    def store(self) -> RecordingStore:
        """The recordings that this server answers from."""
        return self._recorded.store

    @property
    def url(self) -> str:
        """The server's base URL without a slash at the end, for `OLLAMA_HOST` and `ollama.Client`."""
        return f"http://{self.format_host(self.host)}:{self.port}"

    def load(self) -> None:
        """Load the recordings now, so that the first answer does not wait for them."""
        self._recorded.load()

    def clear(self) -> None:
        """Forget all expectations, journal entries and changes of models; the programme is the one at first again.

        Recordings and `faults` stay.
        """
        super().clear()
        self.programme = self._programme_at_first
        self._answerer.forget_changes()
        self.journal = Journal()

    # ------------------------------------------------------------------------------------- starting and stopping

    def start(self) -> None:
        """Start listening.

        Raises: PortInUse; HTTPServerError, if it is running already.
        """
        if self.is_running():
            raise HTTPServerError("Server is already running")
        listener = Listener(self.host, self.port, self._serve if self._listens else None)
        self.port = listener.port
        self.server = listener  # type: ignore[assignment]  # `is_running` looks at it

    def stop(self) -> None:
        """End every connection and stop listening. A handler or function of yours that still runs after half a second
        is left to end by itself, and its answer is dropped.

        Raises: HTTPServerError, if the server is not running.
        """
        if self.server is None:
            raise HTTPServerError("Server is not running")
        self.server.shutdown()
        self.server = None

    # ------------------------------------------------------------------------------------- one connection

    async def _serve(self, sock: socket.socket) -> None:
        connection, journal = Connection(Transport(sock)), self.journal
        number, index, usable = journal.connected(), 0, True
        entry: Entry | None = None
        try:
            if (first := self._programme.take_on_accept()) is not None:
                await self._play_on_accept(connection, first, number)
                return
            while usable:
                index += 1
                after_post = entry is not None and entry.head is not None and entry.head.method == "POST"
                read = await connection.await_head(GoHeadReader(after_post=after_post))
                if read is None:
                    if entry is not None:
                        journal.left(entry)
                    return
                entry = Entry(connection=number, index=index, head=None if read.flaw else read.head, body=b"")
                usable = await self._serve_request(connection, read, entry)
        finally:
            await connection.close()

    async def _serve_request(self, connection: Connection, read: GoHead, entry: Entry) -> bool:
        """Read the rest of a request, if Ollama does, and answer it; whether the connection can be used again."""
        head, asked = read.head, Asked.of(read.head, b"", flaw=read.flaw, at=_now())
        connection.take(head.size)
        await self._chooser.get_ready()
        if (refused := self._answerer.refusal(asked)) is not None:
            return await self._answer(connection, entry, refused)
        if self._answerer.needs_no_body(asked, head):
            await self._answer(connection, entry, await self._chooser.chosen(asked, head, unread=True))
            return False
        body = GoBodyReader(head)
        try:
            await connection.await_body(head, body)
        except RequestTooLarge as error:
            too_large = Chosen(answer=not_http(error), step=Step.NOTHING, by="nothing", why=str(error))
            return await self._answer(connection, entry, too_large)
        entry.body = body.content
        asked = Asked.of(head, entry.body, body_error=body.error or "", at=asked.at)
        usable = await self._answer(connection, entry, await self._chooser.chosen(asked, head))
        return usable and not head.wants_close and body.error is None

    async def _play_on_accept(self, connection: Connection, first: RunningRule, number: int) -> None:
        script = first.script
        assert script is not None
        entry = Entry(connection=number, index=1, head=None, body=b"", script=script)
        entry.answered_by, entry.step = first.name, Step.PROGRAMME
        if script.ending.how is ConnectionEnd.RESET:
            await connection.wait_for_request()  # an RST while the client connects or writes would be another fault
        await self._play(connection, script, entry)

    async def _answer(self, connection: Connection, entry: Entry, chosen: Chosen) -> bool:
        """Give this answer, and note it; returns whether the connection can be used again."""
        entry.answered_by, entry.step, entry.rule = chosen.by, chosen.step, chosen.rule
        entry.programme_rules, entry.left_out = chosen.programme_rules, chosen.left_out
        entry.why = "; ".join((chosen.why, *chosen.left_out))
        if isinstance(chosen.answer, Script):
            entry.script = script = chosen.answer
            if entry.head is not None:
                if unmet := script.unmet(entry.head):
                    entry.unmet, entry.why = unmet, f"{entry.why}; refused, because {unmet}"
                script = script.answer_to(entry.head)
            return await self._play(connection, script, entry)
        entry.date = http_date()
        self.journal.add(entry)
        method = entry.head.method if entry.head is not None else ""
        made = segments(chosen.answer, method=method, date=entry.date)
        if not chosen.answer.is_streamed:
            return await play(connection, batches(made), _STAYS, entry=entry, journal=self.journal)
        try:
            return await play_live(connection, made, entry=entry, journal=self.journal)
        except Exception as error:  # noqa: BLE001 - whatever a user's iterator raises; check() raises it again
            self._expectations.note_error(error)
            broken_off = ScriptEnd(how=ConnectionEnd.CLOSE, at_s=0.0)
            return await play(connection, (), broken_off, entry=entry, journal=self.journal)

    async def _play(self, connection: Connection, script: Script, entry: Entry) -> bool:
        writes, entry.date = self._writes(script)
        self.journal.add(entry)
        return await play(connection, writes, script.ending, entry=entry, journal=self.journal)

    def _writes(self, script: Script) -> tuple[Iterable[Batch], str]:
        """The writes that play a script with the current Date, and that Date; made at most once a second."""
        date = http_date()
        kept, kept_date, writes = self._kept_writes.get(id(script), (None, "", ()))
        if kept is not script or kept_date != date:
            rendered = script.render(date=date).segments
            if isinstance(rendered, Lazy):  # it is long, so it is made while it is played
                return batches(rendered), date
            writes = tuple(batches(rendered))
            if len(self._kept_writes) > _MOST_KEPT:
                self._kept_writes.clear()
            self._kept_writes[id(script)] = script, date, writes
        return writes, date

    def respond_nohandler(self, request: WerkzeugRequest, extra_message: str = "") -> WerkzeugResponse:
        """What answers when no expectation matches: not these, unless their order is broken."""
        return super().respond_nohandler(request, extra_message) if self.permanently_failed else NoExpectation()

    def _as_given(self, world: World) -> World:
        """The world of the recordings, with what this server was given."""
        if self._only_models is not None:
            world = world.only(*(world.model(name, *able) for name, able in self._only_models))
        for name, able in self._models:
            world = world.with_model(world.model(name, *able))
        return replace(world, any_model=self._any_model, loopback=_is_loopback(self.host), origins=self._origins)


def _now() -> datetime:
    return datetime.now(UTC)


def _is_loopback(host: str) -> bool:
    """Whether a server that listens here is reached from this machine only; a name is taken for such a one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
