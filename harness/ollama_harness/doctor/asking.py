"""Asks clients for their route: each real client runs in a process of its own, with the settings of the question.

In these settings a proxy of the harness stands for each proxy that they name. So the proxy that a client turns to shows
the setting that led it there. The URL of the question stays as it is, because clients treat loopback addresses in
special ways.

A client in Python is stopped before its first connection that shows the route (`network.patched_sockets`): it sends
nothing. Some clients cannot be stopped: commands, and libraries with sockets of their own. What they send to a proxy
arrives at one of the harness. If none gets anything, the request went to the server itself: a GET, or if the client has
no call for one, a request for a model that does not exist.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ollama_harness.clients import Client
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import ClientReport, WorkerProcess
from ollama_harness.network.named_proxies import NamedProxy, with_proxies
from ollama_harness.network.patched_sockets import Reach
from ollama_harness.network.route import Route, place_of
from ollama_harness.network.settings import Settings
from ollama_harness.network.simulation import SimulatedMachine
from ollama_harness.oracle.verdict import Crashed, Failed, Finished, Hung, Raised, Unsupported
from ollama_harness.recordings.recording import Request

if TYPE_CHECKING:
    from ollama_harness.server.proxy import FakeProxy

__all__ = ["AskedRoute", "Asker", "Question"]

#: How long a client may take for one answer.
_DEADLINE_S = 30.0

_NO_MODEL = "ollama-harness-doctor-asks"
_MESSAGES = [{"role": "user", "content": "?"}]

#: What a client is asked to send: the first that it has a call for.
_REQUESTS = (
    Request(method="GET", path="/api/version"),
    Request(method="GET", path="/api/tags"),
    *(
        Request(method="POST", path=path, json={"model": _NO_MODEL, "stream": True, **fields})
        for path, fields in (
            ("/api/chat", {"messages": _MESSAGES}),
            ("/api/generate", {"prompt": "?"}),
            ("/v1/chat/completions", {"messages": _MESSAGES}),
            ("/v1/responses", {"input": "?"}),
            ("/v1/messages", {"messages": _MESSAGES, "max_tokens": 1}),
        )
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which route do clients take to this URL with these settings? Without `trust_env` they are told to ignore them.

    With `really` nothing stands between: the request is really made, so that a handshake shows whether the client
    trusts the server's certificate.
    """

    settings: Settings
    url: str
    trust_env: bool = True
    really: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRoute:
    """The route of a client, or None if it could not be asked. `proxy` is what it turned to, and the setting behind it.

    `problem` is what it raised, or why it could not be asked. `sent` is the request that it really made, if it could
    not be stopped before that, and `answered` is then whether Ollama answered it.
    """

    route: Route | None
    proxy: NamedProxy | None = None
    problem: str = ""
    sent: str = ""
    answered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks clients on a machine. `variables` are those of its processes, besides the settings of the question.

    `names` holds the addresses of host names; None means this machine's own name resolution. `versions` of the
    libraries are known when they have been asked.
    """

    clients: Sequence[Client]
    variables: Mapping[str, str]
    names: Mapping[str, Sequence[str]] | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def ask(self, questions: Sequence[Question]) -> list[dict[str, AskedRoute]]:
        """The route of each client by name, for each question. Processes run side by side."""
        alike = defaultdict[tuple[str, bool], list[int]](list)
        for index, question in enumerate(questions):
            alike[repr(question.settings), question.really].append(index)
        tasks = [(indices, group) for indices in alike.values() for group in self._groups()]
        with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
            done = list(pool.map(lambda task: self._asked([questions[index] for index in task[0]], task[1]), tasks))
        found: list[dict[str, AskedRoute]] = [{} for _ in questions]
        for (indices, _), answers in zip(tasks, done, strict=True):
            for index, answer in zip(indices, answers, strict=True):
                found[index] |= answer
        return found

    def _groups(self) -> list[list[Client]]:
        """The clients of each process."""
        groups = defaultdict[str, list[Client]](list)
        for one in self.clients:
            groups[one.name if one.command else one.python].append(one)
        return list(groups.values())

    def _asked(self, questions: Sequence[Question], group: Sequence[Client]) -> list[dict[str, AskedRoute]]:
        """The answers of a process to questions with the same settings."""
        with ExitStack() as stack:
            interview = _Interview(self, questions[0], [one.name for one in group], stack)
            answers = [{one.name: interview.answer(one, question) for one in group} for question in questions]
            self.versions.update(interview.versions)
            return answers


class _Interview:
    """A process of clients, with proxies of the harness in its settings. `stack` ends them."""

    def __init__(self, asker: Asker, question: Question, names: Sequence[str], stack: ExitStack) -> None:
        self._stack, self._names, self._really = stack, names, question.really
        self._proxies: dict[NamedProxy, FakeProxy] = {}
        settings = question.settings if question.really else with_proxies(question.settings, self._place)
        self._variables = {**asker.variables, **settings.variables}
        self._machine = SimulatedMachine(
            settings=settings,
            names=asker.names,
            reach=Reach.ANYWHERE if question.really else Reach.NOTHING,
            proxies=tuple(proxy.port for proxy in self._proxies.values()),
        )
        self._process = self._started()
        self.versions = self._process.versions

    def _place(self, proxy: NamedProxy) -> str:
        if proxy not in self._proxies:
            self._proxies[proxy] = self._stack.enter_context(_fake_proxy())
        return self._proxies[proxy].address

    def _started(self) -> WorkerProcess:
        return self._stack.enter_context(closing(WorkerProcess(self._names, self._variables, self._machine)))

    def answer(self, one: Client, question: Question) -> AskedRoute:
        """The route of one client."""
        before = {proxy: len(fake.journal.entries) for proxy, fake in self._proxies.items()}
        for request in (each for each in _REQUESTS if any(fnmatchcase(each.path, path) for path in one.paths)):
            job = Job(
                client=one.name, url=question.url, request=request, read_timeout_s=10, trust_env=question.trust_env
            )
            report = self._exchange(job)
            if not isinstance(report.ending, Unsupported):
                break
        else:
            return AskedRoute(route=None, problem="it has no call with which it could be asked")
        for proxy, fake in self._proxies.items():
            if len(fake.journal.entries) > before[proxy]:
                return AskedRoute(route=_form(proxy, job.url), proxy=proxy)
        return self._from_report(report, job)

    def _exchange(self, job: Job) -> ClientReport:
        if not self._process.alive:
            self._process = self._started()
        return self._process.exchange(job, deadline_s=_DEADLINE_S)

    def _from_report(self, report: ClientReport, job: Job) -> AskedRoute:
        """The route that the connections and the end of a client show, which no proxy has heard from."""
        problem = self._problem(report)
        if isinstance(report.ending, Failed | Crashed | Hung):
            return AskedRoute(route=None, problem=problem)
        server = place_of(job.url)
        by_place = {("127.0.0.1", fake.port): proxy for proxy, fake in self._proxies.items()}
        decisive = [place for place in report.tried or () if place in by_place or place == server]
        if decisive and decisive[0] != server:
            proxy = by_place[decisive[0]]
            return AskedRoute(route=_form(proxy, job.url), proxy=proxy)
        if decisive and not self._really:
            return AskedRoute(route=Route.DIRECT)
        if report.tried and not decisive:
            host, port = report.tried[0]
            proxy = NamedProxy(setting="a setting that is not known here", url=f"http://{host}:{port}")
            return AskedRoute(route=Route.PROXIED, proxy=proxy)
        if decisive or report.tried is None or isinstance(report.ending, Finished) or self._has_own_sockets(job):
            return AskedRoute(
                route=Route.DIRECT,
                problem=problem,
                sent=f"{job.request.method} {job.request.path}",
                answered=not problem or _NO_MODEL in problem,
            )
        return AskedRoute(route=Route.NOWHERE, problem=problem)

    def _has_own_sockets(self, job: Job) -> bool:
        """Whether a client in Python connects without Python's sockets: then a server of ours hears from it."""
        with _fake_proxy() as server:
            self._exchange(replace(job, url=server.url))
            return server.journal.entries != ()

    def _problem(self, report: ClientReport) -> str:
        """What a client raised, with the proxies that the user knows."""
        match report.ending:
            case Raised(types, message):
                problem = f"{types[0].removeprefix('builtins.')}: {message}" if message else types[0]
            case Failed(problem):
                pass
            case Crashed(code):
                problem = f"its process died with exit code {code}"
            case Hung():
                problem = f"it did not end in {_DEADLINE_S:g} s"
            case _:
                problem = ""
        for proxy, fake in self._proxies.items():
            problem = problem.replace(fake.address, proxy.address)
        return problem


def _fake_proxy() -> FakeProxy:
    from ollama_harness.server.proxy import MODES, FakeProxy  # slow, and not needed where no setting names a proxy

    return FakeProxy(does=MODES["refuses"])


def _form(proxy: NamedProxy, url: str) -> Route:
    """How a request would be sent to a proxy of this kind."""
    if proxy.scheme.startswith("socks"):
        return Route.SOCKS
    if proxy.scheme == "https":
        return Route.TLS
    return Route.TUNNEL if urlsplit(url).scheme == "https" else Route.PROXIED
