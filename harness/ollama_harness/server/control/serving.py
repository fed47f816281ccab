"""Calls of the control API on connections: on those of the server, and on a port of their own."""

from __future__ import annotations

import functools
import socket
import threading

from ollama_harness.answers import Asked
from ollama_harness.answers.go.go_request import GoHead, read_go_body, read_go_head
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import http_date
from ollama_harness.server._playback import play
from ollama_harness.server.connection import Connection, RequestTooLarge
from ollama_harness.server.control.control import Control
from ollama_harness.server.journal import Entry, Journal
from ollama_harness.server.listener import Listener

__all__ = ["Calls"]


class Calls:
    """Answers calls, which no journal has. With a `port` they also come over that, from `start` to `stop`; 0 is any."""

    def __init__(self, control: Control, host: str, port: int | None) -> None:
        self._control, self._host, self.port = control, host, port
        self._not_read = Journal()  # whatever is played needs one
        self._running: tuple[Listener, threading.Thread] | None = None

    def start(self) -> None:
        """Let calls wait, and listen if there is a port.

        Raises: PortInUse.
        """
        self._control.begin()
        if self.port is None:
            return
        listener = Listener(self._host, self.port, self._serve)
        self.port = listener.port
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        self._running = listener, thread

    def stop(self) -> None:
        """End all calls that wait, and the connections to the port."""
        self._control.end_waits()
        if self._running is not None:
            listener, thread = self._running
            listener.shutdown()
            thread.join()
            self._running = None

    def is_call(self, read: GoHead) -> bool:
        """Whether a head begins a call."""
        return self._control.is_for(Asked.of(read.head, b"", flaw=read.flaw))

    def answer(self, connection: Connection, head: RequestHead) -> bool:
        """Answer the call that this head begins; whether the connection can be used again."""
        connection.take(head.size)
        usable = not head.wants_close
        try:
            body = connection.await_body(head, lambda data, ended: read_go_body(data, head, ended=ended))
        except RequestTooLarge as error:
            script, usable = self._control.too_large(error, head.method), False
        else:
            script = self._control.answer(Asked.of(head, body.data, body_error=body.error or ""))
            usable = usable and body.error is None
        rendered = script.render(date=http_date())
        entry = Entry(connection=0, index=0, head=head, body=b"")
        return play(connection, rendered.segments, rendered.ending, entry=entry, journal=self._not_read) and usable

    def _serve(self, sock: socket.socket, stop: socket.socket) -> None:
        """Answer what comes over a connection to the port; whatever is no call is no path of it."""
        connection, usable, after_post = Connection(sock, stop), True, False
        try:
            while usable and (read := connection.await_head(functools.partial(_read_head, after_post))) is not None:
                after_post = read.head.method == "POST"
                usable = read.flaw is None and self.answer(connection, read.head)
        finally:
            connection.close()


def _read_head(after_post: bool, data: bytes, ended: bool) -> GoHead | None:  # noqa: FBT001
    return read_go_head(data, ended=ended, after_post=after_post)
