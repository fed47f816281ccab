"""How Go's net/http reads the head of a request: where it is more lenient than RFC 9112, and where it stops at once.

Go reads a request line by line and refuses it at the first line that it cannot read, whatever may follow. What it
refuses later (the version, Host, the names of the headers) it looks at once the head is whole. Lines may end with LF
alone, and a line that begins with a blank continues the one before.

Source: net/http, request.go (`readRequest`), server.go (`conn.readRequest`), transfer.go (`readTransfer`);
net/textproto, reader.go (`readMIMEHeader`); all of Go 1.26.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from ollama_harness.answers.go.go_url import parse_target
from ollama_harness.errors import ProtocolError
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import RequestHead, read_request_head

__all__ = ["MAX_HEAD_BYTES", "Flaw", "GoHead", "GoHeadReader", "is_readable", "read_go_head"]

#: Go's DefaultMaxHeaderBytes and the slop that it adds.
MAX_HEAD_BYTES = 1 * 1024 * 1024 + 4096

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
    return GoHeadReader(after_post=after_post).read(data, ended=ended)


class GoHeadReader:
    """Reads the head of a request as it arrives, each line once. See `read_go_head`."""

    def __init__(self, *, after_post: bool = False) -> None:
        self._after_post = after_post
        self._skipped = self._at = self._searched = 0
        self._start: tuple[str, str, str] | None = None
        self._lines: list[bytes] = []

    def read(self, data: bytes | bytearray, *, ended: bool = False) -> GoHead | None:
        """The head at the start of `data`, which is all that has arrived so far; None while more of it is needed."""
        if self._start is None:
            if self._after_post and not self._at:
                self._skipped = len(data[:4]) - len(data[:4].lstrip(b"\r\n"))
            end = data.find(b"\n", max(self._skipped, self._searched)) + 1
            self._searched = len(data)
            if not end:
                return self._unfinished(data, ended=ended)
            if (strict := self._strict(data)) is not None:
                return strict
            self._start = _request_line(_line(data, self._skipped, end))
            if self._start is None:
                return _MALFORMED
            self._at = self._searched = end
        lines = self._lines
        while end := data.find(b"\n", self._searched) + 1:
            line = _line(data, self._at, end)
            self._at = self._searched = end
            if not line:
                return self._whole(end - self._skipped)
            if line[:1] in b" \t":
                if not lines:
                    return _MALFORMED
                lines[-1] += b" " + line.strip(b" \t")
                continue
            if b":" not in line or (lines and not is_readable(lines[-1])):
                return _MALFORMED
            lines.append(line.strip(b" \t"))
        self._searched = len(data)
        return self._unfinished(data, ended=ended)

    def _strict(self, data: bytes | bytearray) -> GoHead | None:
        """The head, if it is whole and has nothing that only Go reads: whatever RFC 9112 allows Go reads as it says."""
        end = data.find(b"\r\n\r\n", self._skipped) + 4
        if end < 4 or end - self._skipped > MAX_HEAD_BYTES:
            return None
        try:
            strict = read_request_head(bytes(data[self._skipped : end]))
        except ProtocolError:
            return None
        if strict is None or strict.method == "CONNECT":
            return None
        if parse_target(strict.target) is None:
            return _MALFORMED
        return GoHead(replace(strict, size=end), _flaw(strict))

    def _unfinished(self, data: bytes | bytearray, *, ended: bool) -> GoHead | None:
        if len(data) - self._skipped > MAX_HEAD_BYTES:
            return _TOO_LARGE
        # A line that the end of the connection ends is a line, but the head is not whole.
        return _MALFORMED if ended and len(data) > self._skipped else None

    def _whole(self, size: int) -> GoHead:
        assert self._start is not None
        if size > MAX_HEAD_BYTES:
            return _TOO_LARGE
        if self._lines and not is_readable(self._lines[-1]):
            return _MALFORMED
        head = RequestHead(*self._start, tuple(map(_field, self._lines)), size + self._skipped)
        return GoHead(head, _flaw(head))


def _request_line(line: bytes) -> tuple[str, str, str] | None:
    """Method, target and version; None if it is no request line."""
    parts = line.split(b" ", 2)
    version = _VERSION.fullmatch(parts[2]) if len(parts) == 3 else None
    if version is None or not _TOKEN.fullmatch(parts[0]):
        return None
    method, target = parts[0].decode("latin-1"), parts[1].decode("latin-1")
    connect = method == "CONNECT" and not target.startswith("/")
    if parse_target(f"http://{target}" if connect else target) is None:
        return None
    return method, target, parts[2].decode("ascii")


def _line(data: bytes | bytearray, start: int, end: int) -> bytes:
    """A line without its end: LF, or CRLF."""
    return bytes(data[start:end]).removesuffix(b"\n").removesuffix(b"\r")


def is_readable(line: bytes) -> bool:
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
