"""Counts the writes in which a client's process sends a request.

Writes are counted where the request is sent, and not where it arrives. TCP carries bytes and not writes: what a
server's `recv` returns depends on when it is called. If the reader is a little late, a head and a body that were
written separately arrive together. Writes depend only on the library, so they are the same each time. All libraries
here switch off Nagle's algorithm, so each write leaves as its own segment.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["watch", "written"]

#: Each write to a connected socket since the list was last cleared: (port of the peer, bytes).
written: list[tuple[int, int]] = []


def watch() -> None:
    """Note all writes of this process to sockets from now on."""
    for name in ("send", "sendall", "sendmsg"):
        if hasattr(socket.socket, name):  # Windows has no sendmsg
            setattr(socket.socket, name, _noting(getattr(socket.socket, name)))
    if sys.platform == "win32":
        from asyncio.windows_events import IocpProactor

        really = IocpProactor.send  # it calls WSASend, and not a method of the socket

        def send(self: Any, conn: socket.socket, buf: Any, flags: int = 0) -> Any:
            _note(conn, memoryview(buf).nbytes)
            return really(self, conn, buf, flags)

        setattr(IocpProactor, "send", send)  # noqa: B010 - its type differs


def _noting(really: Callable[..., Any]) -> Callable[..., Any]:
    def write(sock: socket.socket, data: Any, *arguments: Any) -> Any:
        sent = really(sock, data, *arguments)
        _note(sock, memoryview(data).nbytes if sent is None else sent)  # sendall returns None and sends all
        return sent

    return write


def _note(sock: socket.socket, size: int) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        try:
            written.append((sock.getpeername()[1], size))
        except OSError:  # the connection is gone, and so is what was written to it
            return
