"""The listening socket: accepts, gives each connection a thread, and stops at once, even with streams open.

A blocking accept or select cannot be woken from another thread by closing its socket, on any system in the same way. So
there is a pair of connected sockets. Every wait (of the accepting thread, and of each connection's thread) includes one
of them, `_stop`. `shutdown` closes the other one, `_stopping`. That makes `_stop` readable with an end of file, which
nothing consumes: it wakes all waits, and all later ones.

The order of closing matters. A closed descriptor may be used again at once by another socket, so a socket is closed
only when no thread waits on it any more. `shutdown` therefore waits for the accepting thread, then for each
connection's thread (which closes its own socket), and closes the listening socket and `_stop` last. One wait has no
select: a write to a client that does not read. After half a second such a socket is shut down, which makes the write
fail.

A port without `listen` refuses connections, and the bind keeps other programs from using it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import selectors
import socket
import sys
import threading
from collections.abc import Callable

from ollama_harness.errors import PortInUse

__all__ = ["Listener", "has_ipv6"]


#: How long a connection may take to end after a stop. Only a blocked write takes that long.
_STOP_LIMIT_S = 0.5


class Listener:
    """Listens as soon as it is made. It has what pytest-httpserver needs of a server: `port`, `serve_forever`,
    `shutdown`.

    `handle(socket, stop)` runs in a thread of its own for each connection; `stop` becomes readable on shutdown.
    Without `handle` the port is bound, but nothing listens: connections are refused.

    Raises: PortInUse.
    """

    def __init__(self, host: str, port: int, handle: Callable[[socket.socket, socket.socket], None] | None) -> None:
        self._handle = handle
        self._threads: dict[threading.Thread, socket.socket] = {}
        self._socket = _bind(host, port, exclusive=handle is None)
        if handle is not None:
            self._socket.listen(128)
        self.port: int = self._socket.getsockname()[1]
        self._stop, self._stopping = socket.socketpair()
        self._ended = threading.Event()

    def serve_forever(self) -> None:
        """Accept until `shutdown`."""
        try:
            with selectors.DefaultSelector() as selector:
                if self._handle is not None:
                    selector.register(self._socket, selectors.EVENT_READ)
                selector.register(self._stop, selectors.EVENT_READ)
                while self._stop not in {key.fileobj for key, _ in selector.select()}:
                    with contextlib.suppress(OSError):  # the client has left already
                        self._start_thread(self._socket.accept()[0])
        finally:
            self._ended.set()

    def shutdown(self) -> None:
        """Stop accepting and end every connection; returns when all threads have ended."""
        self._stopping.close()  # wakes every wait on `_stop`, now and later
        self._ended.wait()  # the accepting thread adds no more threads, and waits on no socket
        for thread, connection in self._threads.items():
            thread.join(_STOP_LIMIT_S)
            if thread.is_alive():  # it writes to a client that does not read
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join()
        self._socket.close()
        self._stop.close()

    def _start_thread(self, connection: socket.socket) -> None:
        self._threads = {thread: other for thread, other in self._threads.items() if thread.is_alive()}
        thread = threading.Thread(target=self._handle, args=(connection, self._stop), daemon=True)
        self._threads[thread] = connection
        thread.start()


@functools.cache
def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _bind(host: str, port: int, *, exclusive: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # On Windows SO_REUSEADDR would let two servers share the port, each answering some of the requests.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif not exclusive:  # with it, another program could listen on a port that is only bound
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise PortInUse(_explain(error, host, port)) from None
    except OverflowError:
        sock.close()
        raise PortInUse(f"there is no port {port}; give one from 0 (any free one) to 65535") from None
    return sock


def _explain(error: OSError, host: str, port: int) -> str:
    taken = {errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE), 10013}
    if error.errno in taken:
        hint = " (is Ollama running?)" if port == 11434 else ""
        return f"{host}:{port} is in use by another program{hint}; stop it, or give another --port"
    if error.errno == errno.EACCES:
        return f"{host}:{port} needs more rights than you have; give a --port above 1023"
    return f"cannot listen on {host}:{port}: {error.strerror or error}; give an address of this machine"
