"""FakeOllama: a pytest-httpserver that answers as a recorded Ollama does, byte for byte and on time.

werkzeug's request handler cannot do this: it always sends `Connection: close`, writes two segments a chunk, adds a
`Server` header and loses pipelined requests. So the sockets are our own, and only expectations go through werkzeug.

A `Listener` runs `_serve` in a thread for each connection. If the newest play does not await a request
(`close_on_accept` and its like), it is played at once. Otherwise the thread reads one request after the other, asks the
`Answerer` for the answer to each, and plays that, until an answer ends the connection.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_httpserver import HTTPServerError
from werkzeug import Request as WerkzeugRequest
from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import Asked, Step, World, parse_model
from ollama_harness.answers.go.go_request import GoHead, read_go_body, read_go_head
from ollama_harness.errors import PortInUse
from ollama_harness.faults import Fault
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import ConnectionEnd, RenderedScript, Script, ScriptEnd, http_date
from ollama_harness.server._answers import Answerer, Chosen
from ollama_harness.server._arranging import Arranging
from ollama_harness.server._choices import Choices
from ollama_harness.server._expectations import Expectations, NoExpectation, segments
from ollama_harness.server._playback import play
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server._running_rule import RunningRule
from ollama_harness.server._unmatched import not_http
from ollama_harness.server.connection import Connection, RequestTooLarge
from ollama_harness.server.control import Calls, Control, Controlled, Verification, is_loopback, verification
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.listener import Listener
from ollama_harness.server.programme import ON_ACCEPT, Programme, Scenarios
from ollama_harness.server.recorded_answers import NEWEST, RecordedAnswers

__all__ = ["FakeOllama"]

_STAYS = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
_NOTHING = Script(method="GET", segments=(), ending=_STAYS)

#: How many rendered scripts a server caches.
_MOST_RENDERED = 64


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
    The journal keeps all entries, or only the last `journal_size` and those that are not settled.
    `scenarios` makes those that this server can play by name, for its recordings and its version: give
    `ollama_harness.matrix.served_scenario.ServedScenarios`, as `serve` and the fixture `fake_ollama` do.

    Programs in any language steer a server under /_harness/ (docs/control.md): one that listens on a loopback address
    without more, and any other with a `control_token`, which each call must bring then. Without `control` none does. A
    `control_port` of its own (0 is any free one) is there even if faults strike all connections to the other.

    Raises: UnknownName, if `version` is not recorded; ValueError, if `speed` or `gap_s` is not 0 or more,
    or the control API cannot be as wanted; ProgrammeError, if a rule of `programme` can have no effect;
    FaultDoesNotApply.
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
        journal_size: int | None = None,
        control: bool = True,
        control_token: str | None = None,
        control_port: int | None = None,
        scenarios: Callable[[RecordingStore, str], Scenarios] | None = None,
    ) -> None:
        super().__init__(host=host, port=port, threaded=True)
        for name, number in (("speed", speed), ("gap_s", gap_s or 0.0)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is {number}; give 0 or more")
        self.journal = Journal(size=journal_size)
        self._any_model = any_model
        self._models = tuple(map(parse_model, models))
        self._only_models = None if only_models is None else tuple(map(parse_model, only_models))
        self._origins = tuple(origins)
        self._faults = tuple(faults)
        on_accept = [fault(_NOTHING) for fault in faults if fault.name in ON_ACCEPT]
        self._listens = listens and all(script.ending.how is not ConnectionEnd.REFUSE for script in on_accept)
        self._rendered: dict[int, tuple[Script, str, RenderedScript]] = {}
        self._recorded = RecordedAnswers(
            store=store,
            own=None if recordings is None else Path(recordings),
            version=version,
            speed=speed,
            gap_s=gap_s,
            faults=faults,
        )
        self._make_scenarios = scenarios
        self._programme = RunningProgramme(self._recorded, on_accept)
        self._programme_at_first = programme or Programme()
        if self._programme_at_first.rules:
            self.programme = self._programme_at_first
        choices = Choices(self._programme, lambda: self.scenarios)
        self._answerer = Answerer(self._recorded, self._programme, choices, Expectations(self), self._as_given)
        self._calls: Calls | None = None
        if control and (control_token is not None or is_loopback(host)):
            self._calls = Calls(Control(self._controlled, token=control_token), host, control_port)
        elif control_port is not None:
            raise ValueError("control_port: the control API is off; give a control_token, or listen on 127.0.0.1")

    @property
    def store(self) -> RecordingStore:
        """The recordings that this server answers from."""
        return self._recorded.store

    @functools.cached_property
    def scenarios(self) -> Scenarios | None:
        """Those that this server can play by name; None if it was given none."""
        return None if self._make_scenarios is None else self._make_scenarios(self.store, self._recorded.version)

    @property
    def url(self) -> str:
        """The server's base URL without a slash at the end, for `OLLAMA_HOST` and `ollama.Client`."""
        return f"http://{self.format_host(self.host)}:{self.port}"

    @property
    def control_url(self) -> str | None:
        """The base URL of the control API, without a slash at the end; None if it is off."""
        if self._calls is None:
            return None
        return f"http://{self.format_host(self.host)}:{self._calls.port or self.port}/_harness"

    @property
    def _controlled(self) -> Controlled:
        return Controlled(
            host=self.host,
            journal=self.journal,
            programme=self._programme,
            recorded=self._recorded,
            url=lambda: self.url,
            reset=self.clear,
            verify=lambda strict: self.verify(strict=strict),
            scenarios=lambda: self.scenarios,
        )

    def verify(self, *, strict: bool = False) -> Verification:
        """Whether each rule was needed and each request answered; a test asserts that this is `ok` at its end.

        With `strict`, each request must have met a rule.
        """
        return verification(
            self._programme.rules,
            self.journal.entries,
            self._recorded.world,
            strict=strict,
            faults_of_server=map(str, self._faults),
        )

    def load(self) -> None:
        """Load the recordings now, so that the first answer does not wait for them."""
        self._recorded.load()

    def edit_programme(self, programme: Programme) -> None:
        """Put this programme in place of the one at first; a rule that was in it, too, goes on with its counts.

        What was arranged stays as it is.

        Raises: ProgrammeError, if a rule can have no effect; FaultDoesNotApply; nothing is changed then.
        """
        self._programme.edit(programme)
        self._programme_at_first = programme

    def clear(self) -> None:
        """Forget all expectations, journal entries and changes of models; the programme is the one at first again.

        Recordings and `faults` stay.
        """
        super().clear()
        self.programme = self._programme_at_first
        self._answerer.forget_changes()
        self.journal.clear()

    # ------------------------------------------------------------------------------------- starting and stopping

    def start(self) -> None:
        """Start listening; a thread accepts connections.

        Raises: PortInUse; HTTPServerError, if it is running already.
        """
        if self.is_running():
            raise HTTPServerError("Server is already running")
        listener = Listener(self.host, self.port, self._serve if self._listens else None)
        self.port = listener.port
        self.server = listener  # type: ignore[assignment]  # it has all that HTTPServer uses
        self.server_thread = threading.Thread(target=listener.serve_forever, daemon=True)
        self.server_thread.start()
        try:
            if self._calls is not None:
                self._calls.start()
        except PortInUse:
            super().stop()
            raise

    def stop(self) -> None:
        """Stop, and end every connection.

        Raises: HTTPServerError, if it is not running.
        """
        if self._calls is not None:
            self._calls.stop()
        super().stop()

    # ------------------------------------------------------------------------------------- one connection

    def _serve(self, sock: socket.socket, stop: socket.socket) -> None:
        connection, journal = Connection(sock, stop), self.journal
        number = journal.connected()
        usable, index, after_post, is_counted = True, 0, False, True
        note_left: Callable[[], None] = lambda: None  # noqa: E731 - until there is a request to note it in
        try:
            if (first := self._programme.take_on_accept()) is not None:
                self._play_on_accept(connection, first, number)
                return
            while usable:
                read = connection.await_head(functools.partial(_read_head, after_post))
                if read is None:
                    note_left()
                    return
                after_post = read.head.method == "POST"
                if self._calls is not None and self._calls.is_call(read):
                    if not index and is_counted:
                        is_counted = False
                        journal.uncount(1)
                    usable = self._calls.answer(connection, read.head)
                    continue
                if not is_counted:
                    is_counted = True
                    journal.uncount(-1)
                index += 1
                entry = Entry(connection=number, index=index, head=None if read.flaw else read.head, body=b"")
                usable = self._serve_request(connection, read, entry)
                note_left = functools.partial(journal.left, entry)
        finally:
            connection.close()

    def _serve_request(self, connection: Connection, read: GoHead, entry: Entry) -> bool:
        """Read the rest of a request, if Ollama does, and answer it; whether the connection can be used again."""
        head, asked = read.head, Asked.of(read.head, b"", flaw=read.flaw, at=_now())
        connection.take(head.size)
        if (refused := self._answerer.refusal(asked)) is not None:
            return self._answer(connection, entry, refused)
        if self._answerer.needs_no_body(asked, head):
            self._answer(connection, entry, self._answerer.answer(asked, head, unread=True))
            return False
        try:
            body = connection.await_body(head, lambda data, ended: read_go_body(data, head, ended=ended))
        except RequestTooLarge as error:
            too_large = Chosen(answer=not_http(error), step=Step.NOTHING, by="nothing", why=str(error))
            return self._answer(connection, entry, too_large)
        entry.body = body.data
        asked = Asked.of(head, body.data, body_error=body.error or "", at=asked.at)
        usable = self._answer(connection, entry, self._answerer.answer(asked, head))
        return usable and not head.wants_close and body.error is None

    def _play_on_accept(self, connection: Connection, first: RunningRule, number: int) -> None:
        script = first.script
        assert script is not None
        entry = Entry(connection=number, index=1, head=None, body=b"", script=script)
        entry.answered_by, entry.step = first.name, Step.PROGRAMME
        if script.ending.how is ConnectionEnd.RESET:
            connection.wait_for_request()  # an RST while the client connects or writes would be another fault
        self._play(connection, script, entry)

    def _answer(self, connection: Connection, entry: Entry, chosen: Chosen) -> bool:
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
            return self._play(connection, script, entry)
        entry.date = http_date()
        self.journal.add(entry)
        method = entry.head.method if entry.head is not None else ""
        response = segments(chosen.answer, method=method, date=entry.date)
        return play(connection, response, _STAYS, entry=entry, journal=self.journal)

    def _play(self, connection: Connection, script: Script, entry: Entry) -> bool:
        rendered, entry.date = self._render(script)
        self.journal.add(entry)
        return play(connection, rendered.segments, rendered.ending, entry=entry, journal=self.journal)

    def _render(self, script: Script) -> tuple[RenderedScript, str]:
        """The script's bytes with the current Date, and that Date; rendered at most once a second."""
        date = http_date()
        kept, kept_date, rendered = self._rendered.get(id(script), (None, "", None))
        if kept is not script or kept_date != date or rendered is None:
            rendered = script.render(date=date)
            if len(self._rendered) > _MOST_RENDERED:
                self._rendered.clear()
            self._rendered[id(script)] = script, date, rendered
        return rendered, date

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


def _read_head(after_post: bool, data: bytes, ended: bool) -> GoHead | None:  # noqa: FBT001
    return read_go_head(data, ended=ended, after_post=after_post)


def _now() -> datetime:
    return datetime.now(UTC)


def _is_loopback(host: str) -> bool:
    """Whether a server that listens here is reached from this machine only; a name is taken for such a one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
