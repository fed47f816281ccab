"""Server-sent events, read as the standard has it, and what the events of the /v1 routes say of their answer.

A line ends with CRLF, LF or CR. A blank line ends an event. A block without a `data` line is no event: a comment, a
heartbeat. Bytes stay bytes: the standard replaces what is no UTF-8, and JSON forbids it, so the reader decides.

An *end* says that no more comes: `[DONE]`, `message_stop`, `response.completed` and its like. It is no record. An
answer is whole once an event says why the model stopped, or that no more comes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ollama_harness.files.json_text import parse_json

__all__ = ["DONE", "NO_JSON", "Event", "Events", "error_of", "events_of", "is_end", "is_finish"]

#: The data of the end of the streams of /v1/chat/completions and /v1/completions.
DONE = b"[DONE]"

#: The value of data that is no JSON.
NO_JSON: Final = object()

_ENDS = ("response.completed", "response.incomplete", "response.failed", "message_stop")

_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its type ("message" if no line names one), and its data, of which several lines are joined by LF.

    `start` and `end` are offsets in the body: of its first line, and just after its blank line. `value` is the data as
    JSON, or `NO_JSON`. If the body ends before the blank line the event is not `ended`: the standard drops it, and many
    a client takes it.
    """

    type: str
    data: bytes
    start: int
    end: int
    ended: bool = True
    value: Any = NO_JSON


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a body, in order; only the last may be without its blank line."""

    all: tuple[Event, ...]

    @property
    def records(self) -> tuple[Event, ...]:
        """All but the ends."""
        return tuple(event for event in self.all if not is_end(event))

    @property
    def is_whole(self) -> bool:
        """Whether an event says why the model stopped, or that no more comes, and none has an error."""
        told = any(is_finish(event) or is_end(event) for event in self.all)
        return told and all(error_of(event) is None for event in self.all)


def events_of(body: bytes) -> Events:
    """The events of a body, without a content coding."""
    return Events(tuple(_events(body)))


def _events(body: bytes) -> Iterator[Event]:
    offset = start = len(BOM_UTF8) if body.startswith(BOM_UTF8) else 0
    type_, data = b"", list[bytes]()
    while offset < len(body):
        found = _LINE.match(body, offset)
        assert found is not None
        line, line_end, offset = found[1], found[2], found.end()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                yield _event(type_, data, start, offset, ended=bool(line_end))
            type_, data, start = b"", [], offset
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            type_ = value
    if data:
        yield _event(type_, data, start, offset, ended=False)


def _event(type_: bytes, lines: list[bytes], start: int, end: int, *, ended: bool) -> Event:
    data = b"\n".join(lines)
    try:
        value = parse_json(data)
    except ValueError:
        value = NO_JSON
    name = type_.decode("utf-8", "replace") or "message"
    return Event(type=name, data=data, start=start, end=end, ended=ended, value=value)


def is_end(event: Event) -> bool:
    """Whether an event says that no more comes, be it well or not."""
    return event.data == DONE or _field(event, "type") in _ENDS


def is_finish(event: Event) -> bool:
    """Whether an event says why the model stopped: `finish_reason` of OpenAI's kinds, `stop_reason` of Anthropic's."""
    match event.value:
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            return reason is not None
        case {"choices": list(choices)}:
            return any(isinstance(one, dict) and one.get("finish_reason") is not None for one in choices)
    return False


def error_of(event: Event) -> Any:
    """The error in an event, None if there is none.

    An error is the `error` of a chunk (OpenAI), `response.failed` or an event of type `error` (OpenAI's responses), or
    `{"type": "error", "error": …}` (Anthropic).

    Source: https://platform.openai.com/docs/api-reference/responses-streaming,
    https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events.
    """
    match event.value:
        case {"error": error} if error is not None:
            return error
        case {"type": "response.failed", "response": {"error": error}} if error is not None:
            return error
        case {"type": "error" | "response.failed"}:
            return event.value
    return event.data.decode("utf-8", "replace") if event.type == "error" else None


def _field(event: Event, name: str) -> Any:
    return event.value.get(name) if isinstance(event.value, dict) else None
