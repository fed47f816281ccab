"""FakeProxy: a forward proxy on 127.0.0.1 that notes each request and its form, and answers it or really forwards it.

The first bytes of a connection show the form: absolute form, CONNECT, SOCKS 4, 4a and 5, or a TLS hello.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server._connection import Connection
from ollama_harness.server._upstream import Target
from ollama_harness.server.journal import Journal
from ollama_harness.server.listener import Listener
from ollama_harness.server.proxy.forwarding import Forward
from ollama_harness.server.proxy.proxy_connection import ProxyConnection
from ollama_harness.server.transport import Transport

__all__ = ["FakeProxy"]


class FakeProxy:
    """A proxy on 127.0.0.1 with a journal; a context manager that starts and stops it.

    If `does` is a script, the proxy plays it to every HTTP request and refuses SOCKS. If `does` is a `Forward`, each
    request and tunnel goes to its target if that is on this machine (else the client gets 403), or all go to
    `upstream`, a host and a port. A TLS hello gets a fatal alert. Without `listens` the port is bound, but connections
    to it are refused, as if the proxy program were gone and its setting left behind. `port` 0 is any free port.

    In the journal's entries, `protocol` is the form of the request, and `target` the host:port that it asks for, or "".

    Raises: ValueError, if `upstream` is not on this machine.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        does: Script | Forward,
        upstream: tuple[str, int] | None = None,
        listens: bool = True,
    ) -> None:
        self.host, self.port = host, port
        self.journal = Journal()
        self._does = does
        self._upstream = None if upstream is None else Target(*upstream)
        if self._upstream is not None and not self._upstream.is_loopback:
            raise ValueError(f"upstream is {self._upstream}; give one on this machine, like 127.0.0.1")
        self._listens = listens and not (isinstance(does, Script) and does.ending.how is ConnectionEnd.REFUSE)
        self._listener: Listener | None = None

    @property
    def address(self) -> str:
        """host:port, as proxy settings have it; the port is known when the proxy has started."""
        return str(Target(self.host, self.port))

    @property
    def url(self) -> str:
        """http://host:port, without a slash at the end."""
        return f"http://{self.address}"

    def start(self) -> None:
        """Start listening.

        Raises: PortInUse; RuntimeError, if it is running already.
        """
        if self._listener is not None:
            raise RuntimeError("this proxy is running already")
        serve = self._serve if self._listens else None
        self._listener = Listener(self.host, self.port, serve, sockets_each=2)
        self.port = self._listener.port

    def stop(self) -> None:
        """End every connection and stop listening; returns when all have ended."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.shutdown()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, sock: socket.socket) -> None:
        connection = Connection(Transport(sock))
        await ProxyConnection(connection, journal=self.journal, does=self._does, upstream=self._upstream).serve()
