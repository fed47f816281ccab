"""A dialect: how one route puts a completion into records, and how the records are read back.

`answered` makes a recording of what a dialect writes. So an answer that was made is played, struck by faults and
compared just as one that was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ollama_harness.answers.completions.completion import Completion
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import go_time
from ollama_harness.recordings.recording import Frame, Headers, RecordedEnd, Recording, Request, Response

__all__ = ["Dialect", "answered", "made_recording", "stamp"]

#: From this length on Go sends chunks, unless the handler has said how long the body is.
_CHUNKED_FROM_BYTES = 2048

#: When a made answer says that it was made, if nothing was recorded.
EPOCH = datetime(2026, 11, 22, 19, 18, 33, tzinfo=UTC)


class Dialect(Protocol):
    """One route. Its answers differ by version; each function takes the version from what is wanted."""

    def read(self, recording: Recording) -> Completion | None:
        """The completion that a recorded answer holds, at the times of its frames; None if it is an error."""

    def headers(self, wanted: Wanted) -> Headers:
        """The headers of an answer that the handler sets, without Date and without what says how long the body is."""

    def stream(self, completion: Completion, wanted: Wanted) -> Sequence[tuple[float, bytes]]:
        """The frames of a stream: when, in seconds since the request was sent, and what. Each is one chunk."""

    def whole(self, completion: Completion, wanted: Wanted) -> bytes:
        """The body of an answer in one piece."""


def answered(dialect: Dialect, completion: Completion, wanted: Wanted, *, request: Request, name: str) -> Recording:
    """The answer to a request as a recording called `name`."""
    if wanted.stream:
        frames = tuple(Frame(at_s=at_s, data=data) for at_s, data in dialect.stream(completion, wanted))
    else:
        frames = (Frame(at_s=completion.end_s, data=dialect.whole(completion, wanted)),)
    flushed = wanted.stream and not completion.only_loads
    return made_recording(
        frames,
        dialect.headers(wanted),
        version=wanted.version,
        end_s=completion.end_s,
        request=request,
        name=name,
        flushed=flushed,
    )


def made_recording(
    frames: tuple[Frame, ...],
    headers: Headers,
    *,
    version: str,
    end_s: float,
    request: Request,
    name: str,
    flushed: bool = False,
) -> Recording:
    """A recording of an answer with these frames. `headers` are those that the handler sets; with `flushed` it sends
    each frame at once.
    """
    size = sum(len(frame.data) for frame in frames)
    chunked = flushed or size > _CHUNKED_FROM_BYTES
    length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size))
    first_s = frames[0].at_s if frames else end_s
    return Recording(
        id=f"{version}/{name}",
        ollama_version=version,
        recorded_at=EPOCH.isoformat(),
        platform="made",
        request=request,
        response=Response(status=200, reason="OK", headers=(*sorted(headers), ("Date", ""), length), head_at_s=first_s),
        frames=frames,
        ended=RecordedEnd.COMPLETE,
        ended_at_s=max(end_s, first_s),
    )


def stamp(at_s: float) -> str:
    """A time as Ollama writes it into its records: RFC 3339 with nanoseconds, without zeros at the end."""
    return go_time(EPOCH + timedelta(seconds=at_s))
