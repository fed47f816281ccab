"""The server behind a proxy, or behind a FakeOllama: a connection to it that is used while the client is watched too.

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
import ipaddress
import os
import socket
import time
from dataclasses import dataclass

from ollama_harness.script.http1 import ResponseHead, read_response_head
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server._connection import MAX_HEAD_BYTES, Connection
from ollama_harness.server.engine import Kind, in_thread
from ollama_harness.server.transport import Transport

__all__ = ["Target", "Upstream", "UpstreamFailed", "connect"]

#: How long a server may take to accept, in seconds.
_CONNECT_S = 5.0

#: What a connect that has begun says on Linux and macOS, and on Windows.
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}


class UpstreamFailed(Exception):
    """There is no answer, or no whole one: the client gets `status`, or `how` if its answer has begun."""

    def __init__(self, why: str, *, status: int = 502, how: ConnectionEnd = ConnectionEnd.CLOSE) -> None:
        self.status, self.how = status, how
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Target:
    """A host (a name, or an address without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is localhost, in 127.0.0.0/8, or ::1; names are not resolved."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host.lower() == "localhost"
        return address == ipaddress.IPv6Address("::1") or address in ipaddress.ip_network("127.0.0.0/8")


async def connect(target: Target, client: Connection) -> Transport:
    """A connection to a target, at the first of its addresses that accepts.

    Raises: UpstreamFailed, if none does (502, or 504 if there was no answer); ClientLeft.
    """
    problem, status = "", 502
    for address in await _addresses(target):
        transport = Transport(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        try:
            await _connected(transport, (address, target.port), client)
        except OSError as error:
            transport.close()
            if not problem:
                problem = f"no connection to {target}: {error}"
                status = 504 if isinstance(error, TimeoutError) else 502
        except BaseException:
            transport.close()
            raise
        else:
            return transport
    raise UpstreamFailed(problem, status=status)


async def _addresses(target: Target) -> list[str]:
    """The addresses of a target. A name is resolved in a thread, because that may take its time.

    Raises: UpstreamFailed.
    """
    if target.host.lower() == "localhost":
        return ["127.0.0.1", "::1"]
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(target.host))]
    try:
        found = await in_thread(Kind.MAY_WAIT, socket.getaddrinfo, target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot encode
        raise UpstreamFailed(f"no connection to {target}: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


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
        received = await self.received_by(until)
        if received is None:
            raise UpstreamFailed(f"the server was silent for {self._idle_limit_s} s", status=504)
        return received

    async def received_by(self, until: float | None) -> bytes | None:
        """The next bytes that arrive, empty after a FIN; None if there are none by a moment of `time.monotonic`."""
        received = None
        while received is None:
            if await self._client.wait_beside(self._transport.readable, until=until) is None:
                return None
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
