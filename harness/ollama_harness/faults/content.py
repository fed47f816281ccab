"""Faults of the content: the message is whole HTTP, but the content is not what Ollama promises.

They strike streams of NDJSON, streams of events, and answers in one piece, which are one record. A fault of a record
changes the JSON in it, and no other byte: not the name of an event, and not what lies between two records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults import _json_path
from ollama_harness.faults.definition import fault
from ollama_harness.faults.editing import ContentPart, Piece, content, json_span, number_of, record_span, with_pieces
from ollama_harness.recordings.records import STREAMS
from ollama_harness.recordings.versions import order
from ollama_harness.script.message_parts import LastChunk
from ollama_harness.script.script import Script

__all__ = [
    "add_field",
    "begin_with",
    "drop_all_records",
    "drop_field",
    "drop_last_line_feed",
    "drop_record",
    "drop_terminal_record",
    "duplicate_record",
    "end_after_record",
    "end_inside_record",
    "error_line_after_record",
    "insert_line",
    "lengthen_record",
    "nest_record",
    "put_into_text",
    "replace_text",
    "separate_lines_with",
    "set_field",
    "swap_records",
]

#: Ollama's error in a stream when its runner dies (fixtures/recordings/*/fault-runner-killed-*).
RUNNER_DIED = "an error was encountered while running the model: unexpected EOF"

#: From this version on only the first event of a chat names the role.
_ROLE_ONCE_SINCE = "0.32.6"

_EVENTS = "text/event-stream"


# ------------------------------------------------------------------------------------------ whole records


@fault(
    'Send {"error": …} at status 200 after record n, then end cleanly, as when Ollama\'s runner dies; or go on. The '
    "streams of /v1 have no errors: Ollama ends them there, OpenAI's after an event that says nothing.",
    3,
)
def error_line_after_record(
    script: Script, n: int, error: Any = RUNNER_DIED, *, goes_on: bool = False, line_feed: bool = True
) -> Script:
    parts, at = parts_and_place(script, n)
    if kind_of(script) == _EVENTS:
        if goes_on or not line_feed:
            raise FaultDoesNotApply("a stream of events ends in the place of an error: use error_event_after_record")
        return with_parts(script, [*parts[:at], *_in_place_of_an_error(parts[at - 1], script.version)])
    refuse_one_piece(script, "an error in its place has a status: use replace_with_error")
    line = json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False).encode()
    rest = parts[at:] if goes_on else []
    return with_parts(script, [*parts[:at], ContentPart(parts[at - 1].at_s, line + b"\n" * line_feed), *rest])


def _in_place_of_an_error(before: ContentPart, version: str) -> list[ContentPart]:
    """What Ollama sends in a stream of events in the place of an error, after this event.

    It reads the error as a record without fields, so OpenAI's kinds get an event without text and model.
    Source: the recordings `fault-runner-killed-v1-*`; openai/openai.go (`ToChunk`, `ToCompleteChunk`).
    """
    record: Any = before.item.value if before.item is not None else None
    choice: dict[str, Any] = {"index": 0}
    match record:
        case {"object": "text_completion"}:
            choice = {"text": "", **choice}
        case {"object": "chat.completion.chunk"}:
            role = {} if version and order(version) >= order(_ROLE_ONCE_SINCE) else {"role": "assistant"}
            choice["delta"] = {**role, "content": ""}
        case _:
            return []
    said = {**record, "choices": [{**choice, "finish_reason": None}], "model": ""}
    data = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    return [ContentPart(before.at_s, b"data: " + data + b"\n\n")]


@fault("Send any line after record n (0: before the first).", 3, "null")
def insert_line(script: Script, n: int, line: str) -> Script:
    return insert_after(script, n, line.encode() + b"\n")


@fault("Send record n twice.", 3)
def duplicate_record(script: Script, n: int) -> Script:
    parts, at = parts_and_place(script, n)
    return with_parts(script, [*parts[:at], *parts[at - 1 :]])


@fault("Leave record n out.", 3)
def drop_record(script: Script, n: int) -> Script:
    parts, at = parts_and_place(script, n)
    return with_parts(script, [*parts[: at - 1], *parts[at:]])


@fault("End cleanly without the terminal record: no `done: true`, no `finish_reason`, no end, and no error.")
def drop_terminal_record(script: Script) -> Script:
    if kind_of(script) not in STREAMS or not any(item.tells_whole for item in script.items()):
        raise FaultDoesNotApply("this script sends no stream with a terminal record")
    parts = parts_of(script)
    terminal = next(at for at, one in enumerate(parts) if one.item is not None and one.item.tells_whole)
    rest = [] if kind_of(script) == _EVENTS else parts[terminal + 1 :]
    return with_parts(script, [*parts[:terminal], *rest])


@fault("Send record n after the one that follows it.", 3)
def swap_records(script: Script, n: int) -> Script:
    parts, at = parts_and_place(script, n)
    following = next((k for k, one in enumerate(parts) if k >= at and one.is_record), None)
    if following is None:
        raise FaultDoesNotApply(f"no record follows record {n}")
    first, second = parts[at - 1], parts[following]
    parts[at - 1], parts[following] = ContentPart(first.at_s, second.data), ContentPart(second.at_s, first.data)
    return with_parts(script, parts)


@fault("End the message cleanly before the first record: an empty body.")
def drop_all_records(script: Script) -> Script:
    parts_of(script)
    return with_parts(script, [])


@fault("End the message cleanly after record n, as if nothing more were to come.", 3)
def end_after_record(script: Script, n: int) -> Script:
    parts, at = parts_and_place(script, n)
    if at == len(parts):
        raise FaultDoesNotApply(f"nothing comes after record {n}, so the message ends there as it is")
    return with_parts(script, parts[:at])


@fault("End the message cleanly in the middle of record n.", 3)
def end_inside_record(script: Script, n: int) -> Script:
    parts, at = parts_and_place(script, n)
    record = parts[at - 1]
    return with_parts(script, [*parts[: at - 1], record._replace(data=record.data[: len(record.data) // 2])])


# ------------------------------------------------------------------------------------------ lines


@fault("End each line with other bytes than LF.", b"\r\n")
def separate_lines_with(script: Script, separator: bytes) -> Script:
    parts = parts_of(script)
    if not any(b"\n" in one.data for one in parts):
        raise FaultDoesNotApply("this answer has no line feed that could be another")
    return with_parts(script, [one._replace(data=one.data.replace(b"\n", separator)) for one in parts])


@fault("Leave out the line feed at the very end, and in a stream of events the blank line.")
def drop_last_line_feed(script: Script) -> Script:
    *parts, last = parts_of(script)
    if not last.data.endswith(b"\n"):
        raise FaultDoesNotApply("this answer has no line feed at its end")
    return with_parts(script, [*parts, last._replace(data=last.data.rstrip(b"\n"))])


@fault("Put bytes before the first record: a byte order mark, white space.", b"\xef\xbb\xbf")
def begin_with(script: Script, data: bytes) -> Script:
    first, *rest = parts_of(script)
    return with_parts(script, [first._replace(data=data + first.data), *rest])


# ------------------------------------------------------------------------------------------ inside a record


@fault("Put bytes into the text of record n, as they are.", 3, "\u0085".encode())
def put_into_text(script: Script, n: int, data: bytes) -> Script:
    return _change_text(script, n, lambda text: data + text)


@fault("Send other bytes as the text of record n; none make it an empty text.", 3, b"")
def replace_text(script: Script, n: int, data: bytes) -> Script:
    return _change_text(script, n, lambda _: data)


@fault("Add `size_bytes` bytes to the text of record n.", 3, 2000)
def lengthen_record(script: Script, n: int, size_bytes: int) -> Script:
    return put_into_text(n, b"x" * size_bytes)(script)


@fault("Give record n a field of arrays in arrays, `depth` deep.", 3, 200)
def nest_record(script: Script, n: int, depth: int) -> Script:
    return add_field(n, "nested", "[" * depth + "]" * depth)(script)


@fault(
    "Add a field with a value in JSON at the end of the object that holds it, even if that has one of that name; "
    "`message.tool_calls` is a field of `message`.",
    3,
    "confidence",
    "0.5",
)
def add_field(script: Script, n: int, path: str, value: str) -> Script:
    holder, _, name = path.rpartition(".")

    def change(record: bytes) -> bytes:
        span = _found(record, n, holder)
        inside = record[span.start : span.end].rstrip()
        if not inside.endswith(b"}"):
            raise FaultDoesNotApply(f"{holder or 'the record'} of record {n} is no object, so it cannot have {name!r}")
        comma = b"" if inside[1:-1].strip() == b"" else b","
        end = span.start + len(inside) - 1
        return record[:end] + comma + json.dumps(name).encode() + b":" + value.encode() + record[end:]

    return _change(script, n, change)


@fault(
    "Give a field of record n another value in JSON. A path leads to it: `done`, `message.tool_calls.0.function.name`.",
    3,
    "done",
    '"no"',
)
def set_field(script: Script, n: int, path: str, value: str) -> Script:

    def change(record: bytes) -> bytes:
        span = _found(record, n, path)
        return record[: span.start] + value.encode() + record[span.end :]

    return _change(script, n, change)


@fault("Leave out a field of record n; a path leads to it, as in `set_field`.", 3, "done")
def drop_field(script: Script, n: int, path: str) -> Script:

    def change(record: bytes) -> bytes:
        span = _found(record, n, path)
        before, after = record[: span.name_start], record[span.end :]
        if after.lstrip().startswith(b","):
            return before + after.lstrip()[1:].lstrip()
        return before.rstrip().removesuffix(b",") + after

    return _change(script, n, change)


def _change_text(script: Script, n: int, change: Callable[[bytes], bytes]) -> Script:
    """The same answer with the text of record `n` changed."""

    def change_record(record: bytes) -> bytes:
        text = _json_path.find_text(record)
        if text is None:
            raise FaultDoesNotApply(f"record {n} has no text")
        start, end = text
        return record[:start] + change(record[start:end]) + record[end:]

    return _change(script, n, change_record)


def _found(record: bytes, n: int, path: str) -> _json_path.FieldSpan:
    """Where a field is.

    Raises: FaultDoesNotApply, which names the paths that end like this one.
    """
    try:
        span = _json_path.find(record, path)
        others = [] if span else sorted(_json_path.paths_to(record, path.rpartition(".")[2]))
    except ValueError:
        raise FaultDoesNotApply(f"record {n} is no JSON, so it has no fields") from None
    if span is None:
        hint = f"; it has {', '.join(others)}" if others else ""
        raise FaultDoesNotApply(f"record {n} has no field {path!r}{hint}")
    return span


def _change(script: Script, n: int, change: Callable[[bytes], bytes]) -> Script:
    """The same answer with the JSON of record `n` changed."""
    parts, at = parts_and_place(script, n)
    (start, end), (record_start, _) = json_span(script, n), record_span(script, n)
    record = parts[at - 1]
    a, b = start - record_start, end - record_start
    parts[at - 1] = record._replace(data=record.data[:a] + change(record.data[a:b]) + record.data[b:])
    return with_parts(script, parts)


# ------------------------------------------------------------------------------------------ for all of them


def kind_of(script: Script) -> str:
    """The media type of the answer."""
    return "" if script.head is None else script.head.media_type


def parts_of(script: Script) -> list[ContentPart]:
    """The content of an answer with records that ends cleanly.

    Raises: FaultDoesNotApply.
    """
    if kind_of(script) not in (*STREAMS, "application/json"):
        raise FaultDoesNotApply("this strikes records, or an answer in JSON; this script sends none")
    ends = any(isinstance(part, LastChunk) for *_, part in script.parts())
    if script.head is not None and script.head.chunked and not ends:
        raise FaultDoesNotApply("this script's stream does not end cleanly: change its content before you cut it")
    return content(script)


def parts_and_place(script: Script, n: int) -> tuple[list[ContentPart], int]:
    """The content of an answer, and the index just after record `n` in it.

    Raises: FaultDoesNotApply.
    """
    parts = parts_of(script)
    places = [at for at, one in enumerate(parts, 1) if one.is_record]
    return parts, places[number_of(n, len(places)) - 1]


def insert_after(script: Script, n: int, data: bytes) -> Script:
    """The same answer with `data` after record `n`, or at its very beginning for 0."""
    parts, at = (parts_of(script), 0) if n == 0 else parts_and_place(script, n)
    return with_parts(script, [*parts[:at], ContentPart(parts[max(0, at - 1)].at_s, data), *parts[at:]])


def with_parts(script: Script, parts: Iterable[ContentPart]) -> Script:
    """The same answer with another content, each part in a chunk of its own."""
    body: list[Piece] = [(one.at_s, one.data) for one in parts]
    return with_pieces(script, body)


def refuse_one_piece(script: Script, why: str) -> None:
    """Raises: FaultDoesNotApply, if the answer is in one piece."""
    if kind_of(script) not in STREAMS:
        raise FaultDoesNotApply(f"this is an answer in one piece: {why}")
