"""One exchange in an environment: which route did the request take, and how did the client handle the answer?

`LiveEnvironment` starts a server, a proxy, and a client process whose variables and simulated machine are those of the
environment. One process serves all clients in Python, and each client that is a command has its own. For each request,
the journals of server and proxy show the route: an entry in the proxy's journal means that the proxy was used, and its
first bytes show in which way. If neither has an entry, the addresses that the process tried to connect to decide. The
answer never does, because a proxy can answer anything. The route is then compared with the route that the settings
require (`misrouted`). If the request got an answer, the client is judged on it as in any other exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ollama_harness.clients import client
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import ClientReport, WorkerProcess
from ollama_harness.faults import apply, refuse, replace_with
from ollama_harness.matrix.cells import Cell
from ollama_harness.matrix.exchange import Exchange, late, problem_of
from ollama_harness.network.environments import OLLAMA_HOST, Environment, clean_environment
from ollama_harness.network.route import THROUGH_PROXY, Route
from ollama_harness.network.settings import Settings, System
from ollama_harness.network.simulation import SimulatedMachine
from ollama_harness.network.windows_registry import changed
from ollama_harness.oracle.verdict import Failed, Finished, Outcome, Raised, Unsupported, judge
from ollama_harness.script.script import Script
from ollama_harness.server.journal import Entry
from ollama_harness.server.listener import has_ipv6
from ollama_harness.server.live_network import live_network
from ollama_harness.server.proxy import MODES, route_of

__all__ = ["NO_IPV6", "NO_SUCH_SYSTEM", "LiveEnvironment", "impossible"]

NO_IPV6 = "this machine has no ::1"
NO_SUCH_SYSTEM = "on this system, names of variables are case-insensitive"

#: How long journals may need to settle after a client has finished.
_SETTLES_S = 2.0

_UNSEEN = "its request reached neither server nor proxy, and its process does not report what it connects to"

#: The ports that clients use without a port in the URL: Ollama's own, and that of http.
_DEFAULT_PORTS = (11434, 80)


def impossible(cell: Cell) -> str | None:
    """The reason why this cell cannot be tried on this machine, or None if it can."""
    environment = cell.scenario.environment
    assert environment is not None
    if environment.system is System.POSIX and System.here() is System.WINDOWS:
        return NO_SUCH_SYSTEM
    if cell.client.command is not None and (reason := _only_in_python(environment, cell.host)) is not None:
        return reason
    needs_ipv6 = "[::1]" in cell.host or environment.beside or "[::" in "".join(environment.variables.values())
    return NO_IPV6 if needs_ipv6 and not has_ipv6() else None


def _only_in_python(environment: Environment, host: str) -> str | None:
    """The reason why only clients in Python can be tried: their process can be given another machine."""
    ordinary = Environment(name="", summary="")
    if environment.system is not None and environment.system is not System.here():
        return f"another system than this one is simulated for clients in Python only: {environment.system}"
    if environment.registry is not None or environment.mac is not None:
        return "the settings of the system are simulated for clients in Python only"
    if environment.names != ordinary.names:
        return "names of hosts are simulated for clients in Python only"
    if environment.later:
        return "variables change while clients in Python run only"
    if host == OLLAMA_HOST and "{port}" not in environment.variables.get(OLLAMA_HOST, ""):
        return "Ollama's default port is simulated for clients in Python only"
    return None


class LiveEnvironment:
    """A running environment: a server, a proxy, and a process of these clients with its settings.

    With `touch` the real Windows registry is set, and restored; otherwise it is simulated. `python` is the interpreter
    of the process; None means that which has a client's library.
    """

    def __init__(
        self,
        environment: Environment,
        clients: Sequence[str],
        *,
        home: Path,
        touch: bool,
        python: str | None = None,
    ) -> None:
        self._environment, self._clients, self._home, self._python = environment, clients, home, python
        self._touch = touch and environment.system is System.WINDOWS
        self._workers: dict[tuple[str, ...], WorkerProcess] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            live = stack.enter_context(live_network(self._environment))
            self._servers, self._proxy, self._settings = live.servers, live.proxy, live.settings
            if self._touch and self._settings.registry is not None:
                stack.enter_context(changed(self._settings.registry))
            self._stack = stack.pop_all()
        for names in self._groups():
            self._worker(names)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def versions(self) -> dict[str, str]:
        return {name: version for worker in self._workers.values() for name, version in worker.versions.items()}

    def exchange(self, cell: Cell) -> Exchange:
        """Make the request of a cell, and judge the client."""
        url = self._environment.url(cell.host, port=self._servers[0].port)
        job = Job(
            client=cell.client.name,
            url=url,
            request=cell.request,
            read_timeout_s=cell.scenario.read_timeout_s,
            trust_env=self._environment.trust_env,
        )
        script = cell.scripts[0]
        for server in self._servers:
            server.play(script, method=job.request.method, before_guard=True)
        if self._environment.beside:
            self._servers[-1].play(_other_program(script), before_guard=True)
        worker = self._worker(next(names for names in self._groups() if cell.client.name in names))
        journals = [self._proxy.journal, *(server.journal for server in self._servers)]
        before = [len(journal.entries) for journal in journals]
        reported = worker.exchange(job, deadline_s=cell.deadline_s)
        for journal in journals:
            journal.wait_until_settled(timeout_s=_SETTLES_S)
        proxied, *served = [journal.entries[start:] for journal, start in zip(journals, before, strict=True)]
        return self._judged(cell, job, script, reported, proxied, [entry for entries in served for entry in entries])

    def _groups(self) -> list[tuple[str, ...]]:
        """The clients of each process."""
        groups = dict[str, list[str]]()
        for one in map(client, self._clients):
            groups.setdefault(one.python if one.command is None else one.name, []).append(one.name)
        return [tuple(names) for names in groups.values()]

    def _worker(self, names: tuple[str, ...]) -> WorkerProcess:
        """The process of these clients. A new one is started if there is none that can do a job."""
        found = self._workers.get(names)
        if found is None or (found.has_started and not found.alive):
            variables = clean_environment(self._home, self._settings.variables)
            machine = self._machine(self._settings, self._servers[0].port)
            found = WorkerProcess(names, variables, machine, python=self._python)
            self._workers[names] = self._stack.enter_context(closing(found))
        return found

    def _judged(
        self,
        cell: Cell,
        job: Job,
        plain: Script,
        reported: ClientReport,
        proxied: tuple[Entry, ...],
        served: list[Entry],
    ) -> Exchange:
        route = self._route(reported, proxied, served)
        required = cell.required
        script = self._answer(plain, route, proxied, served)
        if route is Route.NOWHERE and required.route is Route.DIRECT:
            script = plain  # the server is there, and nothing is in between
        entries = (*proxied, *served)
        direct = [entry for entry in served if not proxied]
        problem = problem_of(direct, script, job) if direct else None
        if problem is None and isinstance(reported.ending, Raised):
            problem = late(direct, job)
        if isinstance(reported.ending, Finished) and not entries:
            problem = "the client ended without any request"
        if reported.tried is None and not entries and isinstance(reported.ending, Raised):
            reported = replace(reported, ending=Unsupported(_UNSEEN))
        outcome = Outcome(
            yielded=tuple(one for _, one in reported.yielded),
            ending=reported.ending if problem is None else Failed(problem),
            requests=len(entries),
            connections=len({(entry in proxied, entry.connection) for entry in entries}),
            misrouted=_misrouted(route, required.route, required.because),
            failed_to_start=route is Route.NOWHERE and required.route is Route.DIRECT and not _made(reported),
        )
        truth = cell.reference(script)
        documented = cell.client.contract.documented(truth.ends[cell.layer].cause)
        judgement = judge(truth, outcome, layer=cell.layer, documented=documented, view=cell.view)
        return Exchange(
            script=script,
            entries=entries,
            reported=reported,
            reference=truth,
            outcome=outcome,
            judgement=judgement,
            route=None if isinstance(outcome.ending, Unsupported | Failed) else route,
        )

    def _route(self, reported: ClientReport, proxied: Sequence[Entry], served: Sequence[Entry]) -> Route:
        if proxied:
            return route_of(proxied[0])
        if served:
            return Route.DIRECT
        if self._proxy.port in {port for _, port in reported.tried or ()}:
            return Route.PROXIED  # the proxy is gone, so no journal shows how the request was sent
        return Route.DIRECT if reported.tried else Route.NOWHERE

    def _answer(self, plain: Script, route: Route, proxied: Sequence[Entry], served: Sequence[Entry]) -> Script:
        """The script that was played to the client."""
        if route in (Route.TLS, Route.SOCKS) or not (proxied or served):
            return apply(plain, [refuse()])
        does = MODES.get(self._environment.proxy)
        if proxied and isinstance(does, Script):
            return does
        played = [entry.script for entry in served if entry.script is not None and entry.answered_by == "script"]
        return played[-1] if played else plain

    @property
    def _later(self) -> dict[str, str]:
        return {name: text.replace("{proxy}", self._proxy.address) for name, text in self._environment.later.items()}

    def _machine(self, settings: Settings, port: int) -> SimulatedMachine:
        reads_ollama_host = any(host == OLLAMA_HOST for host in self._environment.hosts)
        return SimulatedMachine(
            settings=None if self._touch else settings,
            names=self._environment.names,
            ports=dict.fromkeys(_DEFAULT_PORTS, port) if reads_ollama_host else {},
            later=self._later,
        )


def _other_program(plain: Script) -> Script:
    """The answer of another program than Ollama, for a path that it does not know."""
    return apply(plain, [replace_with("nginx-404")])


def _made(reported: ClientReport) -> bool:
    return not isinstance(reported.ending, Raised) or reported.ending.made


def _misrouted(route: Route, required: Route | None, because: str) -> str:
    if required is Route.DIRECT and route in THROUGH_PROXY:
        return f"went to the proxy ({route}), although {because}"
    if required is Route.PROXIED and route is Route.DIRECT:
        return f"went past the proxy, although {because}"
    return ""
