"""One response as bytes: from its status line on, as `curl -i` prints it, or as it went over the wire.

What `curl -i` prints is the heads as they came (also 100 Continue, that of a proxy's tunnel, those of redirects), and
the body without the transfer coding. Raw bytes have the coding, and may begin with the request. Which of the two a body
is shows at its first line: a chunk begins with its size.

Source: RFC 9112; `man curl` (-i, --compressed). Lines may end with LF alone, because captures go through terminals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ollama_harness.errors import RecordingError
from ollama_harness.files.fields import is_head_text
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import OTHER_SUFFIX, SUFFIXES, Headers, Request, Response, reason_of

__all__ = ["CapturedExchange", "fitting", "is_http", "read_http", "request_of"]

_STATUS_LINE = re.compile(rb"HTTP/([0-9](?:\.[0-9])?) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?\r?\n")
_REQUEST_LINE = re.compile(rb"([A-Z]+) (?:https?://[^/ ]+)?(/[!-~]*) HTTP/[0-9](?:\.[0-9])?\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*")
_HEAD_END = re.compile(rb"(?<=\n)\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")
_TRAILERS = re.compile(rb"(?:[^\r\n]+\r\n)*\r\n")

_AGAIN = "capture the whole answer again"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedExchange:
    """A response, and the request if it was captured, too. `chunks` is None where the body has no chunks (any more)."""

    request: Request | None
    response: Response
    body: bytes
    chunks: tuple[bytes, ...] | None

    @property
    def suffix(self) -> str:
        """The suffix that the body's file has."""
        return SUFFIXES.get(self.response.media_type, OTHER_SUFFIX)


def is_http(data: bytes) -> bool:
    """Whether bytes begin as a response does, or a request."""
    return data.startswith(b"HTTP/") or _REQUEST_LINE.match(data) is not None


def read_http(data: bytes, path: Path, method: str = "") -> CapturedExchange:
    """The exchange in a file. `method` is that of the request, if it is known.

    Raises: RecordingError.
    """
    request, at = None, 0
    if asked := _REQUEST_LINE.match(data):
        headers, at = _headers(data, asked.end(), path)
        sent = b""
        if {name.lower() for name, _ in headers} & {"content-length", "transfer-encoding"}:
            sent, _, at = _framed(data, at, headers, path)
        method, target = asked[1].decode(), asked[2].decode("latin-1").partition("?")[0]
        request = request_of(method, target, sent)
    while True:
        status = _STATUS_LINE.match(data, at)
        if status is None:
            raise RecordingError(path, _line(data, at), f"is no status line: {data[at : at + 30]!r}", _AGAIN)
        headers, at = _headers(data, status.end(), path)
        if int(status[2]) >= 200 and not _STATUS_LINE.match(data, at):
            break
    number = int(status[2])
    bodiless = method == "HEAD" or number in (204, 304)
    body, chunks, end = (b"", None, at) if bodiless else _framed(data, at, headers, path)
    if end < len(data):
        problem = f"{len(data) - end} bytes follow the answer"
        raise RecordingError(path, _line(data, end), problem, "give each answer a file of its own")
    reason = (status[3] or b"").decode("latin-1")
    if status[1].startswith(b"1"):
        headers = fitting(headers, len(body), adds=False) if not bodiless else headers
    else:  # HTTP/2 and 3 have no reason, and a framing of their own
        reason, headers = reason_of(number), headers if bodiless else fitting(headers, len(body))
    response = Response(status=number, reason=reason, headers=headers, head_at_s=0.0)
    return CapturedExchange(request=request, response=response, body=body, chunks=chunks)


def request_of(method: str, path: str, body: bytes) -> Request:
    """The request with this body, which may be no JSON."""
    try:
        value = parse_json(body) if body else None
    except ValueError:
        value = None
    text = body.decode("utf-8", "replace") if body and value is None else None
    return Request(method=method, path=path, json=value, body=text)


