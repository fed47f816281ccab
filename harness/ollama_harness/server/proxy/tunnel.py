"""A tunnel: bytes pass in both directions between a client and a server, whatever they mean.

One thread serves both directions. Both sockets do not block, and one select waits for whatever each direction needs
next. A `_Flow` is one direction: it has at most one piece, which it reads from its source when the one before is
written to its sink. So a slow reader slows down the writer, as without a proxy, and nothing grows. A FIN on one side is
passed on as a FIN (a shutdown of the other side's writing half) and ends that direction only. An RST ends both.

The journal has one entry for a tunnel, and cannot know if more bytes will come. So the entry is settled whenever all
bytes that arrived are passed on, and reopened before anything is read: a test that waits until the journal is settled
then sees all bytes of the exchange.

The sockets stop blocking here, but `play`, which ends the connection, needs a blocking one: so `end` switches back.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import time
from dataclasses import dataclass

from ollama_harness.script.script import ConnectionEnd, ScriptEnd
from ollama_harness.server._playback import ended_early, play
from ollama_harness.server.connection import Connection, WakeReason, abort
from ollama_harness.server.journal import EndedBy, Entry, Journal
from ollama_harness.server.proxy.upstream import PIECE_BYTES

__all__ = ["tunnel"]


@dataclass(slots=True)
class _Flow:
    """One direction: a piece is read when the one before has been written; `over` after a FIN."""

    source: socket.socket
    sink: socket.socket
    piece: bytes
    over: bool = False

    @property
    def awaits(self) -> tuple[socket.socket, int]:
        return (self.sink, selectors.EVENT_WRITE) if self.piece else (self.source, selectors.EVENT_READ)

    def step(self) -> bytes:
        """Write or read once; returns the bytes that were written."""
        if self.piece:
            sent = self.piece[: self.sink.send(self.piece)]
            self.piece = self.piece[len(sent) :]
            return sent
        self.piece = self.source.recv(PIECE_BYTES)
        if not self.piece:
            self.over = True
            with contextlib.suppress(OSError):  # if the sink is reset, reading from it reports that
                self.sink.shutdown(socket.SHUT_WR)
        return b""


def tunnel(
    connection: Connection,
    client: socket.socket,
    upstream: socket.socket,
    stop: socket.socket,
    *,
    first: bytes,
    entry: Entry,
    journal: Journal,
    idle_limit_s: float | None,
) -> None:
    """Send the client `first` (the proxy's reply), then pass bytes in both directions until both sides have ended.

    A FIN is passed on as a FIN, an RST as an RST. After a silence of the server of `idle_limit_s` seconds the client
    gets a FIN. Whenever all bytes are passed on, the entry is settled and the connection counts as kept open. `client`
    is the connection's socket.
    """
    there, back = flows = _Flow(client, upstream, connection.take()), _Flow(upstream, client, first)
    ended, by = ConnectionEnd.KEEP_OPEN, EndedBy.SERVER
    heard_s = time.monotonic()
    for sock in (client, upstream):
        sock.setblocking(False)

    def end(how: ConnectionEnd, why: str) -> None:
        entry.why = why
        client.setblocking(True)
        play(connection, (), ScriptEnd(how=how, at_s=0.0), entry=entry, journal=journal)

    while not (there.over and back.over):
        if not (there.piece or back.piece):
            journal.settle(entry, ended, by)
        limited = idle_limit_s is not None and not back.over and not back.piece
        limit_s = heard_s + (idle_limit_s or 0.0) if limited else math.inf
        ready = _wait([flow.awaits for flow in flows if not flow.over], stop, until_s=limit_s)
        journal.reopen(entry)  # until what is ready now has been passed on
        if stop in ready:
            ended_early(connection, WakeReason.STOP, entry=entry, journal=journal)
            return
        if not ready and time.monotonic() >= limit_s:
            end(ConnectionEnd.CLOSE, f"the server was silent for {idle_limit_s} s")
            return
        for flow in flows:
            sock, event = flow.awaits
            if flow.over or not ready.get(sock, 0) & event:
                continue
            try:
                written = flow.step()
            except BlockingIOError:
                continue
            except OSError as error:
                if sock is client:
                    abort(upstream)
                    ended_early(connection, WakeReason.LEFT, entry=entry, journal=journal)
                else:
                    end(ConnectionEnd.RESET, f"the server reset the connection: {error}")
                return
            if written and flow is back:
                entry.sent.append((time.monotonic() - entry.arrived_s, written))
            elif flow is back:
                heard_s = time.monotonic()
            if there.over:
                journal.left(entry)
            if back.over and ended is not ConnectionEnd.CLOSE:
                ended, by = ConnectionEnd.CLOSE, EndedBy.CLIENT if there.over else EndedBy.SERVER
    journal.settle(entry, ended, by)
    connection.dispose()


def _wait(awaited: list[tuple[socket.socket, int]], stop: socket.socket, *, until_s: float) -> dict[object, int]:
    """Wait for any of these events, the stop, or a moment of `time.monotonic`; returns what is ready."""
    events = {stop: selectors.EVENT_READ}
    for sock, event in awaited:
        events[sock] = events.get(sock, 0) | event
    with selectors.DefaultSelector() as selector:
        for sock, event in events.items():
            selector.register(sock, event)
        timeout_s = None if until_s == math.inf else max(0.0, until_s - time.monotonic())
        return {key.fileobj: found for key, found in selector.select(timeout_s)}
