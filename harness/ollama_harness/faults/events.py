"""Faults of streams: heartbeats, ends that come early, twice or never, and what only a stream of events can lack."""

from __future__ import annotations

import json
import re
from typing import Any

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.content import (
    RUNNER_DIED,
    error_line_after_record,
    insert_after,
    kind_of,
    parts_and_place,
    parts_of,
    refuse_one_piece,
    with_parts,
)
from ollama_harness.faults.definition import fault
from ollama_harness.faults.editing import ContentPart
from ollama_harness.recordings.error_shapes import error_shape, error_value
from ollama_harness.script.script import Script

__all__ = [
    "drop_blank_after_colon",
    "drop_blank_line",
    "drop_end",
    "drop_event_name",
    "duplicate_end",
    "error_event_after_record",
    "insert_heartbeat",
    "send_end_after_record",
    "split_data",
]

_EVENTS = "text/event-stream"
_NAME = re.compile(rb"^event:[^\r\n]*(?:\r\n|\n|\r)", re.MULTILINE)
_BLANK = re.compile(rb"^([a-z]+:) ", re.MULTILINE)
_LAST_LINE_END = re.compile(rb"(?:\r\n|\n|\r)\Z")


@fault(
    "Send a heartbeat after record n (0: before the first): a comment in a stream of events, else a blank line.",
    3,
)
def insert_heartbeat(script: Script, n: int, comment: str = "keep-alive") -> Script:
    is_events = kind_of(script) == _EVENTS
    return insert_after(script, n, b": " + comment.encode() + b"\n\n" if is_events else b"\n")


@fault(
    "Send an error after record n, as the API of the route has it in a stream, then end cleanly; or go on.",
    3,
)
def error_event_after_record(script: Script, n: int, message: str = RUNNER_DIED, *, goes_on: bool = False) -> Script:
    refuse_one_piece(script, "an error in its place has a status: use replace_with_error")
    if kind_of(script) != _EVENTS:
        return error_line_after_record(n, message, goes_on=goes_on)(script)
    parts, at = parts_and_place(script, n)
    event = _error_event(script.path, [one.item.value for one in parts[:at] if one.item is not None], message)
    return with_parts(script, [*parts[:at], ContentPart(parts[at - 1].at_s, event), *(parts[at:] if goes_on else [])])


def _error_event(path: str, before: list[Any], message: str) -> bytes:
    """The error of a route after these records.

    Source: https://platform.openai.com/docs/api-reference/responses-streaming/response/failed,
    https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events; for chunks no document says it, and
    clients read `error`.
    """
    value: dict[str, Any] = error_value(error_shape(path), 500, message, seed=message.encode())
    name = str(value.get("type", ""))
    started = next((one["response"] for one in before if isinstance(one, dict) and "response" in one), None)
    if isinstance(started, dict):
        name = "response.failed"
        failed = {**started, "status": "failed", "error": {"code": "server_error", "message": message}}
        number = before[-1].get("sequence_number", 0) + 1
        value = {"response": failed, "sequence_number": number, "type": name}
    data = b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"
    return b"event: " + name.encode() + b"\n" + data if name else data


@fault(
    "Leave out the line that names event n, so that it is a `message`.",
    3,
    plays="v1-messages-stream",
)
def drop_event_name(script: Script, n: int) -> Script:
    parts, at = _events(script, n)
    event = parts[at - 1]
    if not _NAME.search(event.data):
        raise FaultDoesNotApply(f"no line names event {n}")
    return with_parts(script, [*parts[: at - 1], event._replace(data=_NAME.sub(b"", event.data)), *parts[at:]])


@fault(
    "Leave out the blank line after event n, so that it and the next are one event.",
    3,
    plays="v1-chat-stream",
)
def drop_blank_line(script: Script, n: int) -> Script:
    parts, at = _events(script, n)
    event = parts[at - 1]
    if event.item is None or not event.item.ended:
        raise FaultDoesNotApply(f"no blank line follows event {n}")
    cut = event._replace(data=_LAST_LINE_END.sub(b"", event.data))
    return with_parts(script, [*parts[: at - 1], cut, *parts[at:]])


@fault("Write the fields of all events without the blank after the colon.", plays="v1-chat-stream")
def drop_blank_after_colon(script: Script) -> Script:
    parts, _ = _events(script, 1)
    return with_parts(script, [one._replace(data=_BLANK.sub(rb"\1", one.data)) for one in parts])


@fault("Put the data of event n on two lines, which are one JSON text.", 3, plays="v1-chat-stream")
def split_data(script: Script, n: int) -> Script:
    parts, at = _events(script, n)
    event = parts[at - 1]
    if b"data: {" not in event.data:
        raise FaultDoesNotApply(f"the data of event {n} is no object that could be on two lines")
    split = event._replace(data=event.data.replace(b"data: {", b"data: {\ndata: ", 1))
    return with_parts(script, [*parts[: at - 1], split, *parts[at:]])


@fault("Send the end of the stream after record n as well: `[DONE]` and its like, or the terminal record.", 3)
def send_end_after_record(script: Script, n: int) -> Script:
    return insert_after(script, n, _end(script).data)


@fault("Send the end of the stream twice: `[DONE]` and its like, or the terminal record.")
def duplicate_end(script: Script) -> Script:
    end = _end(script)
    return with_parts(script, [*parts_of(script), end])


@fault("Never send the end of the stream: `[DONE]` and its like, or the terminal record. What stands before it stays.")
def drop_end(script: Script) -> Script:
    _end(script)
    return with_parts(script, [one for one in parts_of(script) if one.item is None or not one.item.is_last])


def _events(script: Script, n: int) -> tuple[list[ContentPart], int]:
    """The parts of a stream of events, and the index just after event `n`.

    Raises: FaultDoesNotApply.
    """
    if kind_of(script) != _EVENTS:
        raise FaultDoesNotApply("only a stream of events has names and blank lines; this script sends none")
    return parts_and_place(script, n)


def _end(script: Script) -> ContentPart:
    """The end of a stream.

    Raises: FaultDoesNotApply.
    """
    refuse_one_piece(script, "its last byte is its end")
    found = next((one for one in parts_of(script) if one.item is not None and one.item.is_last), None)
    if found is None:
        raise FaultDoesNotApply("this stream has no end: no [DONE], no terminal record")
    return found
