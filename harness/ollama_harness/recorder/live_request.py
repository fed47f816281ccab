"""One exchange on its own connection, through a plain socket: no proxy, no redirect, no retry.

Everything happens in one loop of `recv`, in the calling thread. The socket's timeout is the longest silence that is
allowed, so a model that loads slowly is no problem as long as the timeout is longer. Each call of `recv` returns the
bytes that have arrived together, and its time is taken at once. `ResponseReader` cuts them into head, body and frames,
and passes those to a sink: to the disk for a recording, to memory for all other requests. It also decides when the
answer is complete. If the connection ends before that, how it ended (FIN, RST, silence) is a fact to record, and not
an error. It is an error only if no head has arrived, or if the bytes are not HTTP.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from ollama_harness.errors import ProtocolError, RecorderError, ServerUnreachable
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.response_reader import ResponseReader, ResponseSink
from ollama_harness.recordings.recording import RecordedEnd, Request, Response

__all__ = ["LiveEnd", "LiveResponse", "ask", "converse", "exchange"]

#: A server that runs accepts much faster. The longer timeout is for its answer.
_CONNECT_S = 10.0

_RECEIVE_BYTES = 64 * 1024

#: An answer that is not recorded is held in memory. Ollama's answers are shorter than this.
_MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LiveEnd:
    """How an exchange ended, and when: seconds since the request was sent."""

    how: RecordedEnd
    at_s: float


@dataclass(frozen=True, slots=True)
class LiveResponse:
    """A complete answer."""

    status: int
    body: bytes


def exchange(address: Address, request: Request, sink: ResponseSink, *, timeout_s: float) -> LiveEnd:
    """Connect, and call `converse`.

    Raises: ServerUnreachable, RecorderError.
    """
    with _connect(address, timeout_s) as sock:
        return converse(sock, address.authority, request, sink, timeout_s=timeout_s)


def converse(sock: socket.socket, host: str, request: Request, sink: ResponseSink, *, timeout_s: float) -> LiveEnd:
    """Send a request and read its answer into the sink, until it is complete, the connection ends, or it is silent.

    Times count from the moment before the first byte is sent, so no time is earlier than it was for the server.
    Silence means that nothing has arrived for `timeout_s` seconds.

    Raises: RecorderError, if no head has arrived, or the answer is not HTTP.
    """
    reader = ResponseReader(sink)
    try:
        content = reader.request(request, host)
    except ProtocolError as error:
        raise RecorderError(f"{error}; fix the probe") from None
    sock.settimeout(timeout_s)
    start = time.perf_counter()
    try:
        sock.sendall(content)
    except TimeoutError:
        raise RecorderError(f"the server did not read the request within {timeout_s:g} s") from None
    except ConnectionError:
        pass  # the server may have answered before it had read everything
    while True:
        data, how = _receive(sock)
        at_s = round(time.perf_counter() - start, 6)
        if how in (None, RecordedEnd.EOF):
            try:
                reader.receive(data, at_s)
            except ProtocolError as error:
                raise RecorderError(f"the answer is not HTTP: {error}") from None
        if reader.whole:
            return LiveEnd(RecordedEnd.COMPLETE, at_s)
        if how is not None:
            reader.end()
            if not reader.has_head:
                raise RecorderError(f"there was no answer: {_NO_ANSWER[how].format(timeout_s=timeout_s)}")
            return LiveEnd(how, at_s)


def _receive(sock: socket.socket) -> tuple[bytes, RecordedEnd | None]:
    """The next bytes, or how the connection ended."""
    try:
        data = sock.recv(_RECEIVE_BYTES)
    except TimeoutError:
        return b"", RecordedEnd.TIMEOUT
    except OSError:  # on Windows, an RST can be one of several errors
        return b"", RecordedEnd.RESET
    return data, None if data else RecordedEnd.EOF


def ask(address: Address, request: Request, *, timeout_s: float) -> LiveResponse:
    """The answer to a request that is not recorded.

    Raises: ServerUnreachable; RecorderError, if it is not complete.
    """
    kept = _Kept()
    end = exchange(address, request, kept, timeout_s=timeout_s)
    if end.how is not RecordedEnd.COMPLETE:
        raise RecorderError(f"the answer was cut off ({end.how})")
    return LiveResponse(kept.status, bytes(kept.data))


_NO_ANSWER = {
    RecordedEnd.EOF: "the server closed the connection",
    RecordedEnd.RESET: "the server reset the connection",
    RecordedEnd.TIMEOUT: "nothing arrived for {timeout_s:g} s (allow more with --timeout)",
}


class _Kept:
    """A sink that keeps an answer in memory."""

    def __init__(self) -> None:
        self.status, self.data = 0, bytearray()

    def head(self, response: Response) -> None:
        self.status = response.status

    def body(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > _MAX_ANSWER_BYTES:
            raise RecorderError(f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")

    def frame(self, at_s: float, size: int) -> None:
        pass


def _connect(address: Address, timeout_s: float) -> socket.socket:
    try:
        return socket.create_connection((address.host, address.port), min(timeout_s, _CONNECT_S))
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot encode
        why = "it did not answer" if isinstance(error, TimeoutError) else _reason(error)
        fix = "start Ollama there, or give another --host"
        raise ServerUnreachable(f"{address.url} cannot be reached: {why}; {fix}") from None


def _reason(error: OSError | UnicodeError) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
