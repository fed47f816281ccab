"""What /v1/responses and /v1/messages have in common: server-sent events that have names, and JSON as Go writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ollama_harness.answers.completions.completion import Call
from ollama_harness.answers.completions.sending import since
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.reply import go_json
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import Headers, Recording
from ollama_harness.recordings.records import event_record, sse_events

__all__ = ["AsSent", "arguments_of", "as_map", "event", "events", "headers", "is_good", "read_arguments"]

#: The middleware sets these before it asks the handler, and only for a stream.
_STREAM = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"), ("Content-Type", "text/event-stream"))

_ARGUMENTS_AS_SAID_SINCE = "0.14.0"


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
        rest += frame.data
        for text in sse_events(rest):
            if not text.endswith(b"\n\n"):
                break
            rest = rest[len(text) :]
            try:
                record = event_record(text)
            except ValueError:
                continue
            if isinstance(record, Mapping):
                yield frame.at_s, record


def as_map(value: Any) -> Any:
    """A value as Go writes its maps and its `any`: keys sorted at every depth, and each number a float64."""
    match value:
        case AsSent():
            return value
        case Mapping():
            return {key: as_map(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [as_map(one) for one in value]
        case float() if value.is_integer() and abs(value) < 1e21:
            return int(Decimal(repr(float(value))))
    return value


def arguments_of(call: Call, wanted: Wanted) -> dict[str, Any]:
    """The arguments of a call: in the order in which they were said since 0.14.0, what is inside them sorted."""
    names = call.arguments if since(wanted, _ARGUMENTS_AS_SAID_SINCE) else sorted(call.arguments)
    return {name: as_map(call.arguments[name]) for name in names}


def read_arguments(text: str) -> Mapping[str, Any]:
    """The arguments that a text holds as JSON; none where it holds something else."""
    try:
        value = parse_json(text.encode())
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}
