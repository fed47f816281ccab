"""One accepted connection: reads requests whole, writes segments, and ends with exactly the FIN or RST that was asked.

The socket blocks, and each connection has a thread. The thread never waits on the socket alone: every wait is a select
over the socket and `stop`, a socket that becomes readable when the server stops. So a stop ends all waits at once,
without timeouts and without touching a socket that another thread uses.

A select cannot tell bytes from a FIN: both make the socket readable. So after each wake-up the bytes are read into a
buffer, and only an empty read (or an error) means that the client has left. A client that pipelines its next request
while a stream is played therefore loses nothing, and does not count as gone.

The ends are the hard part, because the system turns a FIN into an RST in two cases: if the socket is closed with unread
bytes in it, or if bytes arrive after it was closed. So `close` sends a FIN, keeps the socket open, and reads until the
client has closed its side too, for a second at most. The other way round, an RST throws away what was written and is
not delivered yet. So `reset` waits until the other side has acknowledged everything; then SO_LINGER with a time of zero
makes the system send an RST instead of a FIN.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import TypeVar

from ollama_harness.errors import ProtocolError
from ollama_harness.script.http1 import Body, RequestHead, members, read_body, read_request_head

__all__ = ["ClientLeft", "Connection", "RequestTooLarge", "WakeReason", "abort", "awaits_continue"]

#: Go's DefaultMaxHeaderBytes and the 4096 bytes it adds; Ollama answers 431 to a longer head.
MAX_HEAD_BYTES = 1 * 1024 * 1024 + 4096
MAX_BODY_BYTES = 256 * 1024 * 1024

#: Waits shorter than this sleep, which is exact on every system; select on Windows wakes up to 16 ms late.
_SLEEP_S = 0.02

#: How long the socket stays open after a FIN, so that the client can read what is on its way.
_LINGER_S = 1.0

#: What a reader makes of the bytes of a head.
_Read = TypeVar("_Read")


class WakeReason(Enum):
    """Why a wait ended."""

    TIME = auto()
    LEFT = auto()  # the client closed its side, or is gone
    STOP = auto()  # the server is stopping
    OTHER = auto()  # the other socket of `wait_beside` is ready


class ClientLeft(Exception):
    """The client is gone: writing failed."""


class RequestTooLarge(ProtocolError):
    """A head or a body is larger than the server reads; `status` is the answer's."""

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what} too large", "RFC 9110 section 15.5")


