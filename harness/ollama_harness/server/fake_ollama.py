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
import itertools
import math
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_httpserver import HTTPServer, HTTPServerError
from werkzeug import Request as WerkzeugRequest
from werkzeug import Response as WerkzeugResponse

from ollama_harness.errors import FaultDoesNotApply, ProtocolError
from ollama_harness.faults import Fault, apply
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, RenderedScript, Script, ScriptEnd, http_date
from ollama_harness.server._matching import Match, Matcher, received
from ollama_harness.server._playback import play
from ollama_harness.server._unmatched import not_found, not_http
from ollama_harness.server._wsgi import environ, segments
from ollama_harness.server.connection import Connection, awaits_continue
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.listener import Listener

__all__ = ["NEWEST", "FakeOllama", "packaged"]

NEWEST = "newest"

#: Faults that strike before a request is read, so that they strike every connection.
_ON_ACCEPT = ("refuse", "close_on_accept", "reset_on_accept", "never_read")
_NOTHING = Script(method="GET", segments=(), ending=ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0))

#: How many rendered scripts a server caches.
_MOST_RENDERED = 64


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
    the last `play` for its method and path; the recording of `version` that matches the request; Ollama's 404.
    `journal` has what was received, what answered it and why, and what was really sent.

    `version` is a recorded version of Ollama, "newest", or None for no recordings. `store` has the recordings, by
    default those of the package. `speed` is 1 for the recorded times, 10 for ten times as fast, 0 for as fast as
    possible; or `gap_s` seconds pass between any two segments. `faults` are applied to every recording that they can
    strike. With `any_model` the model in a request may be any. Without `listens` the port is bound, but connections to
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
        listens: bool = True,
    ) -> None:
        super().__init__(host=host, port=port, threaded=True)
        for name, number in (("speed", speed), ("gap_s", gap_s or 0.0)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is {number}; give 0 or more")
        self.journal = Journal()
        self._speed, self._gap_s = speed, gap_s
        self._faults, self._any_model = tuple(faults), any_model
        on_accept = [fault(_NOTHING) for fault in self._faults if fault.name in _ON_ACCEPT]
        self._listens = listens and all(script.ending.how is not ConnectionEnd.REFUSE for script in on_accept)
        self._permanent = [
            _Arranged(method=None, path=None, script=script, name="faults", left=None) for script in on_accept
        ]
        self._arranged = list(self._permanent)
        self._scripts: dict[str, tuple[Script, str]] = {}
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
        """Forget all expectations, plays and journal entries; recordings and `faults` stay."""
        super().clear()
        self._arranged = list(self._permanent)
        self.journal = Journal()

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
        usable, index = True, 0
        note_left: Callable[[], None] = lambda: None  # noqa: E731 - until there is a request to note it in
        try:
            if (arranged := self._next_on_accept()) is not None:
                self._play_on_accept(connection, arranged, number)
                return
            while usable:
                index += 1
                try:
                    if (head := connection.read_head()) is None:
                        note_left()
                        return
                    unread = awaits_continue(head) and self._refuses(head)
                    body = b"" if unread else connection.read_rest(head)
                except ProtocolError as error:
                    self._refuse(connection, error, number, index)
                    return
                entry = Entry(connection=number, index=index, head=head, body=body)
                usable = self._answer(connection, entry, head) and not unread and not head.wants_close
                note_left = functools.partial(journal.left, entry)
        finally:
            connection.close()

    def _play_on_accept(self, connection: Connection, arranged: _Arranged, number: int) -> None:
        script = arranged.script
        entry = Entry(connection=number, index=1, head=None, body=b"", answered_by=arranged.name, script=script)
        if script.ending.how is ConnectionEnd.RESET:
            connection.wait_for_request()  # an RST while the client connects or writes would be another fault
        self._play(connection, script, entry)

    def _answer(self, connection: Connection, entry: Entry, head: RequestHead) -> bool:
        """Answer one request; returns whether the connection can be used again."""
        response = self._expected(head, entry.body)
        if response is None:
            entry.script = script = self._script(head, entry)
            if unmet := script.unmet(head):
                entry.unmet, entry.why = unmet, f"{entry.why}; refused, because {unmet}"
            return self._play(connection, script.answer_to(head), entry)
        entry.answered_by, entry.date = "expectation", http_date()
        self.journal.add(entry)
        body = segments(response, method=head.method, date=entry.date)
        end = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
        return play(connection, body, end, entry=entry, journal=self.journal)

    def _script(self, head: RequestHead, entry: Entry) -> Script:
        """The script that answers; its name and the reason are noted in the entry."""
        request = received(head, entry.body)
        if (arranged := self._next(lambda one: one.answers(request.method, request.path))) is not None:
            entry.answered_by, entry.why = arranged.name, "the last play for this method and path"
            return arranged.script
        found = self._matcher.match(request)
        if not isinstance(found, Match):
            entry.why = found.why
            return not_found(request, known_path=found.recording is not None)
        script, left_out = self._struck(found.recording)
        entry.answered_by, entry.why = found.recording.id, found.why + left_out
        return script

    def _refuses(self, head: RequestHead) -> bool:
        """Whether an arranged script refuses the request by its head alone. Expectations and recordings need a body."""
        if self.ordered_handlers or self.oneshot_handlers or self.handlers:
            return False
        request = received(head, b"")
        answers = (one for one in self._arranged if one.left != 0 and one.answers(request.method, request.path))
        return any(one.script.unmet(head) for one in itertools.islice(answers, 1))

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

    def _struck(self, recording: Recording) -> tuple[Script, str]:
        """The script of a recording with the server's faults in it, and a text about faults that do not apply."""
        if recording.id not in self._scripts:
            script, left_out = self._paced(recording), ""
            for fault in self._faults:
                try:
                    script = fault(script)
                except FaultDoesNotApply as error:
                    left_out += f"; {fault} was left out: {error}"
            self._scripts[recording.id] = script, left_out
        return self._scripts[recording.id]

    def _paced(self, recording: Recording) -> Script:
        return Script.from_recording(recording, speed=self._speed, gap_s=self._gap_s)

    @functools.cached_property
    def _matcher(self) -> Matcher:
        recordings = [] if self._version is None else self.store.of_version(self._version_number())
        return Matcher(recordings, any_model=self._any_model)

    def _version_number(self) -> str:
        return self.store.newest if self._version in (None, NEWEST) else str(self._version)

    def _refuse(self, connection: Connection, error: ProtocolError, number: int, index: int) -> None:
        """Answer bytes that are no HTTP as Go's net/http does, and note them."""
        entry = Entry(connection=number, index=index, head=None, body=b"", why=str(error))
        self._play(connection, not_http(error), entry)

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


def packaged(version: str) -> str:
    """This version if the package has recordings of it, else NEWEST."""
    return version if version in _packaged().versions else NEWEST


@functools.cache
def _packaged() -> RecordingStore:
    """One store for all servers of a process, because loading the recordings of a version takes a tenth of a second."""
    return RecordingStore()


class _NoExpectation(WerkzeugResponse):
    """Stands for "no expectation matches"."""
