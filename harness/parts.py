"""The parts that segments are made of: each knows its exact bytes, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from harness.recording import Headers

__all__ = ["Chunk", "Head", "LastChunk", "Part", "Raw"]


@dataclass(frozen=True, slots=True)
class Head:
    """A status line and headers, in the order and spelling of the wire. A `Date` header is made fresh."""

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

    @property
    def chunked(self) -> bool:
        return (self.header("transfer-encoding") or "").lower() == "chunked"

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One transfer chunk with `data` in it (RFC 9112 section 7.1); its size in lower-case hex, as Go writes it."""

    data: bytes

    def wire(self, date: str) -> bytes:  # noqa: ARG002 - a part among parts
        return self.until(len(self.data)) + b"\r\n"

    def until(self, offset: int) -> bytes:
        """The wire up to `offset` bytes of data: a size line that may announce more than follows."""
        return b"%x\r\n%b" % (len(self.data), self.data[:offset])


@dataclass(frozen=True, slots=True)
class LastChunk:
    """The zero chunk and the end of the (empty) trailer section."""

    def wire(self, date: str) -> bytes:  # noqa: ARG002
        return b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are: a body without transfer coding, or whatever a fault makes of a part."""

    data: bytes

    def wire(self, date: str) -> bytes:  # noqa: ARG002
        return self.data

    def until(self, offset: int) -> bytes:
        return self.data[:offset]


Part = Head | Chunk | LastChunk | Raw
