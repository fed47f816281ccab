"""Cuts the bytes of one answer into head, body and frames, with the times of their arrival. It uses h11, and no socket.

h11 normalises a head ("Chunked" becomes "chunked"), so the head is read a second time from its own bytes.
"""

from __future__ import annotations

from typing import Protocol

import h11

from ollama_harness.errors import ProtocolError
from ollama_harness.recordings.recording import Headers, Request, Response
from ollama_harness.script.http1 import read_response_head

__all__ = ["ResponseReader", "ResponseSink"]

#: The limit of Go's own client and server. h11's default is too small for the cookies of some proxies.
_MAX_HEAD_BYTES = 1024 * 1024

#: Methods that need a Content-Length even without a body (RFC 9110 section 8.6).
_HAVE_BODIES = ("POST", "PUT", "PATCH")


class ResponseSink(Protocol):
    """Receives an answer while it arrives: the head, then bytes of the body, and each frame once it is complete."""

    def head(self, response: Response) -> None: ...

    def body(self, data: bytes) -> None: ...

    def frame(self, at_s: float, size: int) -> None: ...


class ResponseReader:
    """Reads the answer to one request. `has_head` and `whole` show how much has arrived."""

    def __init__(self, sink: ResponseSink) -> None:
        self._sink = sink
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._method = ""
        self._head = b""
        self._chunked = False
        self._open_chunk_bytes, self._last_at_s = 0, 0.0
        self.has_head, self.whole = False, False

    def request(self, request: Request, host: str) -> bytes:
        """The bytes of a request. Headers that HTTP needs and that the probe does not have are added.

        Raises: ProtocolError, if the request would not be HTTP.
        """
        content = request.content
        given = {name.lower() for name, _ in request.headers}
        headers = list(request.headers)
        if "host" not in given:
            headers.insert(0, ("Host", host))
        if request.json is not None and "content-type" not in given:
            headers.append(("Content-Type", "application/json"))
        if not given & {"content-length", "transfer-encoding"} and (content or request.method in _HAVE_BODIES):
            headers.append(("Content-Length", str(len(content or b""))))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        events = [
            h11.Request(method=request.method, target=request.path, headers=encoded),
            *([h11.Data(data=content)] if content else []),
            h11.EndOfMessage(),
        ]
        try:
            return b"".join(self._connection.send(event) or b"" for event in events)
        except h11.LocalProtocolError as error:
            raise ProtocolError(f"the request is not HTTP: {error}", "RFC 9112 section 3") from None

    def receive(self, data: bytes, at_s: float) -> None:
        """Read bytes that arrived together, `at_s` seconds after the request was sent. No bytes mean the server's FIN.

        Raises: ProtocolError, if they are not HTTP.
        """
        if not self.has_head:
            self._head += data
        try:
            self._connection.receive_data(data)
            while not self.whole and self._handle(self._connection.next_event(), at_s):
                pass
        except h11.RemoteProtocolError as error:
            if data:  # else h11 reports that the connection ended too early, which the caller knows
                raise ProtocolError(str(error), "RFC 9112") from None

    def end(self) -> None:
        """Note that no more bytes will arrive. A part of a chunk is a frame as well."""
        if self._open_chunk_bytes:
            self._frame(self._last_at_s)

    def _handle(self, event: object, at_s: float) -> bool:
        """Handle one event of h11; returns whether there may be more events."""
        match event:
            case h11.InformationalResponse():
                self._head = self._connection.trailing_data[0]
            case h11.Response():
                self._handle_head(event, at_s)
            case h11.Data():
                data = bytes(event.data)
                self._sink.body(data)
                self._open_chunk_bytes += len(data)
                self._last_at_s = at_s
                if event.chunk_end or not self._chunked:
                    self._frame(at_s)
            case h11.EndOfMessage():
                self.whole = True
            case _:
                return False
        return True

    def _handle_head(self, event: h11.Response, at_s: float) -> None:
        size = len(self._head) - len(self._connection.trailing_data[0])
        headers = _headers(self._head[:size], event)
        self.has_head, self._head = True, b""
        self._chunked = any(name.lower() == "transfer-encoding" for name, _ in headers)
        reason = event.reason.decode("latin-1")
        self._sink.head(Response(status=event.status_code, reason=reason, headers=headers, head_at_s=at_s))

    def _frame(self, at_s: float) -> None:
        self._sink.frame(at_s, self._open_chunk_bytes)
        self._open_chunk_bytes = 0


def _headers(head: bytes, event: h11.Response) -> Headers:
    """The headers as they were sent. If only h11 can read them (folded lines, bare LF), they are as h11 gives them."""
    try:
        read = read_response_head(head)
    except ProtocolError:
        read = None
    if read is not None:
        return read.headers
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers.raw_items())
