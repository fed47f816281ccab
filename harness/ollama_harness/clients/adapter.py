"""Adapters: a few lines each, which use a client library exactly as its documentation shows.

An adapter runs in its own process. One in Python is a function that `clients/worker.py` calls. It imports its library
inside functions only, so that the harness can list clients that are not installed, and a process imports only the
library that it uses. One in another language is a command, which speaks the same protocol as that worker.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ollama_harness.oracle.pieces import Yields
from ollama_harness.oracle.reference import Cause, Layer
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Request

__all__ = [
    "Client",
    "Command",
    "Contract",
    "EventLines",
    "ExchangeFunction",
    "Install",
    "Job",
    "Layer",
    "SessionFactory",
    "Yields",
    "nothing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request that a client shall make. `url` is the server's URL without a path; times are in seconds.

    If `url` is empty, the client uses OLLAMA_HOST. Without `trust_env` the client is told to ignore the network
    settings of the machine.

    After `stop_after` records or pieces the user stops reading. After `meanwhile_after` of them the user makes the
    request of the next job in the same session, and then reads on. A job with `reuses_session` runs in the session of
    the job before, and one with `keeps_session` leaves its session open for the next job.

    The process that does the job sets `id`, which its end repeats, and `deadline_s`: a process that cannot end its
    client reports then that it hung.
    """

    client: str
    url: str
    request: Request
    read_timeout_s: float
    stop_after: int | None = None
    meanwhile_after: int | None = None
    trust_env: bool = True
    reuses_session: bool = False
    keeps_session: bool = False
    id: int = 0
    deadline_s: float = 0.0

    @property
    def target(self) -> str:
        """The whole URL."""
        return self.url + self.request.path

    @property
    def headers(self) -> dict[str, str]:
        """The request's own headers. For a JSON body the library adds the Content-Type."""
        return dict(self.request.headers)

    @property
    def answer(self) -> str:
        """What a good answer is: a stream of "records", a stream of "events", or "one" record."""
        return "events" if self.request.streams_events else "records" if self.request.streams else "one"

    def to_json(self) -> dict[str, Any]:
        """The job as docs/client-protocol.md describes it."""
        value = {**asdict(self), "answer": self.answer}
        del value["request"]["any_content"]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        fields = dict(value["request"])
        headers = tuple((name, text) for name, text in fields.pop("headers"))
        known = {name: each for name, each in value.items() if name != "answer"}
        return cls(**{**known, "request": Request(headers=headers, **fields)})


#: Makes the request, and yields every record or piece as soon as the library yields it. The second argument is the
#: session that `SessionFactory` has made.
ExchangeFunction = Callable[[Job, Any], Iterator[Any] | AsyncIterator[Any]]

#: Makes the object that a library keeps between requests, its session or client; None if there is no such object.
SessionFactory = Callable[[Job], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]


class EventLines:
    """Gathers the lines of an event stream that an HTTP library yields, as a user of such a library does.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._lines: list[str] | None = None

    def add(self, line: bytes | str) -> str | None:
        """The event that a line ends, without its comments; None if there is none yet."""
        text = line if isinstance(line, str) else line.decode("utf-8", "replace")
        text = text.rstrip("\r\n")  # some libraries leave the line end
        if self._lines is None:
            self._lines, text = [], text.removeprefix("\ufeff")
        if text:
            self._lines += [] if text.startswith(":") else [text]
            return None
        lines, self._lines = self._lines, []
        return "\n".join(lines) if any(line.partition(":")[0] == "data" for line in lines) else None


def nothing(_: Job) -> AbstractContextManager[None]:
    """The session of a library that has no sessions."""
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the client's own documentation promises, and what it does not know.

    `exceptions` are names of exceptions: in Python qualified class names (a subclass counts too), elsewhere the names
    that the adapter reports. None promises nothing, so that any exception is right. `source` is the page that names
    them. `timeouts` are the exceptions for a silence, if the page names special ones.

    `read_timeout` says how the user sets a read timeout (None: it cannot be set), and `default_timeout` how long the
    client waits otherwise. `retries` is how often it sends a failed request again by default. `streams` is false for a
    client without streams. `unknown_fields` are fields of Ollama's records that its types do not have, and with
    `zero_values` a field that was not sent has the zero value of its type, as in Go. `variables` are
    the environment variables that it reads; None means all that concern HTTP, and the empty set that it reads none.
    """

    exceptions: AbstractSet[str] | None = None
    source: str = ""
    read_timeout: str | None = None
    timeouts: AbstractSet[str] = frozenset()
    default_timeout: str = ""
    retries: int = 0
    streams: bool = True
    unknown_fields: AbstractSet[str] = frozenset()
    zero_values: bool = False
    variables: AbstractSet[str] | None = None

    def documented(self, cause: Cause) -> AbstractSet[str] | None:
        """The exceptions that the documentation names for this cause; None if it promises nothing."""
        return self.timeouts if self.timeouts and cause is Cause.SILENCE else self.exceptions


