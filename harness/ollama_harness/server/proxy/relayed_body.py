"""A body read as it arrives, for a proxy that must not wait for the rest of it. No byte is read twice."""

from __future__ import annotations

import re
from typing import Literal

from ollama_harness.script.http1 import ResponseHead, read_body

__all__ = ["RelayedBody"]

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?\r\n")
_MOST_LINE_BYTES = 64 * 1024


class RelayedBody:
    """The body of an answer; `framing` is none, length, chunked or close (RFC 9112 sections 6.3 and 7.1).

    `whole`: it has ended by its own framing. `error`: how the framing is broken, or "".

    Raises: ProtocolError, if the head has no valid framing.
    """

    def __init__(self, head: ResponseHead, *, method: str) -> None:
        empty = read_body(b"", head, method=method)
        counted = "chunked" if head.header("transfer-encoding") else "length"
        self.framing = "none" if empty.absent else "close" if empty.until_close else counted
        self.whole, self.error = empty.whole, ""
        self._left = 0 if self.framing == "chunked" else empty.needs  # bytes of this chunk, or of the whole body
        self._awaits: Literal["size", "end of chunk", "trailer"] = "size"
        self._line = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The part of these bytes that belongs to the body, and the content in it, without the transfer coding."""
        if self.framing == "close":
            return data, data
        at, pieces = 0, []
        while at < len(data) and not self.whole and not self.error:
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
