"""The wire's own proof: what the server does is compared with the script by a plain socket, before any client is.

No HTTP library takes part. Bytes are compared one for one, segments with the journal in their order, times as lower
bounds (no byte may come before it is due; late is the machine's business), and the end as the system shows it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ollama_harness.matrix._raw_socket import (
    NO_RESETS,
    PATIENCE_S,
    SocketView,
    connect,
    leave_and_read,
    read,
    read_exactly,
    read_to_end,
    resets_are_real,
)
from ollama_harness.matrix.cells import ELSEWHERE, Cell
from ollama_harness.recordings.recording import Headers, Request
from ollama_harness.script.http1 import read_request_head
from ollama_harness.script.script import ConnectionEnd, RenderedScript, Script, http_date
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.journal import Entry

__all__ = ["WireProof", "prove"]

#: What a peer sees of each ending.
_SHOWS = {
    ConnectionEnd.KEEP_OPEN: "open",
    ConnectionEnd.HOLD: "open",
    ConnectionEnd.IGNORE: "open",
    ConnectionEnd.CLOSE: "fin",
    ConnectionEnd.HALF_CLOSE: "fin",
    ConnectionEnd.RESET: "rst",
    ConnectionEnd.REFUSE: "refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireProof:
    """What a plain socket saw of one exchange. `problem` says what was not as planned, "" if all was.

    `pause_s` is the longest planned silence in seconds. `differs` names what this system is known to do in its own
    way.
    """

    scenario: str
    recording: str
    exchange: int
    size_bytes: int
    segments: int
    pause_s: float
    planned: str
    seen: str
    differs: str = ""
    problem: str = ""


class _NotAsPlanned(Exception):
    """What the probe saw is not what the script says."""


def prove(cell: Cell, *, played: Sequence[Script] | None = None, patience_s: float = PATIENCE_S) -> list[WireProof]:
    """Play the scripts of a cell to a plain socket; a proof for each exchange.

    A picky script is asked once with a request that meets all its demands, then with one that breaks each of them.
    With `played` the server plays those instead: where they differ the proof must fail, or it proves nothing, and
    `patience_s` is how long the socket then waits for what does not come.
    """
    planned = cell.scripts
    played = planned if played is None else played
    proofs: list[WireProof] = []
    with FakeOllama(version=None, listens=played[0].ending.how is not ConnectionEnd.REFUSE) as server:
        server.play(cell.plain, path=ELSEWHERE)
        sock: socket.socket | None = None
        for number, (script, really) in enumerate(zip(planned, played, strict=True), 1):
            server.play(really)
            problem, waits_s = "", PATIENCE_S if really == script else patience_s
            for asked in _requests(script, cell.recording.request):
                probe = _Probe(server, script.answer_to(read_request_head(asked)), asked, waits_s)
                try:
                    sock = probe.exchange(sock)
                except (_NotAsPlanned, OSError) as error:
                    problem, sock = f"{error}", None
                    break
            script = probe.script
            times = [0.0, *(send.at_s for send in script.segments), script.ending.at_s]
            shows = _SHOWS[script.ending.how]
            proofs.append(
                WireProof(
                    scenario=cell.scenario.name,
                    recording=cell.recording.id,
                    exchange=number,
                    size_bytes=len(probe.rendered("").wire),
                    segments=len(script.segments),
                    pause_s=max(b - a for a, b in itertools.pairwise(times)),
                    planned=shows,
                    seen=probe.seen,
                    differs=NO_RESETS if shows == "rst" and not resets_are_real() else "",
                    problem=problem,
                )
            )
        if sock is not None:
            sock.close()
    return proofs


class _Probe:
    """One exchange, as a plain socket sees it."""

    def __init__(self, server: FakeOllama, script: Script, asked: bytes, patience_s: float) -> None:
        self._server, self.script, self._asked, self._patience_s = server, script, asked, patience_s
        self._number = len(server.journal.entries)
        self.seen = "nothing"

    def rendered(self, date: str) -> RenderedScript:
        """The plan; a Date has the same length whatever it says."""
        return self.script.render(date=date or http_date(0))

    def exchange(self, sock: socket.socket | None) -> socket.socket | None:
        """Ask, on a new connection if there is none; returns the connection if it can be used again.

        Raises: _NotAsPlanned, OSError.
        """
        try:
            sock = sock or connect(self._server.port, self._patience_s)
        except ConnectionRefusedError:
            self.seen = "refused"
            self._expect(self.script.ending.how is ConnectionEnd.REFUSE, "nothing listens")
            return None
        sock.settimeout(self._patience_s)  # the one of the exchange before may have been another
        usable = False
        try:
            self._expect(self.script.ending.how is not ConnectionEnd.REFUSE, "the connection was accepted")
            usable = self._read(sock)
        finally:
            if not usable:
                sock.close()
        return sock if usable else None

    def _read(self, sock: socket.socket) -> bool:
        begun_s, usable, how = time.monotonic(), False, self.script.ending.how
        with contextlib.suppress(OSError):  # the server may have ended the connection already, as the script says
            sock.sendall(self._asked)
        size = len(self.rendered("").wire)
        if any(send.awaits for send in self.script.segments):
            seen = self._read_lock_step(sock)
        else:
            seen = read(sock, size if _SHOWS[how] == "open" else math.inf)
        if _SHOWS[how] != "open":
            rest = read_to_end(sock) if seen.end == "open" else seen
            self.seen = rest.end
            as_planned = self.seen == _SHOWS[how] or not resets_are_real()
            self._expect(as_planned, f"the connection ended with {self.seen}, planned was {_SHOWS[how]}")
            ended_s = rest.arrivals[-1][0] - begun_s
            self._expect(ended_s >= self.script.ending.at_s, f"the connection ended after {ended_s:.3f} s, too early")
            sock.close()
        else:
            if how is not ConnectionEnd.HOLD:
                self._expect(self._settled(), "the server has not come to the end of its script")
            self.seen = "something" if _readable(sock) else "open"
            self._expect(self.seen == "open", "something came after the end of the script, or the connection ended")
            if how is ConnectionEnd.HOLD:
                more = leave_and_read(sock).data
                self._expect(not more, f"{len(more)} bytes came after the end of the script")
            usable = how is ConnectionEnd.KEEP_OPEN
        self._expect(self._settled(), "the server has not come to the end of its script")
        self._compare(self._server.journal.entries[self._number], seen, begun_s)
        return usable

    def _settled(self) -> bool:
        """Whether the exchange has come to its end."""
        return self._server.journal.wait_for(
            lambda entries: len(entries) > self._number and all(entry.ended_by for entry in entries),
            timeout_s=self._patience_s,
        )

    def _read_lock_step(self, sock: socket.socket) -> SocketView:
        """Read what comes before each wait, see that the server waits, and only then say that it may go on."""
        data, journal = b"", self._server.journal
        for awaits, segments in itertools.groupby(self.rendered("").segments, key=lambda segment: segment.awaits):
            if awaits:
                waits = journal.wait_for(
                    lambda entries, wanted=awaits: entries[self._number].awaited == wanted,  # type: ignore[misc]
                    timeout_s=self._patience_s,
                )
                self._expect(waits and not _readable(sock), f"the server did not wait for record {awaits}")
                journal.yielded(journal.entries[self._number], awaits)
            data += read_exactly(sock, sum(len(segment.data) for segment in segments))
        return SocketView(data, "open", ())

    def _compare(self, entry: Entry, seen: SocketView, begun_s: float) -> None:
        planned = self.rendered(entry.date)
        self._expect(seen.data == planned.wire, f"{len(seen.data)} bytes came, {len(planned.wire)} others were planned")
        self._expect(
            [sent for _, sent in entry.sent] == [segment.data for segment in planned.segments],
            f"the server wrote {len(entry.sent)} segments, {len(planned.segments)} others were planned",
        )
        self._expect(entry.ended is planned.ending.how, f"the server ended with {entry.ended}")
        end = 0
        for (at_s, _), segment in zip(entry.sent, planned.segments, strict=True):
            end += len(segment.data)
            self._expect(at_s >= segment.at_s, f"byte {end} left {segment.at_s - at_s:.3f} s early")
            came_s = next((when_s for when_s, size in seen.arrivals if size >= end), None)
            self._expect(came_s is None or came_s - begun_s >= segment.at_s, f"byte {end} came too early")

    def _expect(self, holds: bool, problem: str) -> None:  # noqa: FBT001 - an assertion
        if not holds:
            raise _NotAsPlanned(problem)


def _requests(script: Script, recorded: Request) -> Iterator[bytes]:
    """What the script is to be asked with: the recorded request, and in forms that break each of its demands."""
    content = recorded.content
    whole = [("Host", "127.0.0.1"), *recorded.headers]
    if content is not None:
        whole.append(("Content-Length", str(len(content))))
    headers: Headers = tuple(whole)
    for demand in script.conditions:
        headers = demand.rule.kept(headers)
    for head in (headers, *(demand.rule.broken(headers) for demand in script.conditions)):
        chunked = any(name.lower() == "transfer-encoding" for name, _ in head)
        lines = (f"{name}: {value}" for name, value in head if not (chunked and name.lower() == "content-length"))
        body = content or b""
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body
        first = f"{recorded.method} {recorded.path} HTTP/1.1"
        yield "\r\n".join([first, *lines, "", ""]).encode("latin-1") + framed


def _readable(sock: socket.socket) -> bool:
    """Whether something has come, be it the end."""
    patience_s = sock.gettimeout()
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(patience_s)
    return True
