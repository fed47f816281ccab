"""One accepted connection: reads requests whole, writes segments, and ends with exactly the FIN or RST that was asked.

A connection belongs to one coroutine, which alone calls its methods; `engine` has how that runs. Its states are the
places where the coroutine waits:

    reading     for bytes of a head or of a body. A client's FIN ends the wait, and what has come is all there is.
    choosing    for a thread in which an answer is found. The socket is left alone meanwhile.
    playing     for the moment of the next segment, for room in the send buffer, for a record in lock-step, or for a
                server behind a proxy. The client's FIN or RST raises ClientLeft there.
    holding     for the client to leave, without a limit.
    ending      for all bytes to be acknowledged, before an RST; for the client's own FIN, after one of ours.

In each of them a stop of the server raises ServerStops, and the coroutine closes the socket and ends.

No event tells bytes from a FIN: both make the socket readable. So after each wake-up the bytes are read into a buffer,
and only an empty read (or an error) means that the client has left. A client that pipelines its next request while a
stream is played therefore loses nothing, and does not count as gone. But nothing more is read once the buffer is full,
and so whether such a client leaves is not noticed.

The ends are the hard part, because the system turns a FIN into an RST in two cases: if the socket is closed with unread
bytes in it, or if bytes arrive after it was closed. So `close` sends a FIN, keeps the socket open, and reads until the
client has closed its side too, for a second at most. The other way round, an RST throws away what was written and is
not delivered yet. So `reset` waits until the other side has acknowledged everything; then SO_LINGER with a time of zero
makes the system send an RST instead of a FIN.
"""

from __future__ import annotations

import contextlib
import time
from typing import Protocol, TypeVar

from ollama_harness.errors import ProtocolError
from ollama_harness.script.body_reader import BodyReader
from ollama_harness.script.http1 import RequestHead, members, read_request_head
from ollama_harness.server.engine import ServerStops, Waitable, running
from ollama_harness.server.transport import Transport

__all__ = ["ClientLeft", "Connection", "RequestTooLarge", "awaits_continue"]

#: Go's DefaultMaxHeaderBytes and the 4096 bytes it adds; Ollama answers 431 to a longer head.
MAX_HEAD_BYTES = 1 * 1024 * 1024 + 4096
MAX_BODY_BYTES = 256 * 1024 * 1024

#: How a client of TLS begins: a handshake record (RFC 8446 section 5.1).
_TLS_HELLO = b"\x16\x03"

#: How many bytes are read ahead while an answer is played: a whole head, at least.
_READ_AHEAD_BYTES = 2 * MAX_HEAD_BYTES

#: How long there may be no room to say that an answer is whole.
_SAY_END_S = 5.0

#: How long the socket stays open after a FIN, so that the client can read what is on its way.
_LINGER_S = 1.0

#: How many bytes, and how many writes, one connection may send before others have their turn.
_TURN_BYTES, _TURN_WRITES = 256 * 1024, 32

#: What a reader makes of the bytes of a head.
_Read = TypeVar("_Read", covariant=True)


class ClientLeft(Exception):
    """The client closed its side, or is gone."""


class RequestTooLarge(ProtocolError):
    """A head or a body is larger than the server reads; `status` is the answer's."""

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what} too large", "RFC 9110 section 15.5")


class _ReadsHead(Protocol[_Read]):
    """Reads a head as it arrives."""

    def read(self, data: bytearray, *, ended: bool) -> _Read | None:
        """What all that has arrived so far is; None while more is needed. `ended` is whether no more will come."""


class _ReadsBody(Protocol):
    """Reads a body as it arrives. `needs` is how many bytes are needed at least, `size` how many were read."""

    whole: bool
    error: str | None
    size: int

    @property
    def needs(self) -> int: ...

    def feed(self, buffer: bytearray, *, ended: bool) -> None:
        """Take from the buffer what belongs to the body. `ended` is whether no more will come."""


