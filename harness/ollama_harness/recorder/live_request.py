"""One exchange on a connection of its own, through a plain socket: no proxy, no redirect, no retry."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from ollama_harness.errors import ProtocolError, RecorderError, ServerUnreachable
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.response_reader import ResponseReader, ResponseSink
from ollama_harness.recordings.recording import RecordedEnd, Request, Response

__all__ = ["LiveEnd", "LiveResponse", "ask", "converse", "exchange"]

#: A server that is there accepts in much less; the patience that a model needs is for its answer.
_CONNECT_S = 10.0

_RECEIVE_BYTES = 64 * 1024

#: An answer that is held in memory, since it is not recorded: longer ones are no answers of Ollama's.
_MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LiveEnd:
    """How an exchange ended, and when: seconds since the request was sent."""

    how: RecordedEnd
    at_s: float


@dataclass(frozen=True, slots=True)
class LiveResponse:
    """An answer that was whole."""

    status: int
    body: bytes


def exchange(address: Address, request: Request, sink: ResponseSink, *, timeout_s: float) -> LiveEnd:
    """Connect, and see `converse`.

    Raises: ServerUnreachable, RecorderError.
    """
    with _connect(address, timeout_s) as sock:
        return converse(sock, address.authority, request, sink, timeout_s=timeout_s)


def converse(sock: socket.socket, host: str, request: Request, sink: ResponseSink, *, timeout_s: float) -> LiveEnd:
    """Send a request and read its answer into the sink until it is whole, or the connection ends, or goes silent.

    Times count from the moment before the first byte is sent: then none is earlier than the server's own clock has it.
    Silence is `timeout_s` seconds in which nothing came.

    Raises: RecorderError, if no head of HTTP came, or the answer is no HTTP.
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
        pass  # it may have answered before it had read all
    while True:
        data, how = _receive(sock)
        at_s = round(time.perf_counter() - start, 6)
        if how in (None, RecordedEnd.EOF):
            try:
                reader.receive(data, at_s)
            except ProtocolError as error:
                raise RecorderError(f"the answer is no HTTP: {error}") from None
        if reader.whole:
            return LiveEnd(RecordedEnd.COMPLETE, at_s)
        if how is not None:
            reader.end()
            if not reader.has_head:
                raise RecorderError(f"there was no answer: {_NO_ANSWER[how].format(timeout_s=timeout_s)}")
            return LiveEnd(how, at_s)


def _receive(sock: socket.socket) -> tuple[bytes, RecordedEnd | None]:
    """What has come next, or how the connection ended."""
    try:
        data = sock.recv(_RECEIVE_BYTES)
    except TimeoutError:
        return b"", RecordedEnd.TIMEOUT
    except OSError:  # on Windows there are several of them for an RST
        return b"", RecordedEnd.RESET
    return data, None if data else RecordedEnd.EOF


def ask(address: Address, request: Request, *, timeout_s: float) -> LiveResponse:
    """The answer to a request that is not recorded.

    Raises: ServerUnreachable; RecorderError, if it is not whole.
    """
    kept = _Kept()
    end = exchange(address, request, kept, timeout_s=timeout_s)
    if end.how is not RecordedEnd.COMPLETE:
        raise RecorderError(f"the answer broke off ({end.how})")
    return LiveResponse(kept.status, bytes(kept.data))


_NO_ANSWER = {
    RecordedEnd.EOF: "the server closed the connection",
    RecordedEnd.RESET: "the server reset the connection",
    RecordedEnd.TIMEOUT: "nothing came for {timeout_s:g} s (give more with --timeout)",
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
        mend = "start Ollama there, or give another --host"
        raise ServerUnreachable(f"{address.url} cannot be reached: {why}; {mend}") from None


def _reason(error: OSError | UnicodeError) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
