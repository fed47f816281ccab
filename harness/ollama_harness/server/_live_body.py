"""The body of an answer as it arrives from another server, cut into the parts of scripts: a chunk, the last chunk, or
the bytes of one read where there are no chunks.
"""

from __future__ import annotations

from ollama_harness.script.body_reader import BodyReader
from ollama_harness.script.http1 import ResponseHead
from ollama_harness.script.message_parts import Chunk, LastChunk, Part, Raw

__all__ = ["LiveBody"]


class LiveBody:
    """Cuts a body. `framing` is none, length, chunked or close, and `whole` whether it has ended by its own framing.

    What is no chunk, after something that is, passes as it is; then `error` says what is wrong.

    Raises: ProtocolError, if the head has no valid framing.
    """

    def __init__(self, head: ResponseHead, *, method: str) -> None:
        self._reader = BodyReader(head, method=method)
        self._rest = b""
        self.framing = self._reader.framing

    @property
    def whole(self) -> bool:
        return self._reader.whole

    @property
    def error(self) -> str | None:
        return self._reader.error

    def parts(self, data: bytes) -> list[Part]:
        """The parts that these bytes complete."""
        wire, content = self._reader.read(data)
        if self.framing != "chunked":
            return [Raw(content)] if content else []
        self._rest += wire
        found: list[Part] = []
        while (part := self._next()) is not None:
            found.append(part)
        if self.error is not None:
            found += self.rest()
            found += [Raw(data[len(wire) :])] if data[len(wire) :] else []
        return found

    def rest(self) -> list[Part]:
        """What is left of a chunk that is not whole, because no more will come."""
        rest, self._rest = self._rest, b""
        return [Raw(rest)] if rest else []

    def _next(self) -> Part | None:
        line, found, after = self._rest.partition(b"\r\n")
        if not found or self.error is not None:
            return None
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            if not self.whole:
                return None
            last, self._rest = self._rest, b""
            return LastChunk() if last == LastChunk().wire("") else Raw(last)
        if len(after) < size + 2:
            return None
        data, self._rest = after[:size], after[size + 2 :]
        return Chunk(data) if line == b"%x" % size else Chunk(data, size_line=line)
