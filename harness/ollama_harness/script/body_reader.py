"""A body read as it arrives, framed as RFC 9112 says (sections 6.3 and 7.1). No byte is read twice."""

from __future__ import annotations

import re
from typing import Literal

from ollama_harness.script.http1 import RequestHead, ResponseHead, members, read_body

__all__ = ["BodyReader"]

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?\r\n")
_MOST_LINE_BYTES = 64 * 1024


class BodyReader:
    """The body of a message; `framing` is none, length, chunked or close.

    `whole`: it has ended by its own framing. `error`: how the framing is broken, or None. `size` is how many bytes of
    the wire were read, and `needs` how many more are needed at least.

    Raises: ProtocolError, if the head has no valid framing.
    """

    def __init__(self, head: RequestHead | ResponseHead, *, method: str) -> None:
        empty = read_body(b"", head, method=method)
        counted = "chunked" if any(members(head.headers, "transfer-encoding")) else "length"
        self.framing = "none" if empty.absent else "close" if empty.until_close else counted
        self.whole, self.size = empty.whole, 0
        self.error: str | None = None
        self._left = 0 if self.framing == "chunked" else empty.needs  # bytes of this chunk, or of the whole body
        self._awaits: Literal["size", "end of chunk", "trailer"] = "size"
        self._line = b""
        self._pieces: list[bytes] = []

    @property
    def needs(self) -> int:
        return self._left or 1

    @property
    def content(self) -> bytes:
        """What `feed` has read, without the transfer coding."""
        return b"".join(self._pieces)

    def feed(self, buffer: bytearray, *, ended: bool) -> None:  # noqa: ARG002 - the caller knows what an end means
        """Take from the buffer what belongs to the body, and keep its content."""
        wire, content = self.read(bytes(buffer))
        del buffer[: len(wire)]
        self._pieces.append(content)

    def read(self, data: bytes) -> tuple[bytes, bytes]:
        """The part of these bytes that belongs to the body, and the content in it, without the transfer coding."""
        if self.framing == "close":
            self.size += len(data)
            return data, data
        at, pieces = 0, []
        while at < len(data) and not self.whole and self.error is None:
            if self._left:
                pieces.append(data[at : at + self._left])
                self._left -= len(pieces[-1])
                at += len(pieces[-1])
                self.whole = self.framing == "length" and not self._left
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            self._line, at = self._line + data[at:end], end
            if self._line.endswith(b"\n"):
                self._read_line()
            elif len(self._line) > _MOST_LINE_BYTES:
                self.error = f"not a line of a chunked body: {self._line[:20]!r}"
        self.size += at
        return data[:at], b"".join(pieces)

    def _read_line(self) -> None:
        line, self._line = self._line, b""
        size = _CHUNK_SIZE.fullmatch(line) if self._awaits == "size" else None
        if self._awaits == "trailer" and line.endswith(b"\r\n"):
            self.whole = line == b"\r\n"
        elif self._awaits == "end of chunk" and line == b"\r\n":
            self._awaits = "size"
        elif size is not None:
            self._left = int(size[1], 16)
            self._awaits = "end of chunk" if self._left else "trailer"
        else:
            self.error = f"not a chunked body: {line[:20]!r}"
