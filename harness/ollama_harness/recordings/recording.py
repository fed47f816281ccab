"""A recording: one exchange with a real Ollama, as it went over the wire.

On disk it is two files: `<name>.<suffix>` holds the body exactly as received, transfer coding removed, and
`<name>.meta.json` the rest. `.ndjson` bodies without a meta file are hand-written: one frame a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "FORMAT",
    "MAX_BYTES",
    "META_SUFFIX",
    "OTHER_SUFFIX",
    "STREAMS_BY_DEFAULT",
    "SUFFIXES",
    "Frame",
    "Headers",
    "RecordedEnd",
    "Recording",
    "Request",
    "Response",
]

FORMAT = 1
META_SUFFIX = ".meta.json"

#: A recording whose two files are longer than this together is neither made nor loaded. It would fit into the memory
#: of few machines: what plays it takes about three times its size.
MAX_BYTES = 256_000_000

#: What the head says of the body decides the suffix of the body's file.
SUFFIXES = {
    "application/x-ndjson": ".ndjson",
    "application/json": ".json",
    "text/event-stream": ".sse",
    "text/plain": ".txt",
}
OTHER_SUFFIX = ".bin"
BODY_SUFFIXES = (*SUFFIXES.values(), OTHER_SUFFIX)

#: Native routes stream unless told not to; the OpenAI and Anthropic routes stream only when told to.
STREAMS_BY_DEFAULT = frozenset({"/api/generate", "/api/chat", "/api/pull", "/api/push", "/api/create"})

Headers = tuple[tuple[str, str], ...]


class RecordedEnd(StrEnum):
    """How the recorded connection ended, seen from the client."""

    COMPLETE = "complete"  # the message was whole by HTTP's rules
    EOF = "eof"  # a FIN before the message was whole
    RESET = "reset"  # an RST
    TIMEOUT = "timeout"  # the recorder gave up waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request as sent: at most one of `json` (a parsed body) and `body` (text that may be no JSON) is set."""

    method: str
    path: str
    headers: Headers = ()
    json: Any = None
    body: str | None = None

    @property
    def streams(self) -> bool:
        """Whether the answer to this request is a stream of records."""
        default = self.path in STREAMS_BY_DEFAULT
        asked = self.json.get("stream") if isinstance(self.json, Mapping) else None
        return default if asked is None else asked is True

    @property
    def content(self) -> bytes | None:
        """The body's bytes, or None for a request without one."""
        if self.json is not None:
            return json.dumps(self.json, separators=(",", ":")).encode()
        return None if self.body is None else self.body.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The head of the answer; `headers` in the order and spelling of the wire, `head_at_s` its arrival in seconds."""

    status: int
    reason: str
    headers: Headers
    head_at_s: float

    def header(self, name: str) -> str | None:
        """The first value of a header, its name compared without case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, or ""."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Bytes that arrived together, `at_s` seconds after the request was sent. Ollama sends one record a frame."""

    at_s: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One exchange. `id` is `<ollama version>/<name>`; `frames` join to the body.

    The frames are a tuple, or, where many were loaded, a sequence that makes each of them when it is asked for.
    """

    id: str
    ollama_version: str
    recorded_at: str
    platform: str
    request: Request
    response: Response
    frames: Sequence[Frame]
    ended: RecordedEnd
    ended_at_s: float
    note: str | None = None

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def body(self) -> bytes:
        return b"".join(frame.data for frame in self.frames)

    @property
    def size_bytes(self) -> int:
        """The length of the body."""
        return sum(len(frame.data) for frame in self.frames)

    @property
    def suffix(self) -> str:
        return SUFFIXES.get(self.response.media_type, OTHER_SUFFIX)
