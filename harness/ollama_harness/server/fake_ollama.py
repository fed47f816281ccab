"""FakeOllama: a pytest-httpserver that answers as a recorded Ollama does, byte for byte and on time.

werkzeug's request handler cannot do this: it always sends `Connection: close`, writes two segments a chunk, adds a
`Server` header and loses pipelined requests. So the sockets are our own, and only expectations go through werkzeug.

A `Listener` runs `_serve` in a thread for each connection. If the newest arranged script does not await a request
(`close_on_accept` and its like), it is played at once. Otherwise the thread reads one request after the other, chooses
a script for each, and plays it, until an answer ends the connection. The choice is made in this order: an expectation
of pytest-httpserver, the newest arranged script for the method and path, the recording that matches, a 404. All threads
share the list of arranged scripts, where each use counts, and the handlers of pytest-httpserver, which are not made for
threads: `_lock` guards both.

The client may wait for 100 Continue before it sends its body. A refusal that depends on the head alone is then sent
without asking for the body, as servers do.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pytest_httpserver import HTTPServer, HTTPServerError
from werkzeug import Request as WerkzeugRequest
from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import Answer, Asked, Step, World, after, answer, parse_model, world_of
from ollama_harness.answers.fitting import MOST_UNREAD_BYTES, as_named, fitted, model_of
from ollama_harness.answers.go.go_request import GoHead, read_go_body, read_go_head
from ollama_harness.answers.rules.routes import routing
from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import Fault, apply
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, RenderedScript, Script, ScriptEnd, http_date
from ollama_harness.server._matching import Match, Matcher, Nearest, received
from ollama_harness.server._playback import play
from ollama_harness.server._unmatched import no_answer, not_http
from ollama_harness.server._wsgi import environ, segments
from ollama_harness.server.connection import Connection, RequestTooLarge, awaits_continue
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.listener import Listener

__all__ = ["NEWEST", "FakeOllama", "packaged"]

NEWEST = "newest"

#: Faults that strike before a request is read, so that they strike every connection.
_ON_ACCEPT = ("refuse", "close_on_accept", "reset_on_accept", "never_read")
_NOTHING = Script(method="GET", segments=(), ending=ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0))

#: How many rendered scripts a server caches.
_MOST_RENDERED = 64

#: How many scripts of recordings a server keeps: a client may ask for any number of names.
_MOST_SCRIPTS = 1024


@dataclass(slots=True, kw_only=True)
class _Arranged:
    """A script of `FakeOllama.play`: requests for this method and path (None: any) get it, `left` more times."""

    method: str | None
    path: str | None
    script: Script
    name: str
    left: int | None

    def answers(self, method: str, path: str) -> bool:
        return self.method in (None, method) and self.path in (None, path)


class FakeOllama(HTTPServer):
    """A server on 127.0.0.1 that answers from recordings; a context manager that starts and stops it.

    A request is answered by the first of these: an expectation of pytest-httpserver (`expect_request` and its like);
    the last `play` for its method and path; a rule of that version's Ollama (see `answers`); the recording of `version`
    that matches the request; a 501 of ours.
    `journal` has what was received, what answered it and why, and what was really sent.

    `version` is a recorded version of Ollama, "newest", or None for no recordings. `store` has the recordings, by
    default those of the package. `speed` is 1 for the recorded times, 10 for ten times as fast, 0 for as fast as
    possible; or `gap_s` seconds pass between any two segments. `faults` are applied to every recording that they can
    strike. `models` are there besides those of the recordings, each as NAME or NAME=CAPABILITY,CAPABILITY; with
    `only_models` there are no others. With `any_model` every model is there and can do everything. `origins` are those
    of OLLAMA_ORIGINS. Without `listens` the port is bound, but connections to
    it are refused. `port` 0 is any free port.

    Raises: UnknownName, if `version` is not recorded; ValueError, if `speed` or `gap_s` is not 0 or more.
    """

    DEFAULT_LISTEN_HOST = "127.0.0.1"

    def __init__(
        self,
        host: str = DEFAULT_LISTEN_HOST,
        port: int = 0,
        *,
        version: str | None = NEWEST,
        store: RecordingStore | None = None,
        speed: float = 1.0,
        gap_s: float | None = None,
        faults: Sequence[Fault] = (),
        any_model: bool = False,
        models: Sequence[str] = (),
        only_models: Sequence[str] | None = None,
        origins: Sequence[str] = (),
        listens: bool = True,
    ) -> None:
        super().__init__(host=host, port=port, threaded=True)
        for name, number in (("speed", speed), ("gap_s", gap_s or 0.0)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is {number}; give 0 or more")
        self.journal = Journal()
        self._speed, self._gap_s = speed, gap_s
        self._faults, self._any_model = tuple(faults), any_model
        self._models = tuple(map(parse_model, models))
        self._only_models = None if only_models is None else tuple(map(parse_model, only_models))
        self._origins = tuple(origins)
        on_accept = [fault(_NOTHING) for fault in self._faults if fault.name in _ON_ACCEPT]
        self._listens = listens and all(script.ending.how is not ConnectionEnd.REFUSE for script in on_accept)
        self._permanent = [
            _Arranged(method=None, path=None, script=script, name="faults", left=None) for script in on_accept
        ]
        self._arranged = list(self._permanent)
        self._scripts: dict[tuple[str, str], tuple[Script, str]] = {}
        self._rendered: dict[int, tuple[Script, str, RenderedScript]] = {}
        self._store = store
        self._version = version
        self._lock = threading.Lock()
        if version not in (None, NEWEST):
            self.store.version(str(version))

    @functools.cached_property
    def store(self) -> RecordingStore:
        """The recordings that this server answers from."""
        return self._store or _packaged()

    @property
    def url(self) -> str:
        """The server's base URL without a slash at the end, for `OLLAMA_HOST` and `ollama.Client`."""
        return f"http://{self.format_host(self.host)}:{self.port}"

    def play(
        self,
        answer: Recording | Script | str,
        *faults: Fault,
        speed: float | None = None,
        method: str | None = None,
        path: str | None = None,
        times: int | None = None,
    ) -> Script:
        """Give this answer to requests for its method and path from now on, whatever their body; returns the script.

        `answer` is a recording, its name (`generate-stream`), its id (`0.5.7/generate-stream`), or a script. `method`
        and `path` are the recording's by default; a script without them answers every request. `faults` are applied in
        order. `speed` replaces the server's. With `times` it answers only this many requests, and then what was
        arranged before answers again: to fail twice and then succeed, play the success first.

        Raises: UnknownName, if there is no such recording; FaultDoesNotApply; ValueError, if `times` is below 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is {times}; give 1 or more, or leave it out for always")
        name = "script"
        if isinstance(answer, str):
            answer = self.store.get(answer if "/" in answer else f"{self._version_number()}/{answer}")
        if isinstance(answer, Recording):
            name, request = answer.id, answer.request
            method, path = method or request.method, path or request.path
            answer = self._paced(answer) if speed is None else Script.from_recording(answer, speed=speed)
        script = apply(answer, faults)
        if script.ending.how is ConnectionEnd.REFUSE and self._listens:
            raise FaultDoesNotApply("this server listens, so it cannot refuse: make it with FakeOllama(listens=False)")
        with self._lock:
            self._arranged.insert(0, _Arranged(method=method, path=path, script=script, name=name, left=times))
        return script

    def load(self) -> None:
        """Load the recordings now, so that the first answer does not wait for them."""
        _ = self._matcher

    def clear(self) -> None:
        """Forget all expectations, plays, journal entries and changes of models; recordings and `faults` stay."""
        super().clear()
        self._arranged = list(self._permanent)
        self.journal = Journal()
        with self._lock:
            self.__dict__.pop("_world", None)

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

    # ------------------------------------------------------------------------------------- one connection

    def _serve(self, sock: socket.socket, stop: socket.socket) -> None:
        connection, journal = Connection(sock, stop), self.journal
        number = journal.connected()
        usable, index, after_post = True, 0, False
        note_left: Callable[[], None] = lambda: None  # noqa: E731 - until there is a request to note it in
        try:
            if (arranged := self._next_on_accept()) is not None:
                self._play_on_accept(connection, arranged, number)
                return
            while usable:
                index += 1
                read = connection.await_head(functools.partial(_read_head, after_post))
                if read is None:
                    note_left()
                    return
                after_post = read.head.method == "POST"
                entry = Entry(connection=number, index=index, head=None if read.flaw else read.head, body=b"")
                usable = self._serve_request(connection, read, entry)
                note_left = functools.partial(journal.left, entry)
        finally:
            connection.close()

    def _serve_request(self, connection: Connection, read: GoHead, entry: Entry) -> bool:
        """Read the rest of a request, if Ollama does, and answer it; whether the connection can be used again."""
        head, asked = read.head, Asked.of(read.head, b"", flaw=read.flaw, at=_now())
        if (script := self._refused(asked, entry, Step.PROTOCOL)) is not None:
            connection.take(head.size)
            return self._play(connection, script, entry)
        connection.take(head.size)
        if unread := self._leaves_unread(asked, head):
            return self._answer(connection, entry, asked, head, unread=unread) and False
        try:
            body = connection.await_body(head, lambda data, ended: read_go_body(data, head, ended=ended))
        except RequestTooLarge as error:
            entry.why = str(error)
            return self._play(connection, not_http(error), entry)
        entry.body = body.data
        asked = Asked.of(head, body.data, body_error=body.error or "", at=asked.at)
        usable = self._answer(connection, entry, asked, head)
        return usable and not head.wants_close and body.error is None

    def _play_on_accept(self, connection: Connection, arranged: _Arranged, number: int) -> None:
        script = arranged.script
        entry = Entry(connection=number, index=1, head=None, body=b"", answered_by=arranged.name, script=script)
        if script.ending.how is ConnectionEnd.RESET:
            connection.wait_for_request()  # an RST while the client connects or writes would be another fault
        self._play(connection, script, entry)

    def _answer(
        self, connection: Connection, entry: Entry, asked: Asked, head: RequestHead, *, unread: bool = False
    ) -> bool:
        """Answer one request; returns whether the connection can be used again."""
        response = self._expected(head, entry.body)
        if response is None:
            entry.script = script = self._script(asked, head, entry, unread=unread)
            self._changed(asked, script.answer_to(head))
            if unmet := script.unmet(head):
                entry.unmet, entry.why = unmet, f"{entry.why}; refused, because {unmet}"
            return self._play(connection, script.answer_to(head), entry)
        entry.answered_by, entry.date = "expectation", http_date()
        self.journal.add(entry)
        body = segments(response, method=head.method, date=entry.date)
        end = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
        return play(connection, body, end, entry=entry, journal=self.journal)

    def _script(self, asked: Asked, head: RequestHead, entry: Entry, *, unread: bool) -> Script:
        """The script that answers, noted in the entry with the reason."""
        request = received(head, entry.body)
        if (arranged := self._next(lambda one: one.answers(request.method, request.path))) is not None:
            entry.answered_by, entry.why = arranged.name, "the last play for this method and path"
            return arranged.script
        if (refused := self._refused(asked, entry, Step.GUARD, unread=unread)) is not None:
            return refused
        if (refused := self._refused(asked, entry, Step.REQUEST, Step.MODEL)) is not None:
            return refused
        found = self._match(replace(request, path=asked.path), asked)
        recorded = isinstance(found, Match) and found.is_same and not self._world.changed
        if not recorded and (made := self._refused(asked, entry, Step.ANSWER)) is not None:
            return made
        if not isinstance(found, Match):
            entry.why = found.why
            script = no_answer(request, found.why)
            return fitted(script, asked, self._world, handled=True)
        script, left_out = self._struck(found.recording, model_of(request))
        entry.answered_by, entry.why = found.recording.id, found.why + left_out
        return fitted(script, asked, self._world, handled=True)

    def _refused(self, asked: Asked, entry: Entry, *steps: Step, unread: bool = False) -> Script | None:
        """What the first rule of these steps that has a reply answers, noted in the entry."""
        found = self._ruled(asked, steps)
        if found is None:
            return None
        entry.answered_by, entry.why = f"rule {found.rule.id}", found.rule.why
        if found.rule.step is Step.MODEL and found.reply.status == 404:
            entry.why += f"; there are {', '.join(sorted(self._world.models))}"
        handled = found.rule.step in (Step.REQUEST, Step.MODEL, Step.ANSWER)
        script = found.reply.script(asked.method)
        return fitted(script, asked, self._world, handled=handled, unread=unread)

    def _ruled(self, asked: Asked, steps: tuple[Step, ...]) -> Answer | None:
        """What a rule answers in the world as it is now, which its reply may change."""
        world = self._world
        ruled = answer(asked, world, steps=steps)
        if ruled is None or ruled.reply.world is None:
            return ruled
        with self._lock:  # again, since two requests may have come at once
            ruled = answer(asked, self._world, steps=steps)
            if ruled is not None and ruled.reply.world is not None:
                self._world = ruled.reply.world
        return ruled

    def _changed(self, asked: Asked, script: Script) -> None:
        """Note what this answer to this request changes: a pull brings a model, a chat loads one."""
        with self._lock:
            self._world = after(asked, self._world, script)

    def _match(self, request: Request, asked: Asked) -> Match | Nearest:
        """The recording that answers. HEAD of a route that has GET, too, is answered by the same handler."""
        if (model := self._world.find(model_of(request))) is not None and model.name != model_of(request):
            key = "model" if request.json.get("model") else "name"
            request = replace(request, json={**request.json, key: model.name})
        found = self._matcher.match(request)
        if isinstance(found, Match) or request.method != "HEAD":
            return found
        methods = routing(self._world.version).methods(asked.url.path)
        return self._matcher.match(replace(request, method="GET")) if "GET" in methods else found

    def _leaves_unread(self, asked: Asked, head: RequestHead) -> bool:
        """Whether the request is refused whatever its body says, and its body is not worth reading away.

        That is a body that the client keeps back, or a long one. Who else answers is told by the body.
        """
        keeps_back = awaits_continue(head)
        if not keeps_back and int(asked.header("Content-Length") or "0") < MOST_UNREAD_BYTES:
            return False
        if self.ordered_handlers or self.oneshot_handlers or self.handlers:
            return False
        request = received(head, b"")
        answers = (one for one in self._arranged if one.left != 0 and one.answers(request.method, request.path))
        if (first := next(answers, None)) is not None:
            return keeps_back and bool(first.script.unmet(head))
        return answer(asked, self._world, steps=(Step.GUARD,)) is not None

    def _next(self, wanted: Callable[[_Arranged], bool]) -> _Arranged | None:
        """The newest arranged script that is wanted; this counts as one use of it."""
        with self._lock:
            for one in self._arranged:
                if one.left != 0 and wanted(one):
                    one.left = None if one.left is None else one.left - 1
                    return one
        return None

    def _next_on_accept(self) -> _Arranged | None:
        """The newest arranged script, if it does not await a request; this counts as one use of it."""
        newest = next((one for one in self._arranged if one.left != 0), None)
        return None if newest is None or newest.script.awaits_request else self._next(lambda one: one is newest)

    def _struck(self, recording: Recording, name: str) -> tuple[Script, str]:
        """The script of a recording of the model as it is called here, with the server's faults in it, and a text about
        faults that do not apply.
        """
        key = (recording.id, name)
        if key not in self._scripts:
            script, left_out = self._paced(as_named(recording, name)), ""
            for fault in self._faults:
                try:
                    script = fault(script)
                except FaultDoesNotApply as error:
                    left_out += f"; {fault} was left out: {error}"
            if len(self._scripts) > _MOST_SCRIPTS:
                self._scripts.clear()
            self._scripts[key] = script, left_out
        return self._scripts[key]

    def _paced(self, recording: Recording) -> Script:
        return Script.from_recording(recording, speed=self._speed, gap_s=self._gap_s)

    @functools.cached_property
    def _matcher(self) -> Matcher:
        recordings = [] if self._version is None else self.store.of_version(self._version_number())
        return Matcher(recordings, any_model=self._any_model)

    @functools.cached_property
    def _world(self) -> World:
        """What there is now; at first the models of the recordings and those that were given."""
        return self._first_world

    @functools.cached_property
    def _first_world(self) -> World:
        world = world_of(self._matcher.recordings, self._version_number(), any_model=self._any_model)
        if self._only_models is not None:
            world = world.only(*(world.model(name, *able) for name, able in self._only_models))
        for name, able in self._models:
            world = world.with_model(world.model(name, *able))
        return replace(world, loopback=_is_loopback(self.host), origins=self._origins)

    def _version_number(self) -> str:
        return self.store.newest if self._version in (None, NEWEST) else str(self._version)

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

    # ------------------------------------------------------------------------------------- expectations

    def respond_nohandler(self, request: WerkzeugRequest, extra_message: str = "") -> WerkzeugResponse:
        """Called when no expectation matches: a recording answers then, unless the order of expectations is broken."""
        return super().respond_nohandler(request, extra_message) if self.permanently_failed else _NoExpectation()

    def _expected(self, head: RequestHead, body: bytes) -> WerkzeugResponse | None:
        """The answer of the user's own expectations, or None."""
        if not (self.ordered_handlers or self.oneshot_handlers or self.handlers):
            return None
        request = WerkzeugRequest(environ(head, body, host=self.host, port=self.port))
        request.get_data()
        with self._lock:  # pytest-httpserver changes its lists of handlers without a lock
            try:
                response = self.dispatch(request)
            except Exception as error:  # noqa: BLE001 - whatever a user's handler raises; check() raises it again
                if error not in (*self.handler_errors, *self.assertions):
                    self.handler_errors.append(error)
                response = WerkzeugResponse(f"{type(error).__name__} in a handler: {error}", 500)
            if isinstance(response, _NoExpectation):
                return None
            self.log.append((request, response))
        return response


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


def packaged(version: str) -> str:
    """This version if the package has recordings of it, else NEWEST."""
    return version if version in _packaged().versions else NEWEST


@functools.cache
def _packaged() -> RecordingStore:
    """One store for all servers of a process, because loading the recordings of a version takes a tenth of a second."""
    return RecordingStore()


class _NoExpectation(WerkzeugResponse):
    """Stands for "no expectation matches"."""
