"""What the compatible routes have in common: events, JSON that is read with care, and maps as Go writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import go_json
from ollama_harness.files.json_text import MAX_DEPTH, parse_json
from ollama_harness.recordings.recording import Headers, Recording
from ollama_harness.recordings.records import event_record, sse_events

__all__ = [
    "AsSent",
    "as_map",
    "count",
    "event",
    "events",
    "headers",
    "is_good",
    "listed",
    "read_object",
]

#: The middleware sets these before it asks the handler, and only for a stream.
_STREAM = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"), ("Content-Type", "text/event-stream"))


class AsSent(dict[str, Any]):
    """An object that Ollama repeats as it came: its keys are not sorted."""


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


def as_map(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A value as Go writes its maps: keys sorted, down to a depth."""
    match value:
        case AsSent():
            return value
        case Mapping() if depth:
            return {key: as_map(value[key], depth - 1) for key in sorted(value)}
        case list() | tuple() if depth:
            return [as_map(one, depth - 1) for one in value]
    return value


def read_object(text: str | bytes) -> Mapping[str, Any]:
    """The JSON object that a text is, or an empty one where it is none."""
    try:
        value = parse_json(text.encode() if isinstance(text, str) else text)
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """The members of a list; none of anything else."""
    return value if isinstance(value, list) else []


def count(usage: Any, name: str) -> int:
    """A number of tokens, 0 where there is none."""
    found = usage.get(name) if isinstance(usage, Mapping) else None
    return found if type(found) is int and found > 0 else 0