def _everything(_: Request) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """What programs need: a `toolchain` on PATH, which `get` says how to get, and `steps`, which make what they `make`.

    Each step is the arguments of one command, which runs in the folder of the programs. `makes` is a path in it, or "".
    """

    toolchain: str
    get: str
    steps: tuple[tuple[str, ...], ...] = ()
    makes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program that drives a client in any language: its arguments, and the folder in which it starts.

    `file` is the clients.toml that names the command, if one does, and `install` what it needs. `needs` are other
    programs that it starts, which must be on PATH.
    """

    arguments: tuple[str, ...]
    folder: Path
    file: Path | None = None
    needs: tuple[str, ...] = ()
    install: Install | None = None

    @property
    def missing(self) -> str | None:
        """Why the program cannot be run here, with what installs it; None if it can."""
        install = self.install
        lacking = [name for name in self.needs if shutil.which(name) is None]
        lacking += [self.arguments[0]] if self.program is None else []
        if not lacking and (install is None or not install.makes or (self.folder / install.makes).exists()):
            return None
        if install is not None and shutil.which(install.toolchain) is None:
            return f"there is no {install.toolchain} on PATH; {install.get}"
        if install is not None and install.steps:
            return f"run in {self.folder}: {' && '.join(map(shlex.join, install.steps))}"
        return f"there is no program {lacking[0]!r}"

    @property
    def program(self) -> str | None:
        """The path of the program: in the folder if its name has a slash, else on PATH; None if there is none."""
        name = self.arguments[0]
        return shutil.which(self.folder / name if Path(name).parent != Path() else name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client library under test. `distribution` is the package that pip installs ("" for canaries, which need none).
    `imports` are the modules that its process imports before the first job, by default the one called as the package.
    What is `optional` is no dependency of this package. A client that `warms_up` makes an exchange in each of its
    processes before the first that is judged: a cold JVM, or a library that makes its types then, needs seconds for it.

    A client has either an `exchange`, a function in Python that makes one request, or a `command`. `session` makes the
    object that the library keeps between requests. A client `yields` records, or the pieces of `oracle.pieces`; one of
    pieces `drops_thinking` if its types have no place for it. `paths` are patterns of the paths that it has calls for;
    it has no cell for others. `unsupported` returns the reason why the client cannot make a request, or None if it can.
    `file` is the user's own file in Python that defines the client, and `option` what adds a user's own client on the
    command line; clients of packages have neither.

    A canary runs in the scenarios for which `earns` holds a verdict (None means all scenarios), and must earn exactly
    that verdict. `spoils` is the change that a canary makes to each record; where it changes nothing, the canary has no
    cell. `deadline_s` replaces the cell's deadline, for a client that is meant to hang.
    """

    name: str
    contract: Contract
    distribution: str = ""
    layer: Layer = Layer.OLLAMA
    exchange: ExchangeFunction | None = None
    session: SessionFactory = nothing
    imports: tuple[str, ...] = ()
    optional: bool = False
    warms_up: bool = False
    yields: Yields = Yields.RECORDS
    drops_thinking: bool = False
    paths: tuple[str, ...] = ("*",)
    unsupported: Callable[[Request], str | None] = _everything
    command: Command | None = None
    file: Path | None = None
    option: str = ""
    earns: dict[str | None, Verdict] | None = None
    spoils: Callable[[Any], Any] | None = None
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        if (self.exchange is None) == (self.command is None):
            raise TypeError(f"the client {self.name!r} needs either an exchange function or a command")

    @property
    def is_canary(self) -> bool:
        return self.earns is not None

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of the library that its process imports, in this order."""
        return self.imports or ((self.distribution,) if self.distribution else ())
