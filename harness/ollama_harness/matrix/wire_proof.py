"""Proves with a plain socket that the server plays a script exactly, before a client is judged by it.

No HTTP library is used. The socket sends the recorded request and reads as many bytes as the script has. If the script
ends the connection, the socket reads on until it sees a FIN or an RST. If the script keeps the connection open, the
socket waits until the journal is settled, and checks that nothing more can be read; if the server holds the connection,
the socket closes its side first. Then everything is compared: the bytes one for one, the segments with the journal, and
the times as lower bounds. No byte may be early; a late byte is the machine's fault. In lock-step, the proof waits until
the journal shows that the server waits, checks that nothing can be read, and only then reports the record as yielded.
A script with conditions is requested several times: once with all conditions met, and once with each condition broken.
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

#: How each ending looks to the peer.
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
    """What a plain socket saw of one exchange. `problem` is what was not as planned, "" if everything was.

    `pause_s` is the longest planned silence in seconds. `differs` is a known difference of this system.
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
    """The socket saw something other than the script says."""


def prove(cell: Cell, *, played: Sequence[Script] | None = None, patience_s: float = PATIENCE_S) -> list[WireProof]:
    """Play the scripts of a cell to a plain socket; returns a proof for each exchange.

    A picky script gets a request that meets all its conditions, and then one that breaks each of them. With `played`
    the server plays these scripts instead. If they differ, the proof must fail, or it proves nothing. `patience_s` is
    how long the socket then waits for what does not arrive.
    """
    planned = cell.scripts
    played = planned if played is None else played
    proofs: list[WireProof] = []
    with FakeOllama(version=None, listens=played[0].ending.how is not ConnectionEnd.REFUSE) as server:
        server.play(cell.plain, path=ELSEWHERE, before_guard=True)
        sock: socket.socket | None = None
        for number, (script, really) in enumerate(zip(planned, played, strict=True), 1):
            server.play(really, before_guard=True)
            problem, waits_s = "", PATIENCE_S if really == script else patience_s
            for request in _requests(script, cell.recording.request):
                probe = _ProofExchange(server, script.answer_to(read_request_head(request)), request, waits_s)
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


class _ProofExchange:
    """One exchange, as a plain socket sees it."""

    def __init__(self, server: FakeOllama, script: Script, request: bytes, patience_s: float) -> None:
        self._server, self.script, self._request, self._patience_s = server, script, request, patience_s
        self._number = len(server.journal.entries)
        self.seen = "nothing"

    def rendered(self, date: str) -> RenderedScript:
        """The plan. Every Date has the same length, so any date gives the right size."""
        return self.script.render(date=date or http_date(0))

    def exchange(self, sock: socket.socket | None) -> socket.socket | None:
        """Make the exchange, on a new connection if there is none; returns the connection if it can be used again.

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
            sock.sendall(self._request)
        size = len(self.rendered("").wire)
        if any(send.awaits for send in self.script.segments):
            seen = self._read_lock_step(sock)
        else:
            seen = read(sock, size if _SHOWS[how] == "open" else math.inf)
        if _SHOWS[how] != "open":
            rest = read_to_end(sock) if seen.end == "open" else seen
            self.seen = rest.end
            as_planned = self.seen == _SHOWS[how] or not resets_are_real()
            self._expect(as_planned, f"the connection ended with {self.seen}, and {_SHOWS[how]} was planned")
            ended_s = rest.arrivals[-1][0] - begun_s
            self._expect(ended_s >= self.script.ending.at_s, f"the connection ended after {ended_s:.3f} s, too early")
            sock.close()
        else:
            if how is not ConnectionEnd.HOLD:
                self._expect(self._settled(), "the server has not reached the end of its script")
            self.seen = "something" if _readable(sock) else "open"
            self._expect(self.seen == "open", "bytes arrived after the end of the script, or the connection ended")
            if how is ConnectionEnd.HOLD:
                more = leave_and_read(sock).data
                self._expect(not more, f"{len(more)} bytes arrived after the end of the script")
            usable = how is ConnectionEnd.KEEP_OPEN
        self._expect(self._settled(), "the server has not reached the end of its script")
        self._compare(self._server.journal.entries[self._number], seen, begun_s)
        return usable

    def _settled(self) -> bool:
        """Whether the exchange has ended."""
        return self._server.journal.wait_for(
            lambda entries: len(entries) > self._number and all(entry.ended_by for entry in entries),
            timeout_s=self._patience_s,
        )

    def _read_lock_step(self, sock: socket.socket) -> SocketView:
        """Read the bytes before each wait, check that the server waits, and only then let it continue."""
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
        self._expect(
            seen.data == planned.wire, f"{len(seen.data)} bytes arrived, and {len(planned.wire)} others were planned"
        )
        self._expect(
            [sent for _, sent in entry.sent] == [segment.data for segment in planned.segments],
            f"the server wrote {len(entry.sent)} segments, and {len(planned.segments)} others were planned",
        )
        self._expect(entry.ended is planned.ending.how, f"the server ended with {entry.ended}")
        end = 0
        for (at_s, _), segment in zip(entry.sent, planned.segments, strict=True):
            end += len(segment.data)
            self._expect(at_s >= segment.at_s, f"byte {end} left {segment.at_s - at_s:.3f} s early")
            came_s = next((when_s for when_s, size in seen.arrivals if size >= end), None)
            self._expect(came_s is None or came_s - begun_s >= segment.at_s, f"byte {end} arrived too early")

    def _expect(self, holds: bool, problem: str) -> None:  # noqa: FBT001 - an assertion
        if not holds:
            raise _NotAsPlanned(problem)


def _requests(script: Script, recorded: Request) -> Iterator[bytes]:
    """The requests for a script: the recorded request, and one that breaks each of its conditions."""
    content = recorded.content
    whole = [*recorded.headers]
    if all(name.lower() != "host" for name, _ in whole):  # a second Host would be refused
        whole.insert(0, ("Host", "127.0.0.1"))
    if content is not None:
        whole.append(("Content-Length", str(len(content))))
    headers: Headers = tuple(whole)
    for condition in script.conditions:
        headers = condition.rule.kept(headers)
    for head in (headers, *(condition.rule.broken(headers) for condition in script.conditions)):
        chunked = any(name.lower() == "transfer-encoding" for name, _ in head)
        lines = (f"{name}: {value}" for name, value in head if not (chunked and name.lower() == "content-length"))
        body = content or b""
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body
        first = f"{recorded.method} {recorded.path} HTTP/1.1"
        yield "\r\n".join([first, *lines, "", ""]).encode("latin-1") + framed


def _readable(sock: socket.socket) -> bool:
    """Whether bytes, or the end, can be read."""
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
