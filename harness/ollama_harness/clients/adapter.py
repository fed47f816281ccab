"""What an adapter is: a few lines that use a client library exactly as its documentation shows.

An adapter runs in a process of its own (`clients/worker.py`). The module imports its library inside `exchange` only, so
that the harness can list clients that are not installed, and pays for one import and not for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from ollama_harness.oracle.reference import Cause, Layer
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Request

__all__ = ["Client", "Contract", "ExchangeFunction", "Job", "Layer", "SessionFactory", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request that a client is to make. `url` is the server's, without a path; waits are in seconds.

    An empty `url` stands for what the client takes from OLLAMA_HOST. Without `trust_env` it is told to ignore the
    network settings of the machine.

    After `stop_after` records the client's user takes no more; after `meanwhile_after` the user has the next job done
    by the same session before taking the next record. A job that `continues` uses the session of the job
    before, and one that `goes_on` leaves its own to the next.
    """

    client: str
    url: str
    request: Request
    read_timeout_s: float
    stop_after: int | None = None
    meanwhile_after: int | None = None
    trust_env: bool = True
    continues: bool = False
    goes_on: bool = False

    @property
    def target(self) -> str:
        """The whole URL."""
        return self.url + self.request.path

    @property
    def headers(self) -> dict[str, str]:
        """The request's own headers; a JSON body gets its Content-Type from the library."""
        return dict(self.request.headers)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        fields = dict(value["request"])
        headers = tuple((name, text) for name, text in fields.pop("headers"))
        request = Request(headers=headers, **fields)
        return cls(**{**value, "request": request})


#: Makes the request and yields every record at the moment the library hands it out. The second argument is what
#: `SessionFactory` has made.
ExchangeFunction = Callable[[Job, Any], Iterator[Any] | AsyncIterator[Any]]

#: Makes what a library keeps between requests, its session or client; None if it keeps nothing.
SessionFactory = Callable[[Job], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]


def nothing(_: Job) -> AbstractContextManager[None]:
    """The session of a library that has none."""
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the client's own documentation promises.

    `exceptions` are qualified class names (a subclass counts too) and `source` the page that names them; `timeouts`
    are those that it names for a silence, if it says more of it. `read_timeout` says how a read timeout is set, None
    if it cannot be.
    """

    exceptions: frozenset[str]
    source: str
    read_timeout: str | None
    timeouts: frozenset[str] = frozenset()

    def documented(self, cause: Cause) -> frozenset[str]:
        """The exceptions that the documentation names for an answer that goes wrong in this way."""
        return self.timeouts if self.timeouts and cause is Cause.SILENCE else self.exceptions


def _everything(_: Request) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client library under test. `distribution` is what pip installs ("" for the canaries, which need nothing).

    `session` makes what the library keeps from one request to the next, `exchange` makes one request with it.
    `unsupported` gives the reason why the client cannot express a request, or None if it can.
    A canary's cells are those scenarios for which `earns` holds a verdict (None stands for all scenarios), and it
    must earn exactly that. `spoils` is what a canary does to each record; where it can spoil nothing, it has no cell.
    `deadline_s` replaces the cell's own for a client that is meant to hang.
    """

    name: str
    distribution: str
    layer: Layer
    contract: Contract
    exchange: ExchangeFunction
    session: SessionFactory = nothing
    unsupported: Callable[[Request], str | None] = _everything
    earns: dict[str | None, Verdict] | None = None
    spoils: Callable[[Any], Any] | None = None
    deadline_s: float | None = None

    @property
    def is_canary(self) -> bool:
        return self.earns is not None

    @property
    def module(self) -> str:
        """Where the adapter is defined."""
        return self.exchange.__module__
