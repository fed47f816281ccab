"""One accepted connection: read requests whole, write segments on time, end it in exactly the way asked for."""

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

#: The largest head that a proxy of ours takes; beyond, it answers 431.
MAX_HEAD_BYTES = 1 * 1024 * 1024 + 4096
MAX_BODY_BYTES = 256 * 1024 * 1024

#: Waits shorter than this are slept, which is exact on every OS; select on Windows wakes up to 16 ms late.
_SLEEP_S = 0.02

#: After a FIN the socket stays open for the client to read what is on its way (closing at once may turn into an RST).
_LINGER_S = 1.0

#: What a reader makes of the bytes of a head.
_Read = TypeVar("_Read")


class WakeReason(Enum):
    """Why a wait ended."""

    TIME = auto()
    LEFT = auto()  # the client closed its side, or is gone
    STOP = auto()  # the server is stopping
    OTHER = auto()  # another socket, waited for besides, is ready


class ClientLeft(Exception):
    """The client is gone: writing failed."""


class RequestTooLarge(ProtocolError):
    """A head or a body beyond what the server reads; `status` is what to answer."""

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(f"{what} too large", "RFC 9110 section 15.5")


class Connection:
    """Owns a socket. `stop` is readable once the server stops; every wait here ends then."""

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
        """Let go of the socket, whatever state it is in."""
        self._selector.close()
        self._socket.close()

    # ------------------------------------------------------------------------------------------------- requests

    def read_request(self) -> tuple[RequestHead, bytes] | None:
        """The next request, whole; None if the client left (or the server stops) before it began.

        Raises: ProtocolError, if what comes is no HTTP or breaks off.
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
        """The body of the request whose head was read last; if the client waits to be told so, it is told to go on.

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
        """What has come and was not read yet, once it is so many bytes, or no more will come."""
        while len(self._buffer) < size and self._more():
            pass
        return bytes(self._buffer)

    def take(self, size: int | None = None) -> bytes:
        """Read so many bytes of what has come already, or all of it."""
        data = bytes(self._buffer[:size])
        del self._buffer[: len(data)]
        return data

    def _more(self) -> bool:
        """Wait for more bytes; False if there will be none."""
        if self._client_left or self._wait(None) is WakeReason.STOP:
            return False
        return self._receive()

    def _receive(self) -> bool:
        """Take what has come into the buffer; False, and the client has left, at its end."""
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
        """Wait for a moment of `time.monotonic`, unless the client leaves or the server stops before."""
        while (remaining := deadline - time.monotonic()) > 0:
            if remaining <= _SLEEP_S:
                time.sleep(remaining)
                continue
            woken = self._wait(remaining - _SLEEP_S / 2)
            if woken is WakeReason.STOP or (woken is WakeReason.LEFT and not self._receive()):
                return woken
        return WakeReason.TIME

    def woken_by_now(self) -> WakeReason:
        """What has happened meanwhile: the client has left, the server stops, or nothing (TIME)."""
        woken = self._wait(0.0)
        return WakeReason.TIME if woken is WakeReason.LEFT and self._receive() else woken

    def wait_beside(
        self, other: socket.socket, *, events: int = selectors.EVENT_READ, timeout_s: float | None = None
    ) -> WakeReason:
        """Wait until another socket is ready (OTHER), unless the client leaves, the server stops, or time is over."""
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
        """Wait a while for a whole request to arrive, and leave it unread."""
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
        """Wait until the client leaves or the server stops. There is no limit: Node's fetch alone waits 300 s."""
        while True:
            woken = self._wait(None)
            if woken is WakeReason.STOP or not self._receive():
                return woken

    def wait_for_stop(self) -> None:
        """Wait until the server stops, whatever the client does."""
        self._selector.unregister(self._socket)
        self._wait(None)

    def _wait(self, timeout_s: float | None) -> WakeReason:
        """Wait for bytes, the client's end (both are LEFT: the caller must read to tell) or the stop."""
        reasons = {key.data for key, _ in self._selector.select(timeout_s)}
        if WakeReason.STOP in reasons:
            return WakeReason.STOP
        return WakeReason.LEFT if reasons else WakeReason.TIME

    # ------------------------------------------------------------------------------------------------- writing

    def send(self, data: bytes) -> None:
        """Write one segment.

        Raises: Left, if the client is gone.
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
        except OSError:  # the client has reset the connection; there is nobody to tell
            self._client_left = True

    def close(self) -> None:
        """Send a FIN, and close once the client has closed too. Unread bytes would turn it into an RST."""
        self.half_close()
        if not self._client_left:
            self.wait_until(time.monotonic() + _LINGER_S)
        self.dispose()

    def reset(self) -> None:
        """Send an RST, after all bytes written so far were acknowledged as far as the OS can tell."""
        self._wait_until_acknowledged()
        self._selector.close()
        abort(self._socket)

    def _wait_until_acknowledged(self) -> None:
        """Poll the send queue; where no call shows its length (Windows), give loopback time to deliver."""
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
    """Whether this is a whole request; so is what can never become one."""
    try:
        if (head := read_request_head(arrived)) is None:
            return False
        body = read_body(arrived[head.size :], head, method=head.method)
    except ProtocolError:
        return True
    return body.whole or body.error is not None


def awaits_continue(head: RequestHead) -> bool:
    """Whether the client may keep its body back until it is told to go on (RFC 9110 section 10.1.1)."""
    if head.version == "HTTP/1.0" or members(head.headers, "content-length") == ["0"]:
        return False
    return any(option.lower() == "100-continue" for option in members(head.headers, "expect"))


def abort(sock: socket.socket) -> None:
    """Close a socket with an RST; what it has not sent yet is lost."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    sock.close()


def _send_queue_bytes(sock: socket.socket) -> int | None:
    """Bytes written but not yet acknowledged, or None where the OS does not tell."""
    if sys.platform == "linux":
        import fcntl
        import termios

        # SIOCOUTQ of tcp(7); it is the same number as TIOCOUTQ.
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    if sys.platform == "darwin":
        so_nwrite = 0x1024  # <sys/socket.h>
        return sock.getsockopt(socket.SOL_SOCKET, so_nwrite)
    return None
