"""A journey: a client's process, born into an environment, makes one request. Which way did it go, and what came of it?

Which way is told by the journals of the server and the proxy, and by what the process tried to connect to; never by
the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ollama_harness.clients.adapter import Job
from ollama_harness.clients.installed import installed_extras
from ollama_harness.clients.worker_process import ClientReport, WorkerProcess
from ollama_harness.faults import apply, refuse, replace_with
from ollama_harness.matrix.cells import Cell
from ollama_harness.matrix.exchange import Exchange, problem_of
from ollama_harness.network.environments import OLLAMA_HOST, Environment, clean_environment
from ollama_harness.network.prediction import CLIENTS, READ_FOR_EACH_REQUEST, predicted
from ollama_harness.network.route import Route
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
NO_SUCH_SYSTEM = "on this system, the names of variables have no case"

#: How long journals may take to settle once a client is through.
_SETTLES_S = 2.0

#: Where clients go that are told no port: Ollama's own, and that of http.
_DEFAULT_PORTS = (11434, 80)


def impossible(cell: Cell) -> str | None:
    """Why this cell cannot be tried on this machine, or None if it can."""
    environment = cell.scenario.environment
    assert environment is not None
    if environment.system is System.POSIX and System.here() is System.WINDOWS:
        return NO_SUCH_SYSTEM
    needs_ipv6 = "[::1]" in cell.host or environment.beside or "[::" in "".join(environment.variables.values())
    return NO_IPV6 if needs_ipv6 and not has_ipv6() else None


class LiveEnvironment:
    """An environment made real: a server, a proxy, and a process of these clients that is born into it.

    With `touch` the Windows registry is really set and put back; else a stand-in takes its place. `python` is the
    interpreter of the process.
    """

    def __init__(
        self,
        environment: Environment,
        clients: Sequence[str],
        *,
        home: Path,
        touch: bool,
        python: str = sys.executable,
    ) -> None:
        self._environment, self._clients, self._home, self._python = environment, clients, home, python
        self._touch = touch and environment.system is System.WINDOWS
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            live = stack.enter_context(live_network(self._environment))
            self._servers, self._proxy, self._settings = live.servers, live.proxy, live.settings
            if self._touch and self._settings.registry is not None:
                stack.enter_context(changed(self._settings.registry))
            self._worker = stack.enter_context(closing(self._born()))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def versions(self) -> dict[str, str]:
        return self._worker.versions

    def journey(self, cell: Cell) -> Exchange:
        """One client's request."""
        url = self._environment.url(cell.host, port=self._servers[0].port)
        job = Job(
            client=cell.client.name,
            url=url,
            request=cell.recording.request,
            read_timeout_s=cell.scenario.read_timeout_s,
            trust_env=self._environment.trust_env,
        )
        script = cell.scripts[0]
        for server in self._servers:
            server.play(script, method=job.request.method)
        if self._environment.beside:
            self._servers[-1].play(_other_program(script))
        if not self._worker.alive:
            self._worker = self._stack.enter_context(closing(self._born()))
        journals = [self._proxy.journal, *(server.journal for server in self._servers)]
        before = [len(journal.entries) for journal in journals]
        reported = self._worker.exchange(job, deadline_s=cell.deadline_s)
        for journal in journals:
            journal.wait_until_settled(timeout_s=_SETTLES_S)
        asked, *served = [journal.entries[start:] for journal, start in zip(journals, before, strict=True)]
        return self._judged(cell, job, script, reported, asked, [entry for entries in served for entry in entries])

    def _born(self) -> WorkerProcess:
        variables = clean_environment(self._home, self._settings.variables)
        world = self._world(self._settings, self._servers[0].port)
        return WorkerProcess(self._clients, variables, world, python=self._python)

    def _judged(
        self, cell: Cell, job: Job, plain: Script, reported: ClientReport, asked: tuple[Entry, ...], served: list[Entry]
    ) -> Exchange:
        route = self._route(reported, asked, served)
        required = cell.required
        script = self._answer(plain, route, asked, served)
        if route is Route.NOWHERE and required.route is Route.DIRECT:
            script = plain  # it is there, and nothing stands between
        entries = (*asked, *served)
        direct = [entry for entry in served if not asked]
        problem = problem_of(direct, script, job) if direct else None
        if isinstance(reported.ending, Finished) and not entries:
            problem = "the client ended without having asked anybody"
        outcome = Outcome(
            records=tuple(record for _, record in reported.records),
            ending=reported.ending if problem is None else Failed(problem),
            requests=len(entries),
            connections=len({(entry in asked, entry.connection) for entry in entries}),
            misrouted=_misrouted(route, required.route, required.because),
            failed_to_start=route is Route.NOWHERE and required.route is Route.DIRECT and not _made(reported),
        )
        truth = cell.reference(script)
        documented = cell.client.contract.documented(truth.ends[cell.layer].cause)
        judgement = judge(truth, outcome, layer=cell.layer, documented=documented, subject=cell.subject)
        return Exchange(
            script=script,
            entries=entries,
            reported=reported,
            reference=truth,
            outcome=outcome,
            judgement=judgement,
            route=None if isinstance(outcome.ending, Unsupported | Failed) else route,
            predicted=self._predicted(cell, job),
        )

    def _predicted(self, cell: Cell, job: Job) -> Route | None:
        """Which way the doctor would say that it goes."""
        if cell.client.name not in CLIENTS:
            return None
        if not self._environment.trust_env:
            return Route.DIRECT
        settings = self._settings
        if cell.client.name in READ_FOR_EACH_REQUEST:
            settings = replace(settings, variables={**settings.variables, **self._later})
        return predicted(cell.client.name, settings, job.url or None, installed=installed_extras()).route

    def _route(self, reported: ClientReport, asked: Sequence[Entry], served: Sequence[Entry]) -> Route:
        if asked:
            return route_of(asked[0])
        if served:
            return Route.DIRECT
        if self._proxy.port in {port for _, port in reported.tried}:
            return Route.PROXIED  # it is gone, so nobody can tell in which words it was asked
        return Route.DIRECT if reported.tried else Route.NOWHERE

    def _answer(self, plain: Script, route: Route, asked: Sequence[Entry], served: Sequence[Entry]) -> Script:
        """What was played to the client in the end."""
        if route in (Route.TLS, Route.SOCKS) or not (asked or served):
            return apply(plain, [refuse()])
        does = MODES.get(self._environment.proxy)
        if asked and isinstance(does, Script):
            return does
        played = [entry.script for entry in served if entry.script is not None and entry.answered_by == "script"]
        return played[-1] if played else plain

    @property
    def _later(self) -> dict[str, str]:
        return {name: text.replace("{proxy}", self._proxy.address) for name, text in self._environment.later.items()}

    def _world(self, settings: Settings, port: int) -> SimulatedMachine:
        told = any(host == OLLAMA_HOST for host in self._environment.hosts)
        return SimulatedMachine(
            settings=None if self._touch else settings,
            names=self._environment.names,
            ports=dict.fromkeys(_DEFAULT_PORTS, port) if told else {},
            later=self._later,
        )


def _other_program(plain: Script) -> Script:
    """Another program than Ollama, asked for a path that it does not know."""
    return apply(plain, [replace_with("nginx-404")])


def _made(reported: ClientReport) -> bool:
    return not isinstance(reported.ending, Raised) or reported.ending.made


def _misrouted(route: Route, required: Route | None, because: str) -> str:
    if required is Route.DIRECT and route.through_proxy:
        return f"went to the proxy ({route}), although {because}"
    if required is Route.PROXIED and route is Route.DIRECT:
        return f"went past the proxy, although {because}"
    return ""
