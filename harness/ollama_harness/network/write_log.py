"""In how many pieces a request leaves: what a client's process hands to the system, write by write.

This is counted where the request is written and not where it arrives. TCP carries bytes and not writes: what a
server's `recv` returns depends on when it is called, so that a head and a body that were written apart come together
whenever the reader is a little late. Writes are the library's own doing, and the same each time. All libraries here
switch Nagle's algorithm off, so each write leaves as a segment of its own.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["watch", "written"]

#: What each write to a connected socket took, since this was last cleared: (port of the peer, bytes).
written: list[tuple[int, int]] = []


def watch() -> None:
    """From now on note what this process writes to sockets."""
    for name in ("send", "sendall", "sendmsg"):
        if hasattr(socket.socket, name):  # Windows has no sendmsg
            setattr(socket.socket, name, _noting(getattr(socket.socket, name)))
    if sys.platform == "win32":
        from asyncio.windows_events import IocpProactor

        really = IocpProactor.send  # it calls WSASend, and no method of the socket

        def send(self: Any, conn: socket.socket, buf: Any, flags: int = 0) -> Any:
            _note(conn, memoryview(buf).nbytes)
            return really(self, conn, buf, flags)

        setattr(IocpProactor, "send", send)  # noqa: B010 - it has a type of its own


def _noting(really: Callable[..., Any]) -> Callable[..., Any]:
    def write(sock: socket.socket, data: Any, *arguments: Any) -> Any:
        taken = really(sock, data, *arguments)
        _note(sock, memoryview(data).nbytes if taken is None else taken)  # sendall says nothing and takes all
        return taken

    return write


def _note(sock: socket.socket, size: int) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        try:
            written.append((sock.getpeername()[1], size))
        except OSError:  # the peer is gone, and so is what was written to it
            return
