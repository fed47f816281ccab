"""A raw probe: plain sockets, no HTTP library. What it sees is what is on the wire."""

from __future__ import annotations

import functools
import json
import math
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

from ollama_harness.server.connection import abort

#: Long enough for any machine; who needs it all has failed.
PATIENCE_S = 20.0

__all__ = [
    "NO_RESETS",
    "PATIENCE_S",
    "SocketView",
    "connect",
    "leave_and_read",
    "read",
    "read_exactly",
    "read_to_end",
    "request",
    "resets_are_real",
]


@dataclass(frozen=True, slots=True)
class SocketView:
    """Bytes, how the connection ended ("open": it has not), and how many of them had come when, by `time.monotonic`.

    The last arrival is that of the end itself.
    """

    data: bytes
    end: Literal["fin", "rst", "open"]
    arrivals: tuple[tuple[float, int], ...]


def connect(port: int, patience_s: float = PATIENCE_S) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), patience_s)


def request(method: str, path: str, body: Any = None, *headers: str) -> bytes:
    """A request's bytes; `body` is JSON, or bytes as they are."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


def read(sock: socket.socket, size: float = math.inf) -> SocketView:
    """Read so many bytes and no more, or until the server ends the connection."""
    received, arrivals = bytearray(), list[tuple[float, int]]()
    end: Literal["fin", "rst", "open"] = "open"
    while end == "open" and len(received) < size:
        try:
            data = sock.recv(int(min(65536, size - len(received))))
            end = "open" if data else "fin"
        except ConnectionError:
            data, end = b"", "rst"
        received += data
        arrivals.append((time.monotonic(), len(received)))
    return SocketView(bytes(received), end, tuple(arrivals))


def read_to_end(sock: socket.socket) -> SocketView:
    """Read until the server ends the connection."""
    return read(sock)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes and no more; fewer if the connection ends."""
    return read(sock, size).data


def leave_and_read(sock: socket.socket) -> SocketView:
    """Close our side, then read what may still come: the handshake that shows that nothing more was on its way."""
    sock.shutdown(socket.SHUT_WR)
    return read_to_end(sock)


#: Why an RST cannot be tried where `resets_are_real` is false.
NO_RESETS = "this system makes a FIN of an RST"


@functools.cache
def resets_are_real() -> bool:
    """Whether a socket that is closed with SO_LINGER 0 sends an RST here. Wine sends a FIN."""
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(listener.getsockname()[1]) as client:
        server, _ = listener.accept()
        abort(server)
        return read_to_end(client).end == "rst"
