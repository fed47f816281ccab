"""Calls of the control API on connections: on those of the server, and on a port of their own."""

from __future__ import annotations

import socket

from ollama_harness.answers import Asked
from ollama_harness.answers.go.go_body import GoBodyReader
from ollama_harness.answers.go.go_request import GoHead, GoHeadReader
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import http_date
from ollama_harness.server._connection import Connection, RequestTooLarge
from ollama_harness.server._playback import batches, play
from ollama_harness.server.control.control import Control
from ollama_harness.server.engine import Kind, in_thread
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.listener import Listener
from ollama_harness.server.transport import Transport

__all__ = ["Calls"]


class Calls:
    """Answers calls, which no journal has. With a `port` they also come over that, from `start` to `stop`; 0 is any."""

    def __init__(self, control: Control, host: str, port: int | None) -> None:
        self._control, self._host, self.port = control, host, port
        self._not_read = Journal()  # whatever is played needs one
        self._running: Listener | None = None

    def start(self) -> None:
        """Let calls wait, and listen if there is a port.

        Raises: PortInUse.
        """
        self._control.begin()
        if self.port is None:
            return
        self._running = Listener(self._host, self.port, self._serve)
        self.port = self._running.port

    def stop(self) -> None:
        """End all calls that wait, and the connections to the port."""
        self._control.end_waits()
        if self._running is not None:
            self._running.shutdown()
            self._running = None

    def is_call(self, read: GoHead) -> bool:
        """Whether a head begins a call."""
        return self._control.is_for(Asked.of(read.head, b"", flaw=read.flaw))

    async def answer(self, connection: Connection, head: RequestHead) -> bool:
        """Answer the call that this head begins; whether the connection can be used again."""
        connection.take(head.size)
        body, usable = GoBodyReader(head), not head.wants_close
        try:
            await connection.await_body(head, body)
        except RequestTooLarge as error:
            script, usable = self._control.too_large(error, head.method), False
        else:
            asked = Asked.of(head, body.content, body_error=body.error or "")
            script = await in_thread(Kind.MAY_WAIT, self._control.answer, asked)
            usable = usable and body.error is None
        rendered = script.render(date=http_date())
        entry = Entry(connection=0, index=0, head=head, body=b"")
        writes = batches(rendered.segments)
        return await play(connection, writes, rendered.ending, entry=entry, journal=self._not_read) and usable

    async def _serve(self, sock: socket.socket) -> None:
        """Answer what comes over a connection to the port; whatever is no call is no path of it."""
        connection, usable, after_post = Connection(Transport(sock)), True, False
        try:
            while usable and (read := await connection.await_head(GoHeadReader(after_post=after_post))) is not None:
                after_post = read.head.method == "POST"
                usable = read.flaw is None and await self.answer(connection, read.head)
        finally:
            await connection.close()
