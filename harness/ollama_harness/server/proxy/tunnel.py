"""A tunnel: bytes pass in both directions between a client and a server, whatever they mean.

One coroutine serves both directions, and waits for whatever each direction needs next. A `_Flow` is one direction: it
has at most one piece, which it reads from its source when the one before is written to its sink. So a slow reader slows
down the writer, as without a proxy, and nothing grows. A FIN on one side is passed on as a FIN (a shutdown of the other
side's writing half) and ends that direction only. An RST ends both.

The journal has one entry for a tunnel, and cannot know if more bytes will come. So the entry is settled whenever all
bytes that arrived are passed on, and reopened before anything is read: a test that waits until the journal is settled
then sees all bytes of the exchange.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from ollama_harness.script.script import ConnectionEnd, ScriptEnd
from ollama_harness.server._connection import ClientLeft, Connection
from ollama_harness.server._playback import end_early, play
from ollama_harness.server.engine import ServerStops, Waitable, running
from ollama_harness.server.journal import EndedBy, Entry, Journal
from ollama_harness.server.transport import Transport

__all__ = ["tunnel"]


@dataclass(slots=True)
class _Flow:
    """One direction: a piece is read when the one before has been written; `over` after a FIN."""

    source: Transport
    sink: Transport
    piece: bytes
    over: bool = False

    @property
    def awaits(self) -> Waitable:
        return self.sink.writable if self.piece else self.source.readable

    @property
    def at(self) -> Transport:
        """Where the next step is taken."""
        return self.sink if self.piece else self.source

    def step(self) -> bytes:
        """Write or read once; returns the bytes that were written."""
        if self.piece:
            sent = self.piece[: self.sink.send(self.piece)]
            self.piece = self.piece[len(sent) :]
            return sent
        received = self.source.receive()
        if received is not None and not received:
            self.over = True
            with contextlib.suppress(OSError):  # if the sink is reset, reading from it reports that
                self.sink.half_close()
        self.piece = received or b""
        return b""


async def tunnel(
    connection: Connection,
    upstream: Transport,
    *,
    first: bytes,
    entry: Entry,
    journal: Journal,
    idle_limit_s: float | None,
) -> None:
    """Send the client `first` (the proxy's reply), then pass bytes in both directions until both sides have ended.

    A FIN is passed on as a FIN, an RST as an RST. After a silence of the server of `idle_limit_s` seconds the client
    gets a FIN. Whenever all bytes are passed on, the entry is settled and the connection counts as kept open.
    """
    client = connection.transport
    there, back = flows = _Flow(client, upstream, connection.take()), _Flow(upstream, client, first)
    ended, by = ConnectionEnd.KEEP_OPEN, EndedBy.SERVER
    heard_s = time.monotonic()

    async def end(how: ConnectionEnd, why: str) -> None:
        entry.why = why
        await play(connection, (), ScriptEnd(how=how, at_s=0.0), entry=entry, journal=journal)

    while not (there.over and back.over):
        if not (there.piece or back.piece):
            journal.settle(entry, ended, by)
        limited = idle_limit_s is not None and not back.over and not back.piece
        until = heard_s + (idle_limit_s or 0.0) if limited else None
        try:
            woken = await running().wait(*(flow.awaits for flow in flows if not flow.over), until=until)
        except ServerStops as stops:
            journal.reopen(entry)
            end_early(connection, stops, entry=entry, journal=journal)
            return
        journal.reopen(entry)  # until what is ready now has been passed on
        if woken is None:
            await end(ConnectionEnd.CLOSE, f"the server was silent for {idle_limit_s} s")
            return
        for flow in flows:
            if flow.over or flow.awaits is not woken:
                continue
            at = flow.at
            try:
                written = flow.step()
            except OSError as error:
                if at is client:
                    upstream.abort()
                    end_early(connection, ClientLeft(), entry=entry, journal=journal)
                else:
                    await end(ConnectionEnd.RESET, f"the server reset the connection: {error}")
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
