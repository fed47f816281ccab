"""Streams of server-sent events, as the compatible routes send them and as they are read back."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import go_json
from ollama_harness.recordings.events import events_of
from ollama_harness.recordings.recording import Headers, Recording

__all__ = ["event", "events", "headers", "is_good"]

#: The middleware sets these before it asks the handler, and only for a stream.
_STREAM = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"), ("Content-Type", "text/event-stream"))


def headers(wanted: Wanted) -> Headers:
    return _STREAM if wanted.stream else (("Content-Type", "application/json"),)


def event(name: str, record: Mapping[str, Any]) -> bytes:
    """One event, with the blank line at its end."""
    return b"event: " + name.encode() + b"\ndata: " + go_json(record) + b"\n\n"


def is_good(recording: Recording) -> bool:
    """Whether it is an answer of a model, whole or not, and no error in place of one."""
    return recording.response.status == 200 and bool(recording.frames)


def events(recording: Recording) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """The JSON of each event of a stream, at the time at which the event was whole."""
    ends = list(itertools.accumulate(len(frame.data) for frame in recording.frames))
    for one in events_of(recording.body).all:
        if one.ended and isinstance(one.value, Mapping):
            yield recording.frames[bisect.bisect_left(ends, one.end)].at_s, one.value