def fitting(headers: Headers, size_bytes: int, *, adds: bool = True) -> Headers:
    """The headers for a body that was decoded: without its Content-Encoding, and with its length.

    With `adds` a body without any framing gets that of HTTP/1.1: chunks.
    """
    kept = [pair for pair in headers if pair[0].lower() != "content-encoding"]
    names = {name.lower() for name, _ in kept}
    if adds and size_bytes and not names & {"content-length", "transfer-encoding"}:
        kept.append(("Transfer-Encoding", "chunked"))
    return tuple((name, str(size_bytes) if name.lower() == "content-length" else value) for name, value in kept)


def _headers(data: bytes, at: int, path: Path) -> tuple[Headers, int]:
    """The headers from an offset on, and the offset behind the empty line after them."""
    end = _HEAD_END.search(data, at)
    if end is None:
        raise RecordingError(path, "", "its head has no end, because no empty line follows", _AGAIN)
    headers = []
    while at < end.start():
        line_end = data.index(b"\n", at) + 1
        line = data[at:line_end].rstrip(b"\r\n")
        match = _HEADER.fullmatch(line)
        value = "" if match is None else match[2].decode("latin-1")
        if match is None or not is_head_text(value):
            raise RecordingError(path, _line(data, at), f"is no header: {line[:60]!r}", _AGAIN)
        headers.append((match[1].decode(), value))
        at = line_end
    return tuple(headers), end.end()


def _framed(data: bytes, at: int, headers: Headers, path: Path) -> tuple[bytes, tuple[bytes, ...] | None, int]:
    """The body from an offset on, its chunks if it has any, and the offset behind it."""
    fields = {name.lower(): value for name, value in headers}
    if fields.get("transfer-encoding", "").lower() == "chunked" and _CHUNK_SIZE.match(data, at):
        chunks, end = _chunks(data, at, path)
        return b"".join(chunks), chunks, end
    rest, encoding = data[at:], fields.get("content-encoding", "identity")
    if encoding != "identity":
        try:
            rest.decode("utf-8")
        except UnicodeDecodeError:
            fix = "capture it without Accept-Encoding, or with curl --compressed"
            raise RecordingError(path, "", f"the body is compressed ({encoding})", fix) from None
        return rest, None, len(data)  # the length was that of the compressed body
    length = fields.get("content-length")
    if length is None or not re.fullmatch("[0-9]{1,18}", length):
        return rest, None, len(data)
    if len(rest) < int(length):
        problem = f"the body has {len(rest)} of the {length} bytes that Content-Length says"
        raise RecordingError(path, "", problem, f"{_AGAIN}, or give --method HEAD")
    return rest[: int(length)], None, at + int(length)


def _chunks(data: bytes, at: int, path: Path) -> tuple[tuple[bytes, ...], int]:
    """The data of each chunk from an offset on, and the offset behind the last one. Source: RFC 9112 section 7.1."""
    chunks: list[bytes] = []
    while True:
        place = f"chunk {len(chunks) + 1}"
        if (line := _CHUNK_SIZE.match(data, at)) is None:
            problem = "is missing: the answer ends before its last chunk" if at == len(data) else "has no size"
            raise RecordingError(path, place, problem, _AGAIN)
        size, start = int(line[1], 16), line.end()
        if size == 0:
            if (trailers := _TRAILERS.match(data, start)) is None:
                raise RecordingError(path, place, "is the last one, and no empty line follows", _AGAIN)
            return tuple(chunks), trailers.end()
        at = start + size + 2
        if data[start + size : at] != b"\r\n":
            there = len(data[start : start + size])
            problem = f"has {there} of its {size} bytes" if there < size else f"is longer than its {size} bytes"
            raise RecordingError(path, place, problem, _AGAIN)
        chunks.append(data[start : start + size])


def _line(data: bytes, at: int) -> str:
    number = data.count(b"\n", 0, at) + 1
    return f"line {number}"
