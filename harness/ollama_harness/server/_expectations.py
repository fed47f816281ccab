"""The bridge to pytest-httpserver's expectations: a request as WSGI, and a werkzeug response as segments."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.message_parts import Chunk, Head, LastChunk
from ollama_harness.script.script import RenderedSegment

__all__ = ["Expectations", "NoExpectation", "segments"]


class NoExpectation(Response):
    """Stands for "no expectation matches": what `respond_nohandler` of the server returns then."""


class Expectations:
    """The expectations of a server, which are not made for threads: so one request at a time asks for them."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._server.ordered_handlers or self._server.oneshot_handlers or self._server.handlers)

    def note_error(self, error: Exception) -> None:
        """Have the server's `check` raise this; the same again changes nothing, so that a long run keeps few."""
        if all(repr(error) != repr(one) for one in self._server.handler_errors):
            self._server.handler_errors.append(error)

    def answer(self, head: RequestHead, body: bytes) -> Response | None:
        """What they answer to a request; None if none of them matches."""
        if not self:
            return None
        server = self._server
        request = Request(_environ(head, body, host=server.host, port=server.port))
        request.get_data()
        with self._lock:  # pytest-httpserver changes its lists of handlers without a lock
            try:
                response = server.dispatch(request)
            except Exception as error:  # noqa: BLE001 - whatever a user's handler raises; check() raises it again
                if error not in (*server.handler_errors, *server.assertions):
                    server.handler_errors.append(error)
                response = Response(f"{type(error).__name__} in a handler: {error}", 500)
            if isinstance(response, NoExpectation):
                return None
            server.log.append((request, response))
        return response


def _environ(head: RequestHead, body: bytes, *, host: str, port: int) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of a request that was read from the wire."""
    path, _, query = head.target.partition("?")
    values: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "REQUEST_URI": head.target,
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": head.version,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in head.headers:
        key = name.upper().replace("-", "_")
        match key:
            case "CONTENT_TYPE":
                values[key] = value
            case "CONTENT_LENGTH" | "TRANSFER_ENCODING":
                pass
            case _:
                values[f"HTTP_{key}"] = f"{values[f'HTTP_{key}']}, {value}" if f"HTTP_{key}" in values else value
    return values


def segments(response: Response, *, method: str, date: str) -> Iterator[RenderedSegment]:
    """A werkzeug response as segments without times; a streamed response is a chunk for each item of its iterator."""
    streamed = response.is_streamed
    body = b"" if streamed else response.get_data()
    framing = ("Transfer-Encoding", "chunked") if streamed else ("Content-Length", str(len(body)))
    headers = tuple((k, v) for k, v in response.headers.items() if k.lower() not in ("content-length", "date"))
    reason = response.status.partition(" ")[2]
    head = Head(response.status_code, reason, (*headers, ("Date", date), framing))
    yield RenderedSegment(0.0, head.wire(date) + (b"" if method == "HEAD" else body))
    if streamed and method != "HEAD":
        for piece in response.iter_encoded():
            if piece:
                yield RenderedSegment(0.0, Chunk(piece).wire(date))
        yield RenderedSegment(0.0, LastChunk().wire(date))
