"""A recording: one exchange with a real Ollama, as it went over the wire.

On disk it is two files. `<name>.<suffix>` is the body exactly as received, without the transfer coding.
`<name>.meta.json` is the rest. A body without a meta file is hand-written: one frame a record.
"""

from __future__ import annotations

import http
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "FORMAT",
    "GAP_S",
    "HEAD_SUFFIX",
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
    "reason_of",
]

FORMAT = 1
META_SUFFIX = ".meta.json"

#: The file beside a body without a meta file that says what it answers.
HEAD_SUFFIX = ".head"

#: The limit of a recording's two files together: a longer one is neither made nor loaded. Playing a recording needs
#: about three times its size in memory.
MAX_BYTES = 256_000_000

#: The suffix of the body's file for each Content-Type.
SUFFIXES = {
    "application/x-ndjson": ".ndjson",
    "application/json": ".json",
    "text/event-stream": ".sse",
    "text/plain": ".txt",
}
OTHER_SUFFIX = ".bin"
BODY_SUFFIXES = (*SUFFIXES.values(), OTHER_SUFFIX)

#: These endpoints stream unless the request says `"stream": false`; the OpenAI and Anthropic ones only if it says true.
STREAMS_BY_DEFAULT = frozenset({"/api/generate", "/api/chat", "/api/pull", "/api/push", "/api/create"})

#: The time between two records where nothing says when they came.
GAP_S = 0.02

Headers = tuple[tuple[str, str], ...]


def reason_of(status: int) -> str:
    """The reason phrase of a status; "" if it has none."""
    return http.HTTPStatus(status).phrase if status in {int(one) for one in http.HTTPStatus} else ""


class RecordedEnd(StrEnum):
    """How the recorded connection ended, as the recorder saw it."""

    COMPLETE = "complete"  # the message was whole by HTTP's rules
    EOF = "eof"  # a FIN before the message was whole
    RESET = "reset"  # an RST
    TIMEOUT = "timeout"  # the recorder gave up waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request as sent. At most one of `json` (a parsed body) and `body` (text that may be no JSON) is set.

    With `any_content` it is not known what was sent, and the request here is made up: the answer is the answer to every
    request for this method and path.
    """

    method: str
    path: str
    headers: Headers = ()
    json: Any = None
    body: str | None = None
    any_content: bool = False

    @property
    def streams(self) -> bool:
        """Whether the answer to this request is a stream of records."""
        default = self.path in STREAMS_BY_DEFAULT
        wanted = self.json.get("stream") if isinstance(self.json, Mapping) else None
        return default if wanted is None else wanted is True

    @property
    def streams_events(self) -> bool:
        """Whether the answer to this request is a stream of server-sent events."""
        return self.streams and self.path.startswith("/v1/")

    @property
    def content(self) -> bytes | None:
        """The body's bytes, or None for a request without one."""
        if self.json is not None:
            return json.dumps(self.json, separators=(",", ":")).encode()
        return None if self.body is None else self.body.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The head of the answer. `headers` have the order and spelling of the wire. `head_at_s` is when the head arrived,
    in seconds since the request was sent.
    """

    status: int
    reason: str
    headers: Headers
    head_at_s: float

    def header(self, name: str) -> str | None:
        """The first value of a header, or None; upper and lower case in `name` do not matter."""
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
    """One exchange with a real Ollama. `id` is `<ollama version>/<name>`. The data of all `frames` is the body.

    `recorded_at` is an ISO 8601 time, and `platform` a text like linux/x86_64. `ended_at_s` is in seconds since the
    request was sent, as are the times of the frames. `intervention` says what was done to the server for this
    recording (its runner was killed); None is an ordinary exchange. `note` is a comment, and decides nothing.
    `frames` is a tuple, or for a long recording a sequence that makes each frame when it is read.
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
    intervention: str | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        """The id without the version: `chat-stream`."""
        return self.id.rpartition("/")[2]

    @property
    def is_of_its_request(self) -> bool:
        """Whether the request alone caused the answer: nothing was done to the server, and what was sent is known."""
        return self.intervention is None and not self.request.any_content

    @property
    def body(self) -> bytes:
        """The whole body, without the transfer coding."""
        return b"".join(frame.data for frame in self.frames)

    @property
    def size_bytes(self) -> int:
        """The length of the body in bytes."""
        return sum(len(frame.data) for frame in self.frames)

    @property
    def suffix(self) -> str:
        """The suffix of the body's file: `.ndjson`, `.json`, `.sse`, `.txt` or `.bin`."""
        return SUFFIXES.get(self.response.media_type, OTHER_SUFFIX)