class Connection:
    """Owns a transport, in the loop that runs. `accepted_bytes` is how many bytes the system has taken to send.

    Raises: ServerStops, from every method that waits.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._loop = running()
        self._buffer = bytearray()
        self._client_left = self._disposed = False
        self.accepted_bytes = 0
        self._turn_bytes = self._turn_writes = 0

    def dispose(self) -> None:
        """Close the socket, whatever its state."""
        if not self._disposed:
            self._disposed = True
            self.transport.close()

    # ------------------------------------------------------------------------------------------------- requests

    async def read_request(self) -> tuple[RequestHead, bytes] | None:
        """The next request, whole; None if the client left before it began.

        Raises: ProtocolError, if the bytes are no HTTP or end inside the request.
        """
        head = await self._read_head()
        return None if head is None else (head, await self._read_rest(head))

    async def _read_head(self) -> RequestHead | None:
        searched = 0
        while (end := self._buffer.find(b"\r\n\r\n", max(0, searched - 3))) < 0:
            searched = len(self._buffer)
            if searched > MAX_HEAD_BYTES:
                raise RequestTooLarge(431, "request head")
            if not await self._more():
                if self._buffer:
                    raise self._broken_off("request head")
                return None
        head = read_request_head(bytes(self._buffer[: end + 4]))
        assert head is not None
        del self._buffer[: head.size]
        return head

    async def _read_rest(self, head: RequestHead) -> bytes:
        body = BodyReader(head, method=head.method)
        await self.await_body(head, body)
        if body.error is not None:
            raise ProtocolError(body.error, "RFC 9112 section 7.1")
        if not body.whole:
            raise self._broken_off("request body")
        return body.content

    async def await_head(self, head: _ReadsHead[_Read]) -> _Read | None:
        """What is read of the bytes that arrive, once that is something; None if the client left before it began.

        They are left where they are.
        """
        ended = False
        while (found := head.read(self._buffer, ended=ended)) is None and not ended:
            ended = not await self._more()
        return found

    async def await_body(self, head: RequestHead, body: _ReadsBody) -> None:
        """Have the body read, whole or up to what is wrong with it; a client that waits is told to go on.

        Raises: RequestTooLarge.
        """
        if awaits_continue(head):
            with contextlib.suppress(ClientLeft):  # it will show when its body does not come
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        ended = False
        while True:
            body.feed(self._buffer, ended=ended)
            if body.whole or body.error is not None or ended:
                return
            if body.size + len(self._buffer) + body.needs > MAX_BODY_BYTES:
                raise RequestTooLarge(413, "request body")
            ended = not await self._more()

    async def peek(self, size: int) -> bytes:
        """The bytes that are not read yet; waits until there are at least `size`, or no more will arrive."""
        while len(self._buffer) < size and await self._more():
            pass
        return bytes(self._buffer)

    def take(self, size: int | None = None) -> bytes:
        """Read at most `size` of the bytes that have arrived, or all of them."""
        data = bytes(self._buffer[:size])
        del self._buffer[: len(data)]
        return data

    async def wait_for_request(self) -> None:
        """Wait a second at most for a whole request to arrive, and leave it in the buffer."""
        until = time.monotonic() + _LINGER_S
        while not _is_whole(self._buffer) and not self._client_left:
            if await self._loop.wait(self.transport.readable, until=until) is None:
                return
            self.receive()

    async def _more(self) -> bool:
        """Wait for more bytes; returns False if there will be none."""
        while not self._client_left:
            await self._wait(self.transport.readable)
            before = len(self._buffer)
            self.receive()
            if len(self._buffer) > before:
                return True
        return False

    def receive(self) -> None:
        """Read what has arrived into the buffer, or note that the client has left."""
        try:
            data = self.transport.receive()
        except OSError:
            data = b""
        if data:
            self._buffer += data
        if self.transport.has_ended or data == b"":
            self._client_left = True

    def _broken_off(self, what: str) -> ProtocolError:
        return ProtocolError(f"{what} broke off after {len(self._buffer)} bytes", "RFC 9112 section 8")

    # ------------------------------------------------------------------------------------------------- waiting

    async def wait_until(self, deadline: float) -> None:
        """Wait until a moment of `time.monotonic`.

        Raises: ClientLeft.
        """
        if deadline > time.monotonic():
            await self.wait_beside(until=deadline)

    async def wait_beside(self, *others: Waitable, until: float | None = None) -> Waitable | None:
        """Wait until one of the others has come, and return it; None if the time is over.

        Raises: ClientLeft.
        """
        while True:
            if self._client_left:
                raise ClientLeft
            readable = self.transport.readable
            if len(self._buffer) < _READ_AHEAD_BYTES:
                woken = await self._wait(readable, *others, until=until)
            else:
                woken = await self._wait(*others, until=until)
            if woken is not readable:
                return woken
            self.receive()

    async def wait_for_end(self) -> None:
        """Wait until the client leaves, without a limit, because Node's fetch waits 300 s."""
        while not self._client_left:
            await self._wait(self.transport.readable)
            self.receive()
            self._buffer.clear()

    async def wait_for_stop(self) -> None:
        """Wait until the server stops, whatever the client does."""
        await self._wait()

    async def _wait(self, *wanted: Waitable, until: float | None = None) -> Waitable | None:
        self._turn_bytes = self._turn_writes = 0
        return await self._loop.wait(*wanted, until=until)

    # ------------------------------------------------------------------------------------------------- writing

    async def send(self, data: bytes) -> None:
        """Write bytes, all of them.

        Raises: ClientLeft, if the client is gone.
        """
        transport, size = self.transport, len(data)
        try:
            sent = transport.send(data)
            self.accepted_bytes += sent
            while sent < size:
                await self._wait(transport.writable)
                more = transport.send(memoryview(data)[sent : sent + _TURN_BYTES])
                self.accepted_bytes += more
                sent += more
        except OSError:
            self._client_left = True
            raise ClientLeft from None
        self._turn_bytes += size
        self._turn_writes += 1
        if self._turn_bytes > _TURN_BYTES or self._turn_writes > _TURN_WRITES:
            self._turn_bytes = self._turn_writes = 0
            await self._loop.give_way()

    # ------------------------------------------------------------------------------------------------- endings

    async def half_close(self, *, is_whole: bool = True) -> None:
        """Send a FIN and go on reading. `is_whole` is whether the answer was; that is said first, if it can be."""
        until = time.monotonic() + _SAY_END_S
        try:
            while is_whole and not self.transport.say_end():
                if await self._wait(self.transport.writable, until=until) is None:
                    break
            self.transport.half_close()
        except OSError:  # the client has reset the connection, so there is no FIN to send
            self._client_left = True

    async def close(self) -> None:
        """Send a FIN, and close the socket when the client has closed its side, or after a second."""
        if self._disposed:
            return
        try:
            await self.half_close()
            until = time.monotonic() + _LINGER_S
            while not self._client_left and await self._wait(self.transport.readable, until=until) is not None:
                self.receive()
                self._buffer.clear()
        except ServerStops:
            pass
        finally:
            self.dispose()

    async def reset(self) -> None:
        """Send an RST, after all bytes written so far were acknowledged, as far as the system shows it."""
        try:
            await self._acknowledged()
        finally:
            self._disposed = True
            self.transport.abort()

    async def _acknowledged(self) -> None:
        """Poll the send queue. Windows does not show its length, so there the loopback gets 50 ms to deliver."""
        until = time.monotonic() + _LINGER_S
        while (now := time.monotonic()) < until:
            unacknowledged = self.transport.unacknowledged()
            if unacknowledged == 0:
                return
            if unacknowledged is None:
                await self._wait(until=now + 0.05)
                return
            await self._wait(until=now + 0.0005)


def _is_whole(arrived: bytearray) -> bool:
    """Whether this is a whole request, or can never become one."""
    if arrived.startswith(_TLS_HELLO):
        return True
    try:
        if (head := read_request_head(bytes(arrived))) is None:
            return False
        body = BodyReader(head, method=head.method)
    except ProtocolError:
        return True
    body.feed(arrived[head.size :], ended=False)
    return body.whole or body.error is not None


def awaits_continue(head: RequestHead) -> bool:
    """Whether the client may wait for 100 Continue before it sends its body (RFC 9110 section 10.1.1)."""
    has_body = members(head.headers, "content-length") not in ([], ["0"]) or members(head.headers, "transfer-encoding")
    if head.version == "HTTP/1.0" or not has_body:
        return False
    return any(option.lower() == "100-continue" for option in members(head.headers, "expect"))
