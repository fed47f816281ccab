"""Adapters: a few lines each, which use a client library exactly as its documentation shows.

An adapter runs in its own process. One in Python is a function that `clients/worker.py` calls. It imports its library
inside functions only, so that the harness can list clients that are not installed, and a process imports only the
library that it uses. One in another language is a command, which speaks the same protocol as that worker.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from ollama_harness.clients.places import ClientPlace, Library, environment_of
from ollama_harness.oracle.pieces import Yields
from ollama_harness.oracle.words import Cause, Layer, Verdict
from ollama_harness.recordings.recording import Request

__all__ = [
    "PROTOCOL",
    "Client",
    "Command",
    "Contract",
    "EventLines",
    "ExchangeFunction",
    "Job",
    "Layer",
    "SessionFactory",
    "Yields",
    "nothing",
    "version_here",
]


#: The version of the protocol of a client's process (docs/client-protocol.md), which says it in its first message.
PROTOCOL = 1


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
        request = _values(self.request)
        del request["any_content"]
        return {**_values(self), "request": request, "answer": self.answer}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        of_request = dict(value["request"])
        headers = tuple((name, text) for name, text in of_request.pop("headers"))
        known = {name: each for name, each in value.items() if name != "answer"}
        return cls(**{**known, "request": Request(headers=headers, **of_request)})


def _values(of: Job | Request) -> dict[str, Any]:
    """Its fields as they are: `asdict` would copy all JSON of a request."""
    return {each.name: getattr(of, each.name) for each in fields(of)}


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
    `reads_through` is another client, by whose code it reads them.
    `proxy_rules` says in one paragraph how it finds its proxy, and `ignores_settings` is the code with which a user
    tells it to ignore the settings of the machine.
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
    reads_through: str = ""
    proxy_rules: str = ""
    ignores_settings: str = ""

    def reads_any(self, variables: Iterable[str]) -> bool:
        """Whether the client reads one of these variables."""
        return self.variables is None or not self.variables.isdisjoint(variables)

    def documented(self, cause: Cause) -> AbstractSet[str] | None:
        """The exceptions that the documentation names for this cause; None if it promises nothing."""
        return self.timeouts if self.timeouts and cause is Cause.SILENCE else self.exceptions


def _everything(_: Request) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program that drives a client in any language: its arguments, and the folder of its sources.

    `file` is the clients.toml that names the command, if one does. `needs` are the programs that must be on PATH, and
    `get` says how to get them. If it must be built, it is used where `makes` is, a path in its `folder` or in its
    `place`. A user's own program has no place: `steps` are then for the user. `library` is what it drives, if another
    version of that can be had.
    """

    arguments: tuple[str, ...]
    folder: Path
    file: Path | None = None
    needs: tuple[str, ...] = ()
    get: str = ""
    steps: tuple[tuple[str, ...], ...] = ()
    makes: str = ""
    place: ClientPlace | None = None
    library: Library | None = None

    @property
    def home(self) -> Path:
        """The folder in which it starts: its place if that is whole, else that of its sources."""
        return self.place.path if self.place is not None and self.place.is_whole else self.folder

    @property
    def lacks(self) -> str | None:
        """What is not on PATH, and how to get it; None if everything is."""
        absent = [name for name in self.needs if shutil.which(name) is None]
        if Path(self.arguments[0]).parent == Path() and self.program is None:
            absent.append(self.arguments[0])
        return f"there is no {absent[0]} on PATH{self.get and f'; {self.get}'}" if absent else None

    @property
    def is_built(self) -> bool:
        return self.program is not None and (self.home / self.makes).exists()

    @property
    def program(self) -> str | None:
        """The path of the program: in its home if its name has a slash, else on PATH; None if there is none."""
        name = self.arguments[0]
        return shutil.which(self.home / name if Path(name).parent != Path() else name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client library under test. `distribution` is the package that pip installs ("" for canaries, which need none).
    `imports` are the modules that its process imports before the first job, by default the one called as the package.
    What is `optional` is no dependency of this package. A client that `warms_up` makes an exchange in each of its
    processes before the first that is judged: a cold JVM, or a library that makes its types then, needs seconds for it.
    `settings` are environment variables that the process of a client in Python starts with.

    A client has either an `exchange`, a function in Python that makes one request, or a `command`. `session` makes the
    object that the library keeps between requests. A client `yields` records, or the pieces of `oracle.pieces`; one of
    pieces `drops_thinking` if its types have no place for it. `paths` are patterns of the paths that it has calls for;
    it has no cell for others. `unsupported` returns the reason why the client cannot make a request, or None if it can.
    `file` is the user's own file in Python that defines the client, and `option` what adds a user's own client on the
    command line; clients of packages have neither. `version` is the one to judge, if it is not the one that is there.
    `seen_in` are the versions that its known issues were seen in, by their beginnings ("7.88" is 7.88.1 as well), if
    the machine decides which version it has: another one may have other defects.

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
    settings: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    warms_up: bool = False
    yields: Yields = Yields.RECORDS
    drops_thinking: bool = False
    paths: tuple[str, ...] = ("*",)
    unsupported: Callable[[Request], str | None] = _everything
    command: Command | None = None
    file: Path | None = None
    option: str = ""
    version: str = ""
    seen_in: tuple[str, ...] = ()
    earns: dict[str | None, Verdict] | None = None
    spoils: Callable[[Any], Any] | None = None
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        if (self.exchange is None) == (self.command is None):
            raise TypeError(f"the client {self.name!r} needs either an exchange function or a command")

    @property
    def is_canary(self) -> bool:
        return self.earns is not None

    def is_known(self, version: str) -> bool:
        """Whether its known issues are those of this version."""
        return not self.seen_in or any(f"{version}.".startswith(f"{one}.") for one in self.seen_in)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of the library that its process imports, in this order."""
        return self.imports or ((self.distribution,) if self.distribution else ())

    @property
    def library(self) -> Library | None:
        """The library, if another version of it can be had; None for what has no versions of its own."""
        if self.command is not None:
            return self.command.library
        return Library("pypi", self.distribution) if self.distribution else None

    @property
    def place(self) -> ClientPlace | None:
        """Where `ollama-harness install` puts it; None if it comes with the package or with the user."""
        if self.command is not None:
            return self.command.place
        if self.version and self.library is not None:
            return self.library.at(self.version, None)
        return environment_of(self.distribution) if self.optional else None

    def at(self, version: str) -> Client:
        """This client with that version of its library, which has a place of its own. Its name says so.

        Raises: ValueError, if it has no library.
        """
        if self.library is None:
            raise ValueError(f"{self.name} has no library")
        command = self.command and replace(self.command, place=self.library.at(version, self.command.place))
        return replace(self, name=f"{self.name}=={version}", version=version, command=command)

    @property
    def is_here(self) -> bool:
        """Whether this Python has the library of a client in Python, in the version that is wanted."""
        return not self.version and (not self.distribution or version_here(self.distribution) is not None)

    @property
    def python(self) -> str:
        """The Python that has the library of a client in Python."""
        return sys.executable if self.is_here or self.place is None else self.place.python

    @property
    def missing(self) -> str | None:
        """Why it cannot run here, and what changes that; None if it can."""
        if self.command is not None:
            return self.command.lacks or (None if self.command.is_built else self._remedy)
        return None if self.is_here or (self.place is not None and self.place.is_whole) else self._remedy

    @property
    def _remedy(self) -> str:
        """What is to be done so that it can run here."""
        if self.place is not None:
            why = f"{self.place.defect}; " if self.place.defect else ""
            return self.place.lacks or f"{why}run: ollama-harness install {self.name}"
        if self.command is not None and self.command.steps:
            return f"run in {self.command.folder}: {' && '.join(map(shlex.join, self.command.steps))}"
        if self.command is not None:
            return f"there is no program {self.command.arguments[0]!r}"
        return f"run: python -m pip install {self.distribution}"


def version_here(distribution: str) -> str | None:
    """The version of a package of this Python; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
