"""HTTP/1.1 messages, read strictly (RFC 9112), without a socket.

Every function gets all bytes that have arrived so far and returns what they are: a head, or None while it is not whole;
a body with as much of its data as is there, whether it is whole, and how many bytes were used. A caller with a socket
reads more and calls again, so there is no state between calls. A head whose framing is not valid raises ProtocolError.
A body whose framing breaks does not: the data before the defect was valid, and a client may have yielded it. So `Body`
has the `error` beside the data.

No parser of a client is used here: httpx is built on h11, so h11 cannot judge what httpx should have seen. The tests
compare this module with h11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ollama_harness.errors import ProtocolError
from ollama_harness.recordings.recording import Headers

__all__ = ["Body", "RequestHead", "ResponseHead", "members", "read_body", "read_request_head", "read_response_head"]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ([\t \x21-\x7e\x80-\xff]*)")
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([\x21-\x7e\x80-\xff]+) (HTTP/1\.[01])".encode())
_FIELD_LINE = re.compile(rf"({_TOKEN}):[ \t]*([\t \x21-\x7e\x80-\xff]*)".encode())
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[\t \x21-\x7e\x80-\xff]*)?")
_NO_BODY = (204, 304)

#: A longer line of a chunked body (size and extensions, or a trailer field) is an attack.
_MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request line and headers; `size` is their length on the wire in bytes, with the empty line."""

    method: str
    target: str
    version: str
    headers: Headers
    size: int

    @property
    def wants_close(self) -> bool:
        """Whether the client will not use the connection again (RFC 9112 section 9.3)."""
        options = {option.lower() for option in members(self.headers, "connection")}
        return "close" in options or (self.version == "HTTP/1.0" and "keep-alive" not in options)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A status line and headers; `size` is their length on the wire in bytes, with the empty line."""

    status: int
    reason: str
    headers: Headers
    size: int

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case, or ""."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """The first value of a header, or ""; `name` is in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Body:
    """As much of a body as has arrived: its `data`, without the transfer coding.

    `whole`: the message has ended by its own framing. A body that ends with the connection (`until_close`) is never
    whole. `absent`: this answer has no body (to HEAD; 204, 304). `size` is how many bytes of the wire were used, and
    `needs` how many more are needed at least. `error` says how the framing is broken; `data` is what came before that.
    """

    data: bytes
    whole: bool
    size: int
    until_close: bool = False
    absent: bool = False
    needs: int = 1
    error: str | None = None


def read_request_head(data: bytes) -> RequestHead | None:
    """The head of a request, or None while it is not whole.

    Raises: ProtocolError.
    """
    split = _split_head(data)
    if split is None:
        return None
    first, fields, size = split
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise ProtocolError(f"not a request line: {first[:80]!r}", "RFC 9112 section 3")
    method, target, version = (group.decode("latin-1") for group in match.groups())
    return RequestHead(method, target, version, _headers(fields), size)


def read_response_head(data: bytes) -> ResponseHead | None:
    """The head of a response, or None while it is not whole.

    Raises: ProtocolError.
    """
    split = _split_head(data)
    if split is None:
        return None
    first, fields, size = split
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise ProtocolError(f"not a status line: {first[:80]!r}", "RFC 9112 section 4")
    return ResponseHead(int(match[1]), match[2].decode("latin-1"), _headers(fields), size)


def read_body(data: bytes, head: RequestHead | ResponseHead, *, method: str) -> Body:
    """The body at the start of `data`, framed as RFC 9112 section 6.3 says for this head and the request's `method`.

    Raises: ProtocolError, if the head has no valid framing.
    """
    is_response = isinstance(head, ResponseHead)
    if isinstance(head, ResponseHead) and (method == "HEAD" or head.status < 200 or head.status in _NO_BODY):
        return Body(b"", whole=True, size=0, absent=True)
    codings = [coding for coding in members(head.headers, "transfer-encoding") if coding]
    if codings:
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise ProtocolError(f"unknown transfer coding {', '.join(codings)}", "RFC 9112 section 6.1")
        return _read_chunked(data)
    lengths = set(members(head.headers, "content-length"))
    if len(lengths) > 1 or any(not re.fullmatch("[0-9]{1,18}", length) for length in lengths):
        raise ProtocolError(f"no valid Content-Length: {', '.join(sorted(lengths))}", "RFC 9112 section 6.3")
    if lengths:
        length = int(lengths.pop())
        needs = max(0, length - len(data))
        return Body(data[:length], whole=not needs, size=min(length, len(data)), needs=needs)
    if is_response:
        return Body(data, whole=False, size=len(data), until_close=True)
    return Body(b"", whole=True, size=0)


def members(headers: Headers, name: str) -> list[str]:
    """All members of a list header, from all its lines, empty members included; `name` is in lower case."""
    return [part.strip() for key, value in headers if key.lower() == name for part in value.split(",")]


def _read_chunked(data: bytes) -> Body:
    """RFC 9112 section 7.1: chunks, the last chunk, and the trailer section, which is checked and dropped."""
    pieces: list[bytes] = []
    at = 0

    def partial(error: str | None = None) -> Body:
        return Body(b"".join(pieces), whole=False, size=at, error=error)

    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            rest = data[at:]
            if len(rest) > _MAX_LINE_BYTES or b"\n" in rest or (rest and not re.match(rb"[0-9A-Fa-f]", rest)):
                return partial(f"not a chunk size: {rest[:20]!r}")
            return partial()
        match = _CHUNK_SIZE.fullmatch(data, at, line_end)
        if match is None:
            return partial(f"not a chunk size: {data[at:line_end][:20]!r}")
        size = int(match[1], 16)
        start = line_end + 2
        if size == 0:
            break
        end = start + size
        pieces.append(data[start:end])
        at = min(end, len(data))
        after = data[end : end + 2]
        if not b"\r\n".startswith(after):
            return partial(f"chunk data not followed by CRLF but by {after!r}")
        if len(after) < 2:
            return partial()
        at = end + 2
    while True:  # the trailer section
        line_end = data.find(b"\r\n", start)
        if line_end < 0:
            return partial()
        if line_end == start:
            return Body(b"".join(pieces), whole=True, size=start + 2)
        if not _FIELD_LINE.fullmatch(data, start, line_end):
            return partial(f"not a trailer field: {data[start:line_end][:20]!r}")
        start = line_end + 2


def _split_head(data: bytes) -> tuple[bytes, list[bytes], int] | None:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *fields = data[:end].split(b"\r\n")
    return first, fields, end + 4


def _headers(lines: list[bytes]) -> Headers:
    headers = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(f"not a header field: {line[:80]!r}", "RFC 9112 section 5")
        headers.append((match[1].decode("latin-1"), match[2].rstrip(b" \t").decode("latin-1")))
    return tuple(headers)
