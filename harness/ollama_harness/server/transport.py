"""The bytes of a connection, in and out, without any meaning: here of a plain socket.

This is the seam below HTTP, SOCKS and tunnels. Whatever lies between them and the socket, as TLS does, has this form: a
method that gives the bytes that have arrived, one that takes bytes, and the ends. None of them blocks. What cannot be
done now is waited for with `readable` and `writable`, and then tried again.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

from ollama_harness.server.engine import running

__all__ = ["Transport", "abort"]

#: The most bytes that are read at once.
_READ_BYTES = 64 * 1024


class Transport:
    """Owns a socket, in the loop that runs.

    `says_end`: whether `say_end` says anything. `has_ended`: whether nothing follows what
    `receive` has returned, though there may be no FIN yet.
    """

    says_end = False
    has_ended = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # on some systems a socket that is reset already has no options
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._watch = running().watch(sock)
        self.readable, self.writable = self._watch.readable, self._watch.writable

    def connect(self, address: tuple[str, int]) -> int:
        """Begin to connect: 0, or the number of what is wrong, or that it is under way and ends with `writable`."""
        return self._socket.connect_ex(address)

    def problem(self) -> int:
        """The number of what went wrong with connecting, or 0."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def receive(self) -> bytes | None:
        """What has arrived, all of it or the first part; empty after a FIN, None if there is nothing now.

        Raises: OSError, after an RST.
        """
        try:
            return self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return None

    def send(self, data: bytes | memoryview) -> int:
        """How many of these bytes were taken, which may be none. Those that were not must come again, as the next.

        Raises: OSError, if the other side is gone.
        """
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def say_end(self) -> bool:
        """Say that what was sent is whole, if that can be said; returns whether it is on its way. If not, try again.

        Raises: OSError, if the other side is gone.
        """
        return True

    def half_close(self) -> None:
        """Send a FIN.

        Raises: OSError, if there is no connection any more.
        """
        self._socket.shutdown(socket.SHUT_WR)

    def unacknowledged(self) -> int | None:
        """How many bytes the other side has not acknowledged yet, or None if the system does not show it."""
        return _send_queue_bytes(self._socket)

    def close(self) -> None:
        """Close the socket, whatever its state."""
        self._watch.forget()
        self._socket.close()

    def abort(self) -> None:
        """Close the socket with an RST; bytes that are not sent yet are lost."""
        self._watch.forget()
        abort(self._socket)


def abort(sock: socket.socket) -> None:
    """Close a socket with an RST; bytes that are not sent yet are lost."""
    # A linger time of zero. struct linger has two shorts on Windows, and two ints elsewhere.
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    sock.close()


def _send_queue_bytes(sock: socket.socket) -> int | None:
    if sys.platform == "linux":
        import fcntl
        import termios

        # SIOCOUTQ of tcp(7); it is the same number as TIOCOUTQ.
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    if sys.platform == "darwin":
        so_nwrite = 0x1024  # <sys/socket.h>
        return sock.getsockopt(socket.SOL_SOCKET, so_nwrite)
    return None
