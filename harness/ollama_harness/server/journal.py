"""The journal: what the server received, what it really wrote and when, and how each connection really ended.

The server writes it from many threads; readers wait for what they need with `Journal.wait_for`, never by sleeping.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from ollama_harness.recordings.lazy import Lazy
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, Script

__all__ = ["EndedBy", "Entry", "Journal", "Protocol", "SentSegments"]


class EndedBy(StrEnum):
    """Who ended an exchange."""

    SERVER = "server"  # the script came to its end
    CLIENT = "client"  # the client left before
    STOP = "stop"  # the server was stopped before


class Protocol(StrEnum):
    """In which words a server or a proxy was asked."""

    HTTP = "http"  # origin form (RFC 9112 section 3.2.1), as a server is asked
    ABSOLUTE = "absolute"  # absolute form (RFC 9112 section 3.2.2), as a proxy is asked
    CONNECT = "connect"  # CONNECT (RFC 9110 section 9.3.6)
    TLS = "tls"  # a TLS hello (RFC 8446 section 4.1.2)
    SOCKS4 = "socks4"  # SOCKS 4 or 4a
    SOCKS5 = "socks5"  # RFC 1928


class SentSegments(Lazy[tuple[float, bytes]]):
    """Segments (seconds from the request's arrival, bytes) in order. One thread adds to it, any may read meanwhile.

    It holds the very bytes that were sent. A list of pairs would take as much again as a record has bytes.
    """

    def __init__(self) -> None:
        times, data = array("d"), list[bytes]()
        super().__init__(0, lambda index: (times[index], data[index]))
        self._times, self._data = times, data

    def append(self, segment: tuple[float, bytes]) -> None:
        """Add a segment."""
        at_s, data = segment
        self._times.append(at_s)
        self._data.append(data)
        self._length += 1  # last: what can be read is there


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request and what became of it. `_s` are seconds from the request's arrival, which itself is `arrived_s` by
    `time.monotonic`.

    `connection` counts connections and `index` requests on it, both from 1. `answered_by` is a recording's id, the
    name of a script, "expectation" (pytest-httpserver's) or "nothing"; `why` says why that one, or what came nearest.
    `script` is the very script that was to be played (of a picky one the whole, even where a refusal was due): it tells
    the request that a scenario is about from others that the client makes besides.
    `unmet` says how the request broke a demand of that script, so that the refusal was played; "" if it broke none.
    `sent` holds every segment that the system took, `date` the Date that was put into the head. `ended` is how the
    connection ended (or was left), once `ended_by` is set; `client_left_s` when the client closed its side.
    In lock-step `yielded` counts the records that the client's user has and `awaited` those that the server waits
    for; `buffered` is the first record that was yielded only after later bytes had been sent. While `user_is_busy`
    with something else, the server waits without a limit.
    `protocol` is how a proxy was asked, and `target` the host:port that it was asked for; what is no HTTP has no head,
    and its first bytes are the body.
    """

    connection: int
    index: int
    head: RequestHead | None
    body: bytes
    arrived_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    arrived_s: float = field(default_factory=time.monotonic)
    answered_by: str = "nothing"
    script: Script | None = None
    why: str = ""
    unmet: str = ""
    date: str = ""
    sent: SentSegments = field(default_factory=SentSegments)
    ended: ConnectionEnd | None = None
    ended_by: EndedBy | None = None
    client_left_s: float | None = None
    yielded: int = 0
    awaited: int = 0
    buffered: int | None = None
    user_is_busy: bool = False
    protocol: Protocol = Protocol.HTTP
    target: str = ""

    @property
    def request_line(self) -> str:
        """The request line as received, or a remark that there was none."""
        return (
            "(no HTTP request)" if self.head is None else f"{self.head.method} {self.head.target} {self.head.version}"
        )

    @property
    def wire(self) -> bytes:
        """All bytes that were sent."""
        return b"".join(data for _, data in self.sent)


class Journal:
    """All entries so far, in order of arrival, and the number of connections accepted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: list[Entry] = []
        self._connections = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        with self._changed:
            return tuple(self._entries)

    @property
    def connections(self) -> int:
        with self._changed:
            return self._connections

    def wait_for(self, condition: Callable[[tuple[Entry, ...]], bool], *, timeout_s: float) -> bool:
        """Wait until `condition(entries)` holds; whether it did before `timeout_s` seconds had passed."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(tuple(self._entries)), timeout_s)

    def take_settled(self, *, timeout_s: float) -> list[Entry]:
        """Take out the entries that are settled, waiting for one if there is none: for a server that runs for long."""
        self.wait_for(lambda entries: any(entry.ended_by for entry in entries), timeout_s=timeout_s)
        with self._changed:
            settled = [entry for entry in self._entries if entry.ended_by]
            self._entries = [entry for entry in self._entries if not entry.ended_by]
        return settled

    def wait_until_settled(self, *, timeout_s: float = 5.0) -> bool:
        """Wait until every request received so far has been answered to its end, or its client has left."""
        return self.wait_for(lambda entries: all(entry.ended_by for entry in entries), timeout_s=timeout_s)

    # ------------------------------------------------------------------------------------- for the server's threads

    def connected(self) -> int:
        """Count a connection; returns its number."""
        with self._changed:
            self._connections += 1
            return self._connections

    def add(self, entry: Entry) -> None:
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def settle(self, entry: Entry, ended: ConnectionEnd, by: EndedBy) -> None:
        """Note how an exchange ended."""
        with self._changed:
            entry.ended, entry.ended_by = ended, by
            self._changed.notify_all()

    def reopen(self, entry: Entry) -> None:
        """Note that an exchange goes on after all: a tunnel that was idle."""
        with self._changed:
            entry.ended = entry.ended_by = None
            self._changed.notify_all()

    def yielded(self, entry: Entry, count: int) -> None:
        """Note that the client's user has been handed so many records."""
        with self._changed:
            entry.yielded = count
            self._changed.notify_all()

    @contextmanager
    def user_busy(self, entries: Iterable[Entry]) -> Iterator[None]:
        """Note that the client's user does something else meanwhile, and takes no record of these."""
        busy = list(entries)
        for entry in busy:
            entry.user_is_busy = True
        try:
            yield
        finally:
            for entry in busy:
                entry.user_is_busy = False

    def awaits(self, entry: Entry, number: int) -> None:
        """Note that nothing more is sent until so many records have been yielded."""
        with self._changed:
            entry.awaited = number
            self._changed.notify_all()

    def left(self, entry: Entry) -> None:
        """Note that the client has closed its side just now."""
        with self._changed:
            if entry.client_left_s is None:
                entry.client_left_s = time.monotonic() - entry.arrived_s
            self._changed.notify_all()