class Connection:
    """Owns the socket of a connection. `stop` becomes readable when the server stops, and ends every wait here."""

    def __init__(self, sock: socket.socket, stop: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(True)
        self._socket = sock
        self._buffer = bytearray()
        self._client_left = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ, WakeReason.LEFT)
        self._selector.register(stop, selectors.EVENT_READ, WakeReason.STOP)

    def dispose(self) -> None:
        """Close the socket, whatever its state."""
        self._selector.close()
        self._socket.close()

    # ------------------------------------------------------------------------------------------------- requests

    def read_request(self) -> tuple[RequestHead, bytes] | None:
        """The next request, whole; None if the client left (or the server stops) before it began.

        Raises: ProtocolError, if the bytes are no HTTP or end inside the request.
        """
        head = self.read_head()
        return None if head is None else (head, self.read_rest(head))

    def read_head(self) -> RequestHead | None:
        """The head of the next request; None if the client left (or the server stops) before it began.

        Raises: ProtocolError.
        """
        while (head := read_request_head(bytes(self._buffer))) is None:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise RequestTooLarge(431, "request head")
            if not self._more():
                if self._buffer:
                    raise self._broken_off("request head")
                return None
        del self._buffer[: head.size]
        return head

    def await_head(self, read: Callable[[bytes, bool], _Read | None]) -> _Read | None:
        """What `read` makes of the bytes so far, once that is something; None if the client left before it began.

        It is told whether no more bytes will come, and leaves them where they are.
        """
        ended = False
        while (found := read(bytes(self._buffer), ended)) is None and not ended:
            ended = not self._more()
        return found

    def await_body(self, head: RequestHead, read: Callable[[bytes, bool], Body]) -> Body:
        """The body as `read` reads it, whole or up to what is wrong with it; a client that waits is told to go on.

        Raises: RequestTooLarge.
        """
        self._go_on(head)
        ended = False
        while not (body := read(bytes(self._buffer), ended)).whole and body.error is None:
            if (enough := len(self._buffer) + body.needs) > MAX_BODY_BYTES:
                raise RequestTooLarge(413, "request body")
            while len(self._buffer) < enough and not ended:
                ended = not self._more()
        self.take(body.size)
        return body

    def _go_on(self, head: RequestHead) -> None:
        if awaits_continue(head):
            with contextlib.suppress(ClientLeft):  # it will show when its body does not come
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def read_rest(self, head: RequestHead) -> bytes:
        """The body of the request whose head was read last. A client that waits for 100 Continue gets it first.

        Raises: ProtocolError.
        """
        self._go_on(head)
        while not (body := read_body(bytes(self._buffer), head, method=head.method)).whole:
            if body.error is not None:
                raise ProtocolError(body.error, "RFC 9112 section 7.1")
            if len(self._buffer) + body.needs > MAX_BODY_BYTES:
                raise RequestTooLarge(413, "request body")
            enough = len(self._buffer) + body.needs
            while len(self._buffer) < enough:
                if not self._more():
                    raise self._broken_off("request body")
        del self._buffer[: body.size]
        return body.data

    def peek(self, size: int) -> bytes:
        """The bytes that are not read yet; waits until there are at least `size`, or no more will arrive."""
        while len(self._buffer) < size and self._more():
            pass
        return bytes(self._buffer)

    def take(self, size: int | None = None) -> bytes:
        """Read at most `size` of the bytes that have arrived, or all of them."""
        data = bytes(self._buffer[:size])
        del self._buffer[: len(data)]
        return data

    def _more(self) -> bool:
        """Wait for more bytes; returns False if there will be none."""
        if self._client_left or self._wait(None) is WakeReason.STOP:
            return False
        return self._receive()

    def _receive(self) -> bool:
        """Read what has arrived into the buffer; returns False if that is the client's FIN or RST."""
        try:
            data = self._socket.recv(256 * 1024)
        except OSError:
            data = b""
        self._client_left = not data
        self._buffer += data
        return bool(data)

    def _broken_off(self, what: str) -> ProtocolError:
        return ProtocolError(f"{what} broke off after {len(self._buffer)} bytes", "RFC 9112 section 8")

    # ------------------------------------------------------------------------------------------------- waiting

    def wait_until(self, deadline: float) -> WakeReason:
        """Wait until a moment of `time.monotonic`, or until the client leaves or the server stops."""
        while (remaining := deadline - time.monotonic()) > 0:
            if remaining <= _SLEEP_S:
                time.sleep(remaining)
                continue
            woken = self._wait(remaining - _SLEEP_S / 2)
            if woken is WakeReason.STOP or (woken is WakeReason.LEFT and not self._receive()):
                return woken
        return WakeReason.TIME

    def woken_by_now(self) -> WakeReason:
        """What has happened by now, without waiting: the client left, the server stops, or nothing (TIME)."""
        woken = self._wait(0.0)
        return WakeReason.TIME if woken is WakeReason.LEFT and self._receive() else woken

    def wait_beside(
        self, other: socket.socket, *, events: int = selectors.EVENT_READ, timeout_s: float | None = None
    ) -> WakeReason:
        """Wait until another socket is ready (OTHER), the client leaves, the server stops, or the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._selector.register(other, events, WakeReason.OTHER)
        try:
            while True:
                remaining_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                reasons = {key.data for key, _ in self._selector.select(remaining_s)}
                if WakeReason.STOP in reasons:
                    return WakeReason.STOP
                if WakeReason.LEFT in reasons and not self._receive():
                    return WakeReason.LEFT
                if WakeReason.OTHER in reasons:
                    return WakeReason.OTHER
                if deadline is not None and time.monotonic() >= deadline:
                    return WakeReason.TIME
        finally:
            self._selector.unregister(other)

    def wait_for_request(self) -> None:
        """Wait a second at most for a whole request to arrive, and leave it unread."""
        deadline = time.monotonic() + _LINGER_S
        while (remaining := deadline - time.monotonic()) > 0 and self._wait(remaining) is WakeReason.LEFT:
            try:
                arrived = self._socket.recv(256 * 1024, socket.MSG_PEEK)
            except OSError:
                return
            if not arrived or _is_whole(arrived):
                return
            time.sleep(0.0005)  # the socket stays readable, so there is no event to wait for

    def wait_for_end(self) -> WakeReason:
        """Wait until the client leaves or the server stops, without a limit, because Node's fetch waits 300 s."""
        while True:
            woken = self._wait(None)
            if woken is WakeReason.STOP or not self._receive():
                return woken

    def wait_for_stop(self) -> None:
        """Wait until the server stops, whatever the client does."""
        self._selector.unregister(self._socket)
        self._wait(None)

    def _wait(self, timeout_s: float | None) -> WakeReason:
        """Wait for bytes or the client's end (both are LEFT: only a read can tell which), or for the stop."""
        reasons = {key.data for key, _ in self._selector.select(timeout_s)}
        if WakeReason.STOP in reasons:
            return WakeReason.STOP
        return WakeReason.LEFT if reasons else WakeReason.TIME

    # ------------------------------------------------------------------------------------------------- writing

    def send(self, data: bytes) -> None:
        """Write one segment.

        Raises: ClientLeft, if the client is gone.
        """
        try:
            self._socket.sendall(data)
        except OSError:
            raise ClientLeft from None

    # ------------------------------------------------------------------------------------------------- endings

    def half_close(self) -> None:
        """Send a FIN and go on reading."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has reset the connection, so there is no FIN to send
            self._client_left = True

    def close(self) -> None:
        """Send a FIN, and close the socket when the client has closed its side, or after a second."""
        self.half_close()
        if not self._client_left:
            self.wait_until(time.monotonic() + _LINGER_S)
        self.dispose()

    def reset(self) -> None:
        """Send an RST, after all bytes written so far were acknowledged, as far as the system shows it."""
        self._wait_until_acknowledged()
        self._selector.close()
        abort(self._socket)

    def _wait_until_acknowledged(self) -> None:
        """Poll the send queue. Windows does not show its length, so there the loopback gets 50 ms to deliver."""
        deadline = time.monotonic() + _LINGER_S
        while time.monotonic() < deadline:
            unacknowledged = _send_queue_bytes(self._socket)
            if unacknowledged == 0:
                return
            if unacknowledged is None:
                time.sleep(0.05)
                return
            time.sleep(0.0005)


def _is_whole(arrived: bytes) -> bool:
    """Whether this is a whole request, or can never become one."""
    try:
        if (head := read_request_head(arrived)) is None:
            return False
        body = read_body(arrived[head.size :], head, method=head.method)
    except ProtocolError:
        return True
    return body.whole or body.error is not None


def awaits_continue(head: RequestHead) -> bool:
    """Whether the client may wait for 100 Continue before it sends its body (RFC 9110 section 10.1.1)."""
    has_body = members(head.headers, "content-length") not in ([], ["0"]) or members(head.headers, "transfer-encoding")
    if head.version == "HTTP/1.0" or not has_body:
        return False
    return any(option.lower() == "100-continue" for option in members(head.headers, "expect"))


def abort(sock: socket.socket) -> None:
    """Close a socket with an RST; bytes that are not sent yet are lost."""
    # A linger time of zero. struct linger has two shorts on Windows, and two ints elsewhere.
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    sock.close()


def _send_queue_bytes(sock: socket.socket) -> int | None:
    """Bytes written and not acknowledged yet, or None if the system does not show it."""
    if sys.platform == "linux":
        import fcntl
        import termios

        # SIOCOUTQ of tcp(7); it is the same number as TIOCOUTQ.
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    if sys.platform == "darwin":
        so_nwrite = 0x1024  # <sys/socket.h>
        return sock.getsockopt(socket.SOL_SOCKET, so_nwrite)
    return None
