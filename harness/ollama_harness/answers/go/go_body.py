"""How Go's net/http reads the body of a request, as it arrives.

A body has no fault of its own: the handler that reads it gets an error in place of what is missing.

Source: net/http, transfer.go (`body.readLocked`, `seekUpcomingDoubleCRLF`), internal/chunked.go; all of Go 1.26.
"""

from __future__ import annotations

import re
from typing import Literal

from ollama_harness.answers.go.go_request import is_readable
from ollama_harness.script.http1 import Body, RequestHead

__all__ = ["GoBodyReader", "read_go_body"]

#: Go's bufio.Reader: no line of a chunked body, and no trailer section, may be longer.
_BUFFER_BYTES = 4096


def read_go_body(data: bytes, head: RequestHead, *, ended: bool = False) -> Body:
    """The body that begins at the start of `data`. Its `error` is the text of Go's error; no request can follow it."""
    reader = GoBodyReader(head)
    reader.feed(bytearray(data), ended=ended)
    return Body(reader.content, whole=reader.whole, size=reader.size, needs=reader.needs, error=reader.error)


class GoBodyReader:
    """Reads the body of a request as it arrives, each byte once. Extensions and trailers are read and dropped.

    `whole`: it has ended by its own framing. `error` is the text of Go's error, or None; no request can follow then.
    `size` is how many bytes of the wire were read, and `needs` how many more are needed at least.
    """

    def __init__(self, head: RequestHead) -> None:
        self._chunked = head.version != "HTTP/1.0" and any(
            name.lower() == "transfer-encoding" for name, _ in head.headers
        )
        length = next((value for name, value in head.headers if name.lower() == "content-length"), "0")
        self._left = 0 if self._chunked else int(length)  # bytes of this chunk, or of the whole body
        self._awaits: Literal["size", "data", "end of chunk", "trailers"] = "size" if self._chunked else "data"
        self._excess = 0
        self._pieces: list[bytes] = []
        self.whole, self.size = not self._chunked and not self._left, 0
        self.error: str | None = None

    @property
    def needs(self) -> int:
        """At least one byte while it is not whole."""
        return 0 if self.whole else self._left or 1

    @property
    def content(self) -> bytes:
        """What has been read, without the transfer coding."""
        return b"".join(self._pieces)

    def feed(self, buffer: bytearray, *, ended: bool = False) -> None:
        """Take from the buffer what belongs to the body. `ended` is whether no more will come."""
        at = 0
        while not self.whole and self.error is None:
            match self._awaits:
                case "data":
                    used = self._read_data(buffer, at)
                case "size":
                    used = self._read_size(buffer, at)
                case "end of chunk":
                    used = self._read_end(buffer, at)
                case "trailers":
                    used = self._read_trailers(buffer, at)
            if not used:
                break
            at += used
        self.size += at
        del buffer[:at]
        if ended and not self.whole and self.error is None:
            in_trailers = self._awaits == "trailers"
            self.error = "http: unexpected EOF reading trailer" if in_trailers else "unexpected EOF"

    # Each of these reads what is next, and returns how many bytes it has used: none if it needs more.

    def _read_data(self, buffer: bytearray, at: int) -> int:
        piece = bytes(buffer[at : at + self._left])
        if piece:
            self._pieces.append(piece)
            self._left -= len(piece)
            if not self._left:
                self._awaits, self.whole = "end of chunk", not self._chunked
        return len(piece)

    def _read_size(self, buffer: bytearray, at: int) -> int:
        end = buffer.find(b"\n", at, at + _BUFFER_BYTES) + 1
        if not end:
            if len(buffer) - at >= _BUFFER_BYTES:
                self.error = "header line too long"
            return 0
        line = bytes(buffer[at:end])
        digits = line[:-2].rstrip(b" \t").partition(b";")[0]
        if b"\r" not in line:
            self.error = "chunked line ends with bare LF"
        elif line.find(b"\r") != len(line) - 2:
            self.error = "invalid CR in chunked line"
        elif error := _size_error(digits):
            self.error = error
        else:
            self._left = int(digits, 16)
            self._awaits = "data" if self._left else "trailers"
            # 16 bytes a chunk, and twice its data, may be extensions and the like.
            self._excess = max(0, self._excess + len(line) - 16 - 2 * self._left)
            if self._excess > 16 * 1024:
                self.error = "chunked encoding contains too much non-data"
        return len(line)

    def _read_end(self, buffer: bytearray, at: int) -> int:
        after = bytes(buffer[at : at + 2])
        if len(after) < 2:
            return 0
        if after != b"\r\n":
            self.error = "malformed chunked encoding"
        self._awaits = "size"
        return 2

    def _read_trailers(self, buffer: bytearray, at: int) -> int:
        if buffer.startswith(b"\r\n", at):
            self.whole = True
            return 2
        end = buffer.find(b"\r\n\r\n", at, at + _BUFFER_BYTES)
        if end >= 0:
            lines = bytes(buffer[at:end]).split(b"\r\n")
            if any(b":" not in line or not is_readable(line) for line in lines):
                self.error = "malformed MIME header line"
            else:
                self.whole = True
            return end + 4 - at
        if len(buffer) - at >= _BUFFER_BYTES:
            self.error = "http: suspiciously long trailer after chunked body"
        return 0


def _size_error(digits: bytes) -> str:
    """Source: internal/chunked.go, `parseHexUint`."""
    if not digits:
        return "empty hex number for chunk length"
    if not re.fullmatch(rb"[0-9A-Fa-f]+", digits[:17]):
        return "invalid byte in chunk length"
    return "http chunk length too large" if len(digits) > 16 else ""
