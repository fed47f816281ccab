"""FakeOllama: a pytest-httpserver that answers as a recorded Ollama does, byte for byte and on time.

werkzeug's request handler cannot do this: it always sends `Connection: close`, writes two segments a chunk, adds a
`Server` header and loses pipelined requests. So the sockets are our own, and only expectations go through werkzeug.

What is here is the server that a user holds: what it is given, how it is arranged, started and stopped. `_serving`
serves its connections, `_answers` has what answers a request, and `engine` the page on how all that runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_httpserver import HTTPServerError
from werkzeug import Request as WerkzeugRequest
from werkzeug import Response as WerkzeugResponse

from ollama_harness.answers import World, parse_model
from ollama_harness.errors import PortInUse
from ollama_harness.faults import Fault
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd
from ollama_harness.server._answers import Answerer
from ollama_harness.server._arranging import Arranging
from ollama_harness.server._choices import Choices
from ollama_harness.server._choosing import Chooser
from ollama_harness.server._expectations import Expectations, NoExpectation
from ollama_harness.server._real_ollama import Keeper, RealOllama, upstream_target
from ollama_harness.server._running_programme import RunningProgramme
from ollama_harness.server._serving import Serving
from ollama_harness.server._slots import MAX_QUEUE, Slots
from ollama_harness.server.certificates import TlsKind, certificate
from ollama_harness.server.control import (
    Calls,
    Control,
    Controlled,
    Verification,
    check_token,
    is_loopback,
    verification,
)
from ollama_harness.server.gateway import Gateway, check_idle_timeout, check_prefix
from ollama_harness.server.journal import Journal
from ollama_harness.server.listener import Listener
from ollama_harness.server.programme import ON_ACCEPT, Programme, Scenarios
from ollama_harness.server.recorded_answers import NEWEST, RecordedAnswers

__all__ = ["MAX_QUEUE", "FakeOllama", "Keeper", "upstream_target"]

_STAYS = ScriptEnd(how=ConnectionEnd.KEEP_OPEN, at_s=0.0)
_NOTHING = Script(method="GET", segments=(), ending=_STAYS)


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
    With `tls` it is behind TLS with a `certificate` that is good, self-signed, expired or of a wrong-name; a client has
    to trust `certificate.ca_pem`. That needs `ollama-harness[tls]`.
    With a `prefix` (a path such as /ollama) a gateway has Ollama below that path only, and with `require_key` it lets
    in only requests with `Authorization: Bearer` and that key; others get its 404 and its 401. After
    `idle_timeout_s` without a byte of an answer it sends its 504, or in mid-stream a FIN.
    At most `parallel` requests for a model's work are answered at once, as OLLAMA_NUM_PARALLEL has it. Others get no
    byte until one has ended, and if `max_queue` wait already, Ollama's 503.
    `scenarios` makes those that this server can play by name, for its recordings and its version: give
    `ollama_harness.matrix.served_scenario.ServedScenarios`, as `serve` and the fixture `fake_ollama` do.

    With `upstream`, the URL of a real Ollama, that answers what is not arranged. Faults strike its answers while they
    come, or if one needs a whole answer, when it is whole (`real_ollama.strikes` says which). With `misses_only`
    recordings of the same request come first. `keeper` keeps what it answers (`ollama_harness.recorder.FolderKeeper`);
    with `once` the next request that is the same gets what was kept.

    Programs in any language steer a server under /_harness/ (docs/control.md): one that listens on a loopback address
    without more, and any other with a `control_token`, which each call must bring then. Without `control` none does. A
    `control_port` of its own (0 is any free one) is there even if faults strike all connections to the other.

    Raises: UnknownName, if `version` is not recorded; TlsError, if there can be no certificate; ValueError,
    if `speed` or `gap_s` is not 0 or more, or the control API cannot be as wanted; ProgrammeError, if a rule of
    `programme` can have no effect; FaultDoesNotApply.
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
        tls: TlsKind | str | None = None,
        prefix: str = "",
        require_key: str | None = None,
        idle_timeout_s: float | None = None,
        parallel: int | None = None,
        max_queue: int = MAX_QUEUE,
        scenarios: Callable[[RecordingStore, str], Scenarios] | None = None,
        upstream: str | None = None,
        misses_only: bool = False,
        keeper: Keeper | None = None,
        once: bool = False,
    ) -> None:
        self.certificate = None if tls is None else certificate(tls, host)
        context = None if self.certificate is None else self.certificate.context
        super().__init__(host=host, port=port, ssl_context=context, threaded=True)
        for name, number in (("speed", speed), ("gap_s", gap_s or 0.0)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is {number}; give 0 or more")
        self._gateway = Gateway(
            prefix=prefix and check_prefix(prefix),
            key=None if require_key is None else check_token(require_key),
            idle_timeout_s=None if idle_timeout_s is None else check_idle_timeout(idle_timeout_s),
        )
        if (parallel is not None and parallel < 1) or max_queue < 0:
            raise ValueError(f"parallel is {parallel} and max_queue {max_queue}; give 1 or more, and 0 or more")
        self.journal = Journal(size=journal_size)
        self._any_model = any_model
        self._models = tuple(map(parse_model, models))
        self._only_models = None if only_models is None else tuple(map(parse_model, only_models))
        self._origins = tuple(origins)
        self.faults = tuple(faults)
        on_accept = [fault(_NOTHING) for fault in faults if fault.name in ON_ACCEPT]
        self._listens = listens and all(script.ending.how is not ConnectionEnd.REFUSE for script in on_accept)
        self._recorded = RecordedAnswers(
            store=store,
            own=None if recordings is None else Path(recordings),
            version=version,
            speed=speed,
            gap_s=gap_s,
            faults=faults,
        )
        self._make_scenarios = scenarios
        self.real_ollama: RealOllama | None = None
        if upstream is not None:
            self.real_ollama = RealOllama(upstream, self._recorded, misses_only=misses_only, keeper=keeper, once=once)
        elif misses_only or keeper is not None or once:
            raise ValueError("misses_only, keeper and once are for an upstream; give its URL")
        self._programme = RunningProgramme(self._recorded, on_accept, forwards=upstream is not None)
        self._programme_at_first = programme or Programme()
        if self._programme_at_first.rules:
            self.programme = self._programme_at_first
        self._calls: Calls | None = None
        if control and (control_token is not None or is_loopback(host)):
            self._calls = Calls(Control(self._controlled, token=control_token), host, control_port)
        elif control_port is not None:
            raise ValueError("control_port: the control API is off; give a control_token, or listen on 127.0.0.1")
        expectations = Expectations(self)
        choices = Choices(self._programme, lambda: self.scenarios)
        self._answerer = Answerer(
            self._recorded, self._programme, choices, expectations, self._as_given, self.real_ollama
        )
        self._serving = Serving(
            journal=self.journal,
            programme=self._programme,
            answerer=self._answerer,
            chooser=Chooser(self._answerer, self._programme, expectations),
            expectations=expectations,
            calls=self._calls,
            tls=context,
            gateway=self._gateway,
            slots=None if parallel is None else Slots(parallel, max_queue),
            real_ollama=self.real_ollama,
        )

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
        return self.url_for(f"{self._gateway.prefix}/").removesuffix("/")

    @property
    def control_url(self) -> str | None:
        """The base URL of the control API, without a slash at the end; None if it is off."""
        if self._calls is None:
            return None
        if self._calls.port is None:
            return self.url_for("/_harness")
        return f"http://{self.format_host(self.host)}:{self._calls.port}/_harness"

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
            faults_of_server=map(str, self.faults),
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
        """Start listening.

        Raises: PortInUse; HTTPServerError, if it is running already.
        """
        if self.is_running():
            raise HTTPServerError("Server is already running")
        listener = Listener(self.host, self.port, self._serving.serve if self._listens else None)
        self.port = listener.port
        self.server = listener  # type: ignore[assignment]  # `is_running` looks at it
        try:
            if self._calls is not None:
                self._calls.start()
        except PortInUse:
            self._end()
            raise

    def stop(self) -> None:
        """End every connection and stop listening. A handler or function of yours that still runs after half a second
        is left to end by itself, and its answer is dropped.

        Raises: HTTPServerError, if the server is not running.
        """
        if self.server is None:
            raise HTTPServerError("Server is not running")
        if self._calls is not None:
            self._calls.stop()
        self._end()

    def _end(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server = None

    def respond_nohandler(self, request: WerkzeugRequest, extra_message: str = "") -> WerkzeugResponse:
        """What answers when no expectation matches: not these, unless their order is broken."""
        return super().respond_nohandler(request, extra_message) if self.permanently_failed else NoExpectation()

    def _as_given(self, world: World) -> World:
        """The world of the recordings, with what this server was given."""
        if self._only_models is not None:
            world = world.only(*(world.model(name, *able) for name, able in self._only_models))
        for name, able in self._models:
            world = world.with_model(world.model(name, *able))
        return replace(world, any_model=self._any_model, loopback=is_loopback(self.host), origins=self._origins)
