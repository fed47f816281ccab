"""The server behind a proxy: a connection to it that is used while the client is watched too.

Each method that waits for the server waits with the client's `Connection.wait_beside`: a select over the server's
socket, the client's socket and the stop of the proxy. So a client that leaves, or a proxy that stops, interrupts the
wait at once (`WaitInterrupted`), and the caller closes the connection to the server, as a real proxy does. The server's
socket does not block, so that no other call can wait. All failures of the server are `UpstreamFailed`, which knows what
the client gets: a status if its answer has not begun, else an ending.
"""

from __future__ import annotations

import contextlib
import selectors
import socket

from ollama_harness.script.http1 import ResponseHead, read_response_head
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server.connection import MAX_HEAD_BYTES, Connection, WakeReason
from ollama_harness.server.proxy.target import Target

__all__ = ["PIECE_BYTES", "Upstream", "UpstreamFailed", "WaitInterrupted", "connect"]

#: How long a server on this machine may take to accept, in seconds.
_CONNECT_S = 5.0

#: The most bytes that are passed on in one piece.
PIECE_BYTES = 64 * 1024


class UpstreamFailed(Exception):
    """There is no answer, or no whole one: the client gets `status`, or `how` if its answer has begun."""

    def __init__(self, why: str, *, status: int = 502, how: ConnectionEnd = ConnectionEnd.CLOSE) -> None:
        self.status, self.how = status, how
        super().__init__(why)


class WaitInterrupted(Exception):
    """The client left, or the proxy stops, during a wait for the server."""

    def __init__(self, woken: WakeReason) -> None:
        self.woken = woken
        super().__init__(woken)


def connect(target: Target) -> socket.socket:
    """A connection to a target on this machine, as a socket that does not block.

    Raises: UpstreamFailed, if the target is on another machine (403), or nothing accepts there (502).
    """
    if not target.is_loopback:
        raise UpstreamFailed(f"{target} is not on this machine", status=403)
    problem = ""
    for address in ("127.0.0.1", "::1") if target.host.lower() == "localhost" else (target.host,):
        try:
            sock = socket.create_connection((address, target.port), _CONNECT_S)
        except OSError as error:
            problem = problem or f"no connection to {target}: {error}"
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            return sock
    raise UpstreamFailed(problem)


class Upstream:
    """A connected server. `rest` are bytes that arrived together with a head, after it.

    Raises: WaitInterrupted and UpstreamFailed, from every method that waits.
    """

    def __init__(self, sock: socket.socket, client: Connection, *, idle_limit_s: float | None) -> None:
        self._socket, self._client, self._idle_limit_s = sock, client, idle_limit_s
        self.rest = b""

    def send(self, data: bytes) -> None:
        """Send all of it. If the server has closed the connection, stop without an error: its answer may be there."""
        left = memoryview(data)
        with contextlib.suppress(OSError):
            while left:
                woken = self._client.wait_beside(self._socket, events=selectors.EVENT_WRITE)
                if woken is not WakeReason.OTHER:
                    raise WaitInterrupted(woken)
                left = left[self._socket.send(left) :]

    def receive(self) -> bytes:
        """The bytes after the head, or the next ones that arrive; empty after a FIN."""
        if self.rest:
            data, self.rest = self.rest, b""
            return data
        woken = self._client.wait_beside(self._socket, timeout_s=self._idle_limit_s)
        if woken is WakeReason.TIME:
            raise UpstreamFailed(f"the server was silent for {self._idle_limit_s} s", status=504)
        if woken is not WakeReason.OTHER:
            raise WaitInterrupted(woken)
        try:
            return self._socket.recv(PIECE_BYTES)
        except OSError as error:
            raise UpstreamFailed(f"the server reset the connection: {error}", how=ConnectionEnd.RESET) from None

    def read_head(self) -> tuple[ResponseHead, bytes]:
        """The head of an answer, and its bytes.

        Raises: ProtocolError, if the bytes are no HTTP.
        """
        data = self.receive()
        while (head := read_response_head(data)) is None:
            if len(data) > MAX_HEAD_BYTES or not (more := self.receive()):
                raise UpstreamFailed("the server ended the connection before the head of an answer was whole")
            data += more
        self.rest = data[head.size :]
        return head, data[: head.size]
