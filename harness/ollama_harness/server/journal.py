"""The journal: what the server received, what it really wrote and when, and how each connection really ended.

Each entry is one request. The coroutine of its connection writes it; in lock-step the program that runs the client
adds what was yielded. Any thread may read it at any time. One condition variable covers the whole journal: a change
that a reader may wait for is made while holding it, and notifies, so `wait_for` needs no sleep. An entry is settled
when `ended_by` is set. After that it does not change, except that a tunnel may be reopened, and that `client_left_s`
may be set later.

`sent` is the exception, because it changes with every segment. It needs no lock: it only grows, and its length is
raised after the segment is there, so a reader sees a prefix of what was sent. It keeps the very bytes objects that were
written and copies none. A long stream is thus in memory once as the recording and once as the journal.

A journal may be given a size, for a server that runs for a long time. Then the oldest entries that are settled go when
there are more; those that are not settled stay. A program that must see each entry once follows the journal.

Thousands of exchanges may be in it, and a segment or a request costs the same however many there are: how many are open
is counted, and no list is searched.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import repeat

from ollama_harness.answers import Step
from ollama_harness.files.printable import one_line
from ollama_harness.recordings.lazy import Lazy
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, Script

__all__ = ["EndedBy", "Entry", "Journal", "Protocol", "SentSegments"]


#: How long a line for people is, and the target of a request in it.
_LINE, _MOST_TARGET = 160, 30


class EndedBy(StrEnum):
    """Which side ended an exchange."""

    SERVER = "server"  # the script came to its end
    CLIENT = "client"  # the client left before
    STOP = "stop"  # the server was stopped before


class Protocol(StrEnum):
    """The protocol or form of a request to a server or a proxy."""

    HTTP = "http"  # origin form (RFC 9112 section 3.2.1), for a server
    ABSOLUTE = "absolute"  # absolute form (RFC 9112 section 3.2.2), for a proxy
    CONNECT = "connect"  # CONNECT (RFC 9110 section 9.3.6)
    TLS = "tls"  # a TLS hello (RFC 8446 section 4.1.2)
    SOCKS4 = "socks4"  # SOCKS 4 or 4a
    SOCKS5 = "socks5"  # RFC 1928


class SentSegments(Lazy[tuple[float, bytes]]):
    """Segments (seconds after the request arrived, bytes) in order. One thread adds to it, and any may read meanwhile.

    Times and bytes are two arrays, because a pair as an object is about as large as a record.
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
        self._length += 1  # last, so that a reader never sees a segment that is not there yet

    def extend(self, at_s: float, data: Sequence[bytes]) -> None:
        """Add segments that were written together."""
        self._times.extend(repeat(at_s, len(data)))
        self._data.extend(data)
        self._length += len(data)


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request and its answer. `arrived_s` is its arrival by `time.monotonic`; other times are seconds after that.

    The request: `id` is its number in the journal, which never comes again, `connection` the number of its connection,
    and `index` its number on that connection, all from 1. An exchange that is not in a journal has the id 0.
    `protocol` is its form. `target` is the host:port that a proxy was asked for. What is no HTTP has no `head`, and
    its first bytes are the `body`.

    The answer: `answered_by` is the id of a recording, "script", "reply", "embed", "fail", "faults", "expectation"
    (pytest-httpserver's), "gateway", "queue" (it is full), "upstream" (a proxy's server), "nothing", or "rule" with the
    id of a rule of `ollama-harness list rules`. `step` is the step of the request's way that answered (None for a proxy
    and for a TLS handshake that failed), `rule` the id of its rule, or "".
    `programme_rules` are the rules of the programme that answered, or struck the answer, and `left_out` the faults that
    could not strike it. `why` says why that one, or which recording is nearest. `script` is what was to be played, with
    all its conditions; so the request that a scenario is about is found among others. `unmet` says how the request
    broke a condition, so that the refusal was played, or is "". `date` is the Date in the head. `sent` has every
    segment that the system accepted.

    The end: `ended` is how the connection ended, or was left open, and `ended_by` which side ended the exchange, both
    None until then. `client_left_s` is when the client closed its side.

    `waited_s` is how long it waited for a slot; times of `script` count from then. `when_settled` is called at the end.

    Lock-step: `yielded` counts the records that the client has yielded, `awaited` those that the server waits for.
    `buffered` is the number of the first record that was yielded only after later bytes were sent, or None. While
    `user_is_busy` with something else, the server waits without a limit. `wake` tells it that one of these has changed.
    """

    connection: int
    index: int
    head: RequestHead | None
    body: bytes
    id: int = 0
    arrived_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    arrived_s: float = field(default_factory=time.monotonic)
    answered_by: str = "nothing"
    step: Step | None = None
    rule: str = ""
    script: Script | None = None
    why: str = ""
    programme_rules: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
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
    wake: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    waited_s: float = 0.0
    when_settled: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    protocol: Protocol = Protocol.HTTP
    target: str = ""

    @property
    def request_line(self) -> str:
        """The request line as received, or "(no HTTP request)"."""
        return (
            "(no HTTP request)" if self.head is None else f"{self.head.method} {self.head.target} {self.head.version}"
        )

    @property
    def wire(self) -> bytes:
        """All bytes that were sent."""
        return b"".join(data for _, data in self.sent)

    @property
    def status(self) -> int | None:
        """The status that was sent; None if nothing was that begins with one."""
        found = re.match(rb"HTTP/\d\.\d (\d{3})", self.sent[0][1]) if self.sent else None
        return None if found is None else int(found[1])

    @property
    def line(self) -> str:
        """The exchange in one line of at most 160 characters, for people: what was asked, what answered, and why."""
        clock = self.arrived_at.astimezone().strftime("%H:%M:%S")
        asked = self.request_line if self.head is None else f"{self.head.method} {_cut(self.head.target, _MOST_TARGET)}"
        start = one_line(f"{clock}  {self.status or '---'}  {asked}  {self.answered_by}")
        count = len(self.left_out)
        left_out = f"{count} fault{'s' if count > 1 else ''} left out" if count else ""
        end = "".join(f"; {one}" for one in (left_out, self._odd_end) if one)
        why = _cut(one_line(self.why), max(0, _LINE - len(start) - len(end) - 2))
        return _cut(f"{start}: {why}" if why else start, _LINE - len(end)) + end

    @property
    def _odd_end(self) -> str:
        """How the exchange ended, in words; "" if it ended as its head announced, or has not ended."""
        if self.ended_by in (EndedBy.CLIENT, EndedBy.STOP):
            return "the client left" if self.ended_by is EndedBy.CLIENT else "the server stopped"
        if self.ended in (None, ConnectionEnd.KEEP_OPEN):
            return ""
        head = self.sent[0][1].partition(b"\r\n\r\n")[0].lower() if self.sent else b""
        announced = head.startswith(b"http/1.0") or b"\r\nconnection: close" in head
        return "" if announced and self.ended is ConnectionEnd.CLOSE else f"then {self.ended}"


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: max(0, size - 1)] + "…"


class Journal:
    """All entries so far in order of arrival, or the last `size` and those that are not settled; and the number of
    connections accepted.
    """

    def __init__(self, *, size: int | None = None) -> None:
        self._changed = threading.Condition()
        self._size = size
        self._entries: list[Entry] = []
        self._last_id = self._last_cleared = self._last_connection = self._not_counted = 0
        self._followers: list[queue.SimpleQueue[Entry]] = []
        self._open = self._most_open = self._connected = self._most_connected = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        with self._changed:
            return tuple(self._entries)

    @property
    def connections(self) -> int:
        with self._changed:
            return self._last_connection - self._not_counted

    @property
    def most_exchanges(self) -> int:
        """The most exchanges that were under way at once, with those that waited for a slot."""
        return self._most_open

    @property
    def most_connections(self) -> int:
        """The most connections that were open at once, whatever came over them."""
        return self._most_connected

    def clear(self) -> None:
        """Forget all entries and connections so far. Their numbers do not come again."""
        with self._changed:
            self._entries.clear()
            self._open = self._most_open = 0
            self._last_cleared, self._most_connected = self._last_id, self._connected
            self._not_counted = self._last_connection
            self._changed.notify_all()

    def follow(self) -> queue.SimpleQueue[Entry]:
        """A queue that gets each entry when it is settled, from now on, whether the journal keeps it or not."""
        with self._changed:
            self._followers.append(found := queue.SimpleQueue[Entry]())
        return found

    def wait_for(self, condition: Callable[[tuple[Entry, ...]], bool], *, timeout_s: float) -> bool:
        """Wait until `condition(entries)` is true, at most `timeout_s` seconds; returns whether it became true."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(tuple(self._entries)), timeout_s)

    def wait_until_settled(self, *, timeout_s: float = 5.0) -> bool:
        """Wait until every exchange so far has ended, at most `timeout_s` seconds; returns whether all have."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)

    # ------------------------------------------------------------------------------------- for the server

    def connected(self) -> int:
        """Count a connection; returns its number."""
        with self._changed:
            self._last_connection += 1
            self._connected += 1
            self._most_connected = max(self._most_connected, self._connected)
            return self._last_connection

    def disconnected(self) -> None:
        """Note that a connection has ended."""
        with self._changed:
            self._connected -= 1

    def uncount(self, connections: int) -> None:
        """Leave so many out of the connections that are counted: they brought calls of the control API only."""
        with self._changed:
            self._not_counted += connections
            self._changed.notify_all()

    def add(self, entry: Entry) -> None:
        """Take an entry in, and give it its id."""
        with self._changed:
            self._last_id += 1
            entry.id = self._last_id
            self._entries.append(entry)
            self._open += entry.ended_by is None
            self._most_open = max(self._most_open, self._open)
            self._drop_oldest()
            self._changed.notify_all()

    def _drop_oldest(self) -> None:
        if self._size is None or len(self._entries) <= self._size:
            return
        for place, entry in enumerate(self._entries):
            if entry.ended_by is not None:
                del self._entries[place]
                return

    def settle(self, entry: Entry, ended: ConnectionEnd, by: EndedBy) -> None:
        """Note how an exchange ended, and which side ended it."""
        is_first = entry.ended_by is None
        with self._changed:
            if entry.id > self._last_cleared:
                self._open -= entry.ended_by is None
            entry.ended, entry.ended_by = ended, by
            if entry.id:
                for follower in self._followers:
                    follower.put(entry)
            self._changed.notify_all()
        if is_first:
            entry.when_settled()

    def reopen(self, entry: Entry) -> None:
        """Note that an exchange goes on: a tunnel that was idle."""
        with self._changed:
            if entry.id > self._last_cleared:
                self._open += entry.ended_by is not None
            entry.ended = entry.ended_by = None
            self._changed.notify_all()

    def yielded(self, entry: Entry, count: int) -> None:
        """Note how many records the client has yielded."""
        with self._changed:
            entry.yielded = count
            self._changed.notify_all()
        entry.wake()

    @contextmanager
    def user_busy(self, entries: Iterable[Entry]) -> Iterator[None]:
        """Note that the client's user does something else meanwhile, and reads no records of these entries."""
        busy = list(entries)
        for entry in busy:
            entry.user_is_busy = True
            entry.wake()
        try:
            yield
        finally:
            for entry in busy:
                entry.user_is_busy = False
                entry.wake()

    def awaits(self, entry: Entry, number: int, wake: Callable[[], None]) -> None:
        """Note that the server sends nothing more until the client has yielded `number` records, and how to wake it."""
        with self._changed:
            entry.awaited, entry.wake = number, wake
            self._changed.notify_all()

    def left(self, entry: Entry) -> None:
        """Note that the client has closed its side now."""
        with self._changed:
            if entry.client_left_s is None:
                entry.client_left_s = time.monotonic() - entry.arrived_s
            self._changed.notify_all()
