"""The server behind a proxy: a connection to it that is used while the client is watched too.

Each method that waits for the server waits with the client's `Connection.wait_beside`, which also ends when the client
leaves (ClientLeft) or the proxy stops (ServerStops). So either interrupts the wait at once, and the caller closes the
connection to the server, as a real proxy does. All failures of the server are `UpstreamFailed`, which knows what the
client gets: a status if its answer has not begun, else an ending.

Nothing is read from the server before the piece before it was passed on (`receive` is called again only then). So a
client that does not read stops the server's writing, as without a proxy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time

from ollama_harness.script.http1 import ResponseHead, read_response_head
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server._connection import MAX_HEAD_BYTES, Connection
from ollama_harness.server.proxy.target import Target
from ollama_harness.server.transport import Transport

__all__ = ["Upstream", "UpstreamFailed", "connect"]

#: How long a server on this machine may take to accept, in seconds.
_CONNECT_S = 5.0

#: What a connect that has begun says on Linux and macOS, and on Windows.
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}


class UpstreamFailed(Exception):
    """There is no answer, or no whole one: the client gets `status`, or `how` if its answer has begun."""

    def __init__(self, why: str, *, status: int = 502, how: ConnectionEnd = ConnectionEnd.CLOSE) -> None:
        self.status, self.how = status, how
        super().__init__(why)


async def connect(target: Target, client: Connection) -> Transport:
    """A connection to a target on this machine.

    Raises: UpstreamFailed, if the target is on another machine (403), or nothing accepts there (502); ClientLeft.
    """
    if not target.is_loopback:
        raise UpstreamFailed(f"{target} is not on this machine", status=403)
    problem = ""
    for address in ("127.0.0.1", "::1") if target.host.lower() == "localhost" else (target.host,):
        transport = Transport(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        try:
            await _connected(transport, (address, target.port), client)
        except OSError as error:
            transport.close()
            problem = problem or f"no connection to {target}: {error}"
        except BaseException:
            transport.close()
            raise
        else:
            return transport
    raise UpstreamFailed(problem)


async def _connected(transport: Transport, address: tuple[str, int], client: Connection) -> None:
    """Connect.

    Raises: OSError, ClientLeft.
    """
    code = transport.connect(address)
    if code in _UNDER_WAY:
        if await client.wait_beside(transport.writable, until=time.monotonic() + _CONNECT_S) is None:
            raise TimeoutError("timed out")
        code = transport.problem()
    if code:
        raise OSError(code, os.strerror(code))


class Upstream:
    """A connected server. `rest` are bytes that arrived together with a head, after it.

    Raises: ClientLeft, ServerStops and UpstreamFailed, from every method that waits.
    """

    def __init__(self, transport: Transport, client: Connection, *, idle_limit_s: float | None) -> None:
        self._transport, self._client, self._idle_limit_s = transport, client, idle_limit_s
        self.rest = b""

    async def send(self, data: bytes) -> None:
        """Send all of it. If the server has closed the connection, stop without an error: its answer may be there."""
        left = memoryview(data)
        with contextlib.suppress(OSError):
            while left := left[self._transport.send(left) :]:
                await self._client.wait_beside(self._transport.writable)

    async def receive(self) -> bytes:
        """The bytes after the head, or the next ones that arrive; empty after a FIN."""
        if self.rest:
            data, self.rest = self.rest, b""
            return data
        until = None if self._idle_limit_s is None else time.monotonic() + self._idle_limit_s
        received = None
        while received is None:
            if await self._client.wait_beside(self._transport.readable, until=until) is None:
                raise UpstreamFailed(f"the server was silent for {self._idle_limit_s} s", status=504)
            try:
                received = self._transport.receive()
            except OSError as error:
                raise UpstreamFailed(f"the server reset the connection: {error}", how=ConnectionEnd.RESET) from None
        return received

    async def read_head(self) -> tuple[ResponseHead, bytes]:
        """The head of an answer, and its bytes.

        Raises: ProtocolError, if the bytes are no HTTP.
        """
        data = await self.receive()
        while (head := read_response_head(data)) is None:
            if len(data) > MAX_HEAD_BYTES or not (more := await self.receive()):
                raise UpstreamFailed("the server ended the connection before the head of an answer was whole")
            data += more
        self.rest = data[head.size :]
        return head, data[: head.size]
