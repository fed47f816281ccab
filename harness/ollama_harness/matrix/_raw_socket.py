"""Plain sockets, without any HTTP library. They see exactly what is on the wire."""

from __future__ import annotations

import functools
import json
import math
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

from ollama_harness.server.transport import abort

#: Long enough for any machine. Waiting so long means failure.
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
    """The bytes, how the connection ended ("open": it has not), and the arrivals: (`time.monotonic`, bytes so far).

    The last arrival is the end itself.
    """

    data: bytes
    end: Literal["fin", "rst", "open"]
    arrivals: tuple[tuple[float, int], ...]


def connect(port: int, patience_s: float = PATIENCE_S) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), patience_s)


def request(method: str, path: str, body: Any = None, *headers: str) -> bytes:
    """The bytes of a request. `body` is a JSON value, or bytes that are sent as they are."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


def read(sock: socket.socket, size: float = math.inf) -> SocketView:
    """Read at most so many bytes, until the server ends the connection."""
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
    """Read exactly so many bytes, or fewer if the connection ends."""
    return read(sock, size).data


def leave_and_read(sock: socket.socket) -> SocketView:
    """Close our side, then read to the end. This shows whether more bytes were on their way."""
    sock.shutdown(socket.SHUT_WR)
    return read_to_end(sock)


#: The reason why an RST cannot be tried, if `resets_are_real` is false.
NO_RESETS = "this system sends a FIN instead of an RST"


@functools.cache
def resets_are_real() -> bool:
    """Whether closing a socket with SO_LINGER 0 sends an RST on this system. Wine sends a FIN."""
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(listener.getsockname()[1]) as client:
        server, _ = listener.accept()
        abort(server)
        return read_to_end(client).end == "rst"
