"""How Go's net/http reads a request: where it is more lenient than RFC 9112, and where it stops at once.

Go reads a request line by line and refuses it at the first line that it cannot read, whatever may follow. What it
refuses later (the version, Host, the names of the headers) it looks at once the head is whole. Lines may end with LF
alone, and a line that begins with a blank continues the one before. A body has no fault of its own: the handler that
reads it gets an error in place of what is missing.

Source: net/http, request.go (`readRequest`), server.go (`conn.readRequest`), transfer.go (`readTransfer`,
`body.readLocked`), internal/chunked.go; net/textproto, reader.go (`readMIMEHeader`); all of Go 1.26.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from ollama_harness.answers.go.go_url import parse_target
from ollama_harness.errors import ProtocolError
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import Body, RequestHead, read_request_head

__all__ = ["MAX_HEAD_BYTES", "Flaw", "GoHead", "read_go_body", "read_go_head"]

#: Go's DefaultMaxHeaderBytes and the slop that it adds.
MAX_HEAD_BYTES = 1 * 1024 * 1024 + 4096
#: Go's bufio.Reader: no line of a chunked body, and no trailer section, may be longer.
_BUFFER_BYTES = 4096

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LENIENT_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z ]+")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_HOST = re.compile(r"[^-A-Za-z0-9!$%&'()*+,.:;=\[\]_~]")
_LENGTH = re.compile("[0-9]+")
_MOST_BYTES = 2**63 - 1


class Flaw(Enum):
    """What Go's server finds wrong with a head; the value is the status, and the words after it."""

    MALFORMED = (400, "")
    NO_HOST = (400, "missing required Host header")
    BAD_HOST = (400, "malformed Host header")
    BAD_NAME = (400, "invalid header name")
    TOO_LARGE = (431, "")
    BAD_CODING = (501, "Unsupported transfer encoding")
    BAD_VERSION = (505, "unsupported protocol version")


@dataclass(frozen=True, slots=True)
class GoHead:
    """A head as Go reads it, with the first flaw that it finds; `head` is empty where it stopped before the end."""

    head: RequestHead
    flaw: Flaw | None = None


def read_go_head(data: bytes, *, ended: bool = False, after_post: bool = False) -> GoHead | None:
    """The head that begins at the start of `data`, or None while more of it is needed.

    `ended` is whether no more will come. Go passes over up to four line ends that an old client sent `after_post`.
    """
    if after_post and data[:1] in (b"\r", b"\n"):
        skipped = len(data) - len(data[:4].lstrip(b"\r\n") + data[4:])
        found = read_go_head(data[skipped:], ended=ended)
        return found and replace(found, head=replace(found.head, size=found.head.size + skipped))
    try:
        strict = read_request_head(data)  # whatever passes it Go reads in the same way; and it is fast
    except ProtocolError:
        strict = None
    if strict is not None and strict.method != "CONNECT" and strict.size <= MAX_HEAD_BYTES:
        return GoHead(strict, _flaw(strict)) if parse_target(strict.target) else _MALFORMED
    at = data.find(b"\n") + 1
    if not at:
        if ended and data:
            return _MALFORMED  # a line that the end of the connection ends is a line, but the head is not whole
        return _TOO_LARGE if len(data) > MAX_HEAD_BYTES else None
    parts = _line(data, 0, at).split(b" ", 2)
    version = _VERSION.fullmatch(parts[2]) if len(parts) == 3 else None
    if version is None or not _TOKEN.fullmatch(parts[0]):
        return _MALFORMED
    method, target = parts[0].decode("latin-1"), parts[1].decode("latin-1")
    connect = method == "CONNECT" and not target.startswith("/")
    if parse_target(f"http://{target}" if connect else target) is None:
        return _MALFORMED
    lines: list[bytes] = []
    while True:
        end = data.find(b"\n", at) + 1
        if not end:
            if len(data) > MAX_HEAD_BYTES:
                return _TOO_LARGE
            return _MALFORMED if ended else None
        line = _line(data, at, end)
        at = end
        if not line:
            break
        if line[:1] in b" \t":
            if not lines:
                return _MALFORMED
            lines[-1] += b" " + line.strip(b" \t")
            continue
        if b":" not in line or (lines and not _readable(lines[-1])):
            return _MALFORMED
        lines.append(line.strip(b" \t"))
    if at > MAX_HEAD_BYTES:
        return _TOO_LARGE
    if lines and not _readable(lines[-1]):
        return _MALFORMED
    head = RequestHead(method, target, parts[2].decode("ascii"), tuple(map(_field, lines)), at)
    return GoHead(head, _flaw(head))


def read_go_body(data: bytes, head: RequestHead, *, ended: bool = False) -> Body:
    """The body that begins at the start of `data`. Its `error` is the text of Go's error; no request can follow it."""
    if head.version != "HTTP/1.0" and any(name.lower() == "transfer-encoding" for name, _ in head.headers):
        return _read_chunked(data, ended=ended)
    length = int(next((value for name, value in head.headers if name.lower() == "content-length"), "0"))
    needs = max(0, length - len(data))
    error = "unexpected EOF" if needs and ended else None
    return Body(data[:length], whole=not needs, size=min(length, len(data)), needs=needs, error=error)


