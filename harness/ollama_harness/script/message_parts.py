"""The parts of a message that segments consist of: each has its exact bytes and keeps their meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from ollama_harness.recordings.recording import Headers

__all__ = ["Chunk", "Head", "LastChunk", "Part", "Raw", "Slice", "slices"]


@dataclass(frozen=True, slots=True)
class Head:
    """A status line and headers, in the order and spelling of the wire. A `Date` header gets the current date."""

    status: int
    reason: str
    headers: Headers
    version: str = "HTTP/1.1"

    def wire(self, date: str) -> bytes:
        lines = [f"{self.version} {self.status} {self.reason}"]
        lines += [f"{name}: {date if name.lower() == 'date' else value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> Head:
        """The same head with one value of a header, in its old place or at the end; None removes the header."""
        names = [key.lower() for key, _ in self.headers]
        place = names.index(name.lower()) if name.lower() in names else len(names)
        kept = [(key, text) for key, text in self.headers if key.lower() != name.lower()]
        if value is not None:
            kept.insert(place, (name, value))
        return replace(self, headers=tuple(kept))

    @property
    def chunked(self) -> bool:
        return (self.header("transfer-encoding") or "").lower() == "chunked"

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One transfer chunk of `data` (RFC 9112 section 7.1), with its size in lower-case hex, as Go writes it.

    A fault may replace the size line, or the CRLF after the data.
    """

    data: bytes
    size_line: bytes | None = None
    after: bytes = b"\r\n"

    def wire(self, date: str) -> bytes:  # noqa: ARG002 - all parts have this method
        return self.before + self.data + self.after

    @property
    def before(self) -> bytes:
        """The bytes before the data: the size line and its CRLF."""
        return (b"%x" % len(self.data) if self.size_line is None else self.size_line) + b"\r\n"


@dataclass(frozen=True, slots=True)
class LastChunk:
    """The chunk of size zero and the trailer section, which is usually empty."""

    trailers: Headers = ()

    def wire(self, date: str) -> bytes:  # noqa: ARG002
        lines = [f"{name}: {value}" for name, value in self.trailers]
        return "\r\n".join(["0", *lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are: a body without transfer coding, or what a fault inserts."""

    data: bytes

    def wire(self, date: str) -> bytes:  # noqa: ARG002
        return self.data


@dataclass(frozen=True, slots=True)
class Slice:
    """The bytes of a head from `start` to `stop` (None: its end). It is not `Raw`, because its Date is the current."""

    head: Head
    start: int
    stop: int | None = None

    def wire(self, date: str) -> bytes:
        return self.head.wire(date)[self.start : self.stop]


Part = Head | Chunk | LastChunk | Raw | Slice


def slices(part: Part, edges: Iterable[int]) -> Iterator[Slice | Raw]:
    """A part cut at offsets of its bytes (ascending, both ends included), whatever their meaning."""
    if isinstance(part, Head | Slice):
        head, base = (part, 0) if isinstance(part, Head) else (part.head, part.start)
        yield from (Slice(head, base + start, base + stop) for start, stop in pairwise(edges))
    else:
        wire = part.wire("")
        yield from (Raw(wire[start:stop]) for start, stop in pairwise(edges))
