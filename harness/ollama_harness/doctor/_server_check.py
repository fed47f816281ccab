"""What answers at an address: one GET /api/version by a plain socket, or only a connection without a request."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from ollama_harness.errors import ProtocolError
from ollama_harness.files.json_text import parse_json
from ollama_harness.network.route import place_of
from ollama_harness.recordings.versions import is_version
from ollama_harness.script.http1 import read_body, read_response_head

__all__ = ["ServerAnswer", "ServerKind", "addresses", "ask", "ask_through", "connect"]

#: How long to wait for a connection, and for each part of the answer.
PATIENCE_S = 3.0

#: The longest time for the whole answer.
_WHOLE_S = 10.0

_MAX_BYTES = 256 * 1024


class ServerKind(StrEnum):
    """The kind of answer."""

    OLLAMA = "ollama"  # a version of Ollama
    OTHER = "other"  # HTTP, but not Ollama
    NO_HTTP = "no-http"  # bytes that are not HTTP, or a connection that was closed without any
    SILENT = "silent"  # connected, and nothing arrived
    OPEN = "open"  # connected, and nothing was sent
    REFUSED = "refused"  # nothing listens
    UNREACHABLE = "unreachable"  # no route to it, or no such name


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnswer:
    """The answer of an address. `says` is Ollama's version, the status line, or the system's error."""

    address: str
    port: int
    kind: ServerKind
    says: str = ""
    status: int | None = None

    @property
    def place(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def accepts(self) -> bool:
        """Whether a program listens there. If none does, a client tries the host's next address."""
        return self.kind not in (ServerKind.REFUSED, ServerKind.UNREACHABLE)


def addresses(url: str) -> tuple[str, ...]:
    """The addresses of a URL's host in the order in which clients try them. Empty if it has none."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, place_of(url)[1], type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # UnicodeError for a label that is too long
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def ask(url: str, address: str) -> ServerAnswer:
    """Request Ollama's version from one address of a URL's host."""
    parts = urlsplit(url)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    target = parts.path.rstrip("/") + "/api/version"
    return _ask(address, place_of(url)[1], target=target, host=parts.netloc, context=context, name=parts.hostname or "")


def ask_through(proxy: str, url: str) -> ServerAnswer:
    """Request the same through an http proxy, in absolute form."""
    parts = urlsplit(url)
    target = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/api/version"
    try:
        address, port = place_of(proxy)
    except ValueError as error:
        return _no_address(proxy, error)
    return _ask(address, port, target=target, host=parts.netloc)


def connect(proxy: str) -> ServerAnswer:
    """Check whether a program listens at a proxy's address. Nothing is sent."""
    try:
        address, port = place_of(proxy)
    except ValueError as error:
        return _no_address(proxy, error)
    try:
        socket.create_connection((address, port), PATIENCE_S).close()
    except (OSError, UnicodeError) as error:
        return _unreached(address, port, error)
    return ServerAnswer(address=address, port=port, kind=ServerKind.OPEN)


def _ask(
    address: str, port: int, *, target: str, host: str, context: ssl.SSLContext | None = None, name: str = ""
) -> ServerAnswer:
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    try:
        sock = socket.create_connection((address, port), PATIENCE_S)
    except (OSError, UnicodeError) as error:
        return _unreached(address, port, error)
    data = b""
    with sock:
        try:
            stream = sock if context is None else context.wrap_socket(sock, server_hostname=name)
            stream.sendall(request.encode())
            give_up_s = time.monotonic() + _WHOLE_S
            while len(data) < _MAX_BYTES and time.monotonic() < give_up_s and (piece := stream.recv(65536)):
                data += piece
        except TimeoutError:
            if not data:
                return ServerAnswer(
                    address=address, port=port, kind=ServerKind.SILENT, says=f"nothing in {PATIENCE_S:g} s"
                )
        except OSError as error:
            if not data:
                return ServerAnswer(address=address, port=port, kind=ServerKind.NO_HTTP, says=str(error))
    return _understood(data, address, port)


def _understood(data: bytes, address: str, port: int) -> ServerAnswer:
    try:
        head = read_response_head(data)
        if head is None:
            says = "closed without an answer" if not data else f"not HTTP: {data[:20]!r}"
            return ServerAnswer(address=address, port=port, kind=ServerKind.NO_HTTP, says=says)
        body = read_body(data[head.size :], head, method="GET").data
    except ProtocolError as error:
        return ServerAnswer(address=address, port=port, kind=ServerKind.NO_HTTP, says=str(error))
    try:
        version = parse_json(body)["version"]
        if not (isinstance(version, str) and is_version(version)):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        server = head.header("server")
        says = f"{head.status} {head.reason}".strip() + (f", by {server}" if server else "")
        return ServerAnswer(address=address, port=port, kind=ServerKind.OTHER, says=says, status=head.status)
    return ServerAnswer(address=address, port=port, kind=ServerKind.OLLAMA, says=version, status=head.status)


def _no_address(proxy: str, error: ValueError) -> ServerAnswer:
    return ServerAnswer(
        address=proxy.rpartition("@")[2], port=0, kind=ServerKind.UNREACHABLE, says=f"not an address: {error}"
    )


def _unreached(address: str, port: int, error: OSError | UnicodeError) -> ServerAnswer:
    if isinstance(error, ConnectionRefusedError):
        return ServerAnswer(address=address, port=port, kind=ServerKind.REFUSED, says="nothing listens")
    if isinstance(error, TimeoutError):
        return ServerAnswer(
            address=address, port=port, kind=ServerKind.UNREACHABLE, says=f"no connection in {PATIENCE_S:g} s"
        )
    says = getattr(error, "strerror", None) or str(error)
    return ServerAnswer(address=address, port=port, kind=ServerKind.UNREACHABLE, says=says)
