"""The server behind a proxy, on this machine: asked and heard while the client is watched, which may leave."""

from __future__ import annotations

import contextlib
import selectors
import socket

from ollama_harness.script.http1 import ResponseHead, read_response_head
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server.connection import MAX_HEAD_BYTES, Connection, WakeReason
from ollama_harness.server.proxy.target import Target

__all__ = ["PIECE_BYTES", "Upstream", "UpstreamFailed", "WaitInterrupted", "connect"]

#: How long a listener on this machine may take to accept.
_CONNECT_S = 5.0

#: How much is passed on at once, at the most.
PIECE_BYTES = 64 * 1024


class UpstreamFailed(Exception):
    """There is no answer, or no whole one: the client gets `status`, or `how` if its answer has begun."""

    def __init__(self, why: str, *, status: int = 502, how: ConnectionEnd = ConnectionEnd.CLOSE) -> None:
        self.status, self.how = status, how
        super().__init__(why)


class WaitInterrupted(Exception):
    """The client left, or the proxy stops, while the server was waited for."""

    def __init__(self, woken: WakeReason) -> None:
        self.woken = woken
        super().__init__(woken)


def connect(target: Target) -> socket.socket:
    """A connection to a target on this machine; it does not block.

    Raises: NoAnswer, if it is on another (403), or nobody accepts (502).
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
    """A connected server. `rest` is what came with a head, after it. All that waits here may raise Gone or NoAnswer."""

    def __init__(self, sock: socket.socket, client: Connection, *, idle_limit_s: float | None) -> None:
        self._socket, self._client, self._idle_limit_s = sock, client, idle_limit_s
        self.rest = b""

    def send(self, data: bytes) -> None:
        """Send it all, unless the server has closed: what it said before is still to be read."""
        left = memoryview(data)
        with contextlib.suppress(OSError):
            while left:
                woken = self._client.wait_beside(self._socket, events=selectors.EVENT_WRITE)
                if woken is not WakeReason.OTHER:
                    raise WaitInterrupted(woken)
                left = left[self._socket.send(left) :]

    def receive(self) -> bytes:
        """What came with the head, or comes next; empty after a FIN."""
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

        Raises: ProtocolError, if it is no HTTP.
        """
        data = self.receive()
        while (head := read_response_head(data)) is None:
            if len(data) > MAX_HEAD_BYTES or not (more := self.receive()):
                raise UpstreamFailed("the server ended the connection before the head of an answer was whole")
            data += more
        self.rest = data[head.size :]
        return head, data[: head.size]