def _line(data: bytes, start: int, end: int) -> bytes:
    """A line without its end: LF, or CRLF."""
    return data[start : end - 2] if data[end - 2 : end] == b"\r\n" and end - 2 >= start else data[start : end - 1]


def _readable(line: bytes) -> bool:
    """Whether a header line has a name, which may have blanks in it here, and a value without control characters."""
    name, _, value = line.partition(b":")
    return bool(_LENIENT_NAME.fullmatch(name)) and not _BAD_VALUE.search(value)


def _field(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b":")
    return name.decode("latin-1"), value.lstrip(b" \t").decode("latin-1")


def _flaw(head: RequestHead) -> Flaw | None:
    """The first flaw of a whole head, in the order in which Go looks for them."""
    hosts, lengths, codings = [], [], []
    blank = False
    for name, value in head.headers:
        match name.lower():
            case "host":
                hosts.append(value)
            case "content-length":
                lengths.append(value.strip(" \t"))
            case "transfer-encoding":
                codings.append(value)
            case other:
                blank = blank or " " in other
    if (
        head.version == "HTTP/1.1"
        and len(hosts) == 1
        and not (blank or codings or lengths or _BAD_HOST.search(hosts[0]))
    ):
        return None
    major, at_least_11 = head.version[5], head.version >= "HTTP/1.1"
    preface = head.version == "HTTP/2.0" and head.method == "PRI" and head.target == "*"
    checks = (
        (len(hosts) > 1, Flaw.MALFORMED),
        (at_least_11 and codings and [one.lower() for one in codings] != ["chunked"], Flaw.BAD_CODING),
        (len(set(lengths)) > 1 or any(not _is_length(one) for one in lengths), Flaw.MALFORMED),
        (codings and at_least_11 and _forbidden_trailer(head.headers), Flaw.MALFORMED),
        (major != "1" and not preface, Flaw.BAD_VERSION),
        (at_least_11 and not hosts and not (preface and not head.headers) and head.method != "CONNECT", Flaw.NO_HOST),
        (hosts and _BAD_HOST.search(hosts[0]), Flaw.BAD_HOST),
        (blank, Flaw.BAD_NAME),
    )
    return next((flaw for found, flaw in checks if found), None)


def _is_length(text: str) -> bool:
    digits = text.lstrip("0")
    return bool(_LENGTH.fullmatch(text)) and len(digits) <= 19 and int(digits or "0") <= _MOST_BYTES


def _forbidden_trailer(headers: Headers) -> bool:
    """Whether a trailer is announced that would change the framing."""
    announced = {
        one.strip().lower() for name, value in headers if name.lower() == "trailer" for one in value.split(",")
    }
    return bool(announced & {"transfer-encoding", "trailer", "content-length"})


_EMPTY = RequestHead("", "", "", (), 0)
_MALFORMED = GoHead(_EMPTY, Flaw.MALFORMED)
_TOO_LARGE = GoHead(_EMPTY, Flaw.TOO_LARGE)


def _read_chunked(data: bytes, *, ended: bool) -> Body:
    """Chunks with CRLF after each size line and all data; extensions and trailers are read and dropped."""
    pieces: list[bytes] = []
    at = 0

    def partial(error: str | None = None) -> Body:
        return Body(b"".join(pieces), whole=False, size=at, error=error or ("unexpected EOF" if ended else None))

    while True:
        end = data.find(b"\n", at) + 1
        if not end:
            return partial("header line too long" if len(data) - at >= _BUFFER_BYTES else None)
        line = data[at:end]
        if b"\r" not in line:
            return partial("chunked line ends with bare LF")
        if line.find(b"\r") != len(line) - 2:
            return partial("invalid CR in chunked line")
        digits = line[:-2].rstrip(b" \t").partition(b";")[0]
        if error := _size_error(digits):
            return partial(error)
        size = int(digits, 16)
        if not size:
            return _read_trailers(data, end, b"".join(pieces), ended=ended)
        pieces.append(data[end : end + size])
        at = min(end + size, len(data))
        after = data[end + size : end + size + 2]
        if len(after) < 2:
            return partial()
        if after != b"\r\n":
            return partial("malformed chunked encoding")
        at += 2


def _size_error(digits: bytes) -> str:
    """Source: internal/chunked.go, `parseHexUint`."""
    if not digits:
        return "empty hex number for chunk length"
    if not re.fullmatch(rb"[0-9A-Fa-f]+", digits[:17]):
        return "invalid byte in chunk length"
    return "http chunk length too large" if len(digits) > 16 else ""


def _read_trailers(data: bytes, at: int, body: bytes, *, ended: bool) -> Body:
    if data.startswith(b"\r\n", at):
        return Body(body, whole=True, size=at + 2)
    end = data.find(b"\r\n\r\n", at)
    if end >= 0:
        lines = data[at:end].split(b"\r\n")
        bad = next((line for line in lines if b":" not in line or not _readable(line)), None)
        error = None if bad is None else "malformed MIME header line"
        return Body(body, whole=bad is None, size=end + 4, error=error)
    if len(data) - at >= _BUFFER_BYTES:
        return Body(body, whole=False, size=at, error="http: suspiciously long trailer after chunked body")
    error = "http: unexpected EOF reading trailer" if ended else None
    return Body(body, whole=False, size=at, error=error)
