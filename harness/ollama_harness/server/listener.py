"""The listening socket: accepts connections, and has an engine run a coroutine for each.

A port without `listen` refuses connections, and the bind keeps other programs from using it.
"""

from __future__ import annotations

import errno
import functools
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ollama_harness.errors import PortInUse
from ollama_harness.server.engine import Engine, running

__all__ = ["Listener", "has_ipv6"]

#: How many connections may wait to be accepted; the system may allow fewer.
_BACKLOG = max(socket.SOMAXCONN, 4096)

#: How many connections are accepted before others have their turn.
_AT_ONCE = 64

#: What `accept` raises when the system has no room for another connection, and how long it is then left alone.
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_S = 0.05


class Listener:
    """Listens as soon as it is made, and serves each connection with `serve(socket)`, which has to close the socket.

    A connection has `sockets_each` sockets, its own among them. Without `serve` the port is bound, but nothing listens:
    connections are refused.

    Raises: PortInUse.
    """

    def __init__(
        self,
        host: str,
        port: int,
        serve: Callable[[socket.socket], Coroutine[Any, Any, None]] | None,
        *,
        sockets_each: int = 1,
    ) -> None:
        self._socket = _bind(host, port, exclusive=serve is None)
        self.port: int = self._socket.getsockname()[1]
        self._engine = Engine(sockets_each=sockets_each)
        if serve is not None:
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
            self._engine.spawn(functools.partial(self._accept, serve))

    def shutdown(self) -> None:
        """Stop accepting and end every connection; returns when all have ended."""
        self._engine.stop()
        self._socket.close()

    async def _accept(self, serve: Callable[[socket.socket], Coroutine[Any, Any, None]]) -> None:
        """Accept connections until the server stops."""
        loop = running()
        watch = loop.watch(self._socket)
        try:
            while True:
                await loop.wait(watch.readable)
                for _ in range(_AT_ONCE):
                    try:
                        sock, _ = self._socket.accept()
                    except BlockingIOError:
                        break
                    except OSError as error:  # the client has left already, or there is no room
                        if error.errno in _FULL:
                            await loop.wait(until=time.monotonic() + _PAUSE_S)
                        break
                    self._engine.spawn(functools.partial(serve, sock))
        finally:
            watch.forget()


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
