"""Streams of server-sent events, as the compatible routes send them and as they are read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import go_json
from ollama_harness.recordings.recording import Headers, Recording
from ollama_harness.recordings.records import event_record, sse_events

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
    """The record of each event of a stream, at the time at which the event was whole."""
    rest = b""
    for frame in recording.frames:
        rest, whole = rest + frame.data, 0
        for text in sse_events(rest):
            if not text.endswith(b"\n\n"):
                break
            whole += len(text)
            try:
                record = event_record(text)
            except ValueError:
                continue
            if isinstance(record, Mapping):
                yield frame.at_s, record
        rest = rest[whole:]
