"""Faults of the content: the message is whole HTTP, but the content is not what Ollama promises."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import fault
from ollama_harness.faults.editing import Piece, record_span, records, with_pieces
from ollama_harness.faults.places import TEXT
from ollama_harness.recordings.records import STREAMS, event_record, is_terminal, stream_records
from ollama_harness.recordings.versions import order
from ollama_harness.script.message_parts import LastChunk
from ollama_harness.script.script import Script

__all__ = [
    "add_field",
    "begin_with",
    "drop_all_records",
    "drop_last_line_feed",
    "drop_record",
    "drop_terminal_record",
    "duplicate_record",
    "end_inside_record",
    "error_line_after_record",
    "insert_line",
    "lengthen_record",
    "nest_record",
    "put_into_text",
    "separate_lines_with",
    "set_field",
    "swap_records",
]

#: Ollama's error in a stream when its runner dies (fixtures/recordings/*/fault-runner-killed-*).
RUNNER_DIED = "an error was encountered while running the model: unexpected EOF"

#: From this version on only the first event of a chat names the role.
_ROLE_ONCE_SINCE = "0.32.6"


# ------------------------------------------------------------------------------------------ whole records


@fault(
    'Send {"error": …} at status 200 after record n, then end cleanly, as when Ollama\'s runner dies; or go on. The '
    "streams of /v1 have no errors: Ollama ends them there, OpenAI's after an event that says nothing.",
    3,
)
def error_line_after_record(
    script: Script, n: int, error: Any = RUNNER_DIED, *, goes_on: bool = False, line_feed: bool = True
) -> Script:
    if script.head is not None and script.head.media_type == "text/event-stream":
        if goes_on or not line_feed:
            raise FaultDoesNotApply("a stream of events ends in the place of an error, and has no line of it")
        events, at = _records(script), _index(script, n) + 1
        return with_pieces(script, [*events[:at], *_in_place_of_an_error(events[at - 1], script.version)])
    line = json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False).encode()
    lines, at = _lines(script), _index(script, n) + 1
    rest = lines[at:] if goes_on else []
    return with_pieces(script, [*lines[:at], (lines[at - 1][0], line + b"\n" * line_feed), *rest])


def _in_place_of_an_error(before: Piece, version: str) -> list[Piece]:
    """What Ollama sends in a stream of events in the place of an error, after this event.

    It reads the error as a record without fields, so OpenAI's kinds get an event without text and model.
    Source: the recordings `fault-runner-killed-v1-*`; openai/openai.go (`ToChunk`, `ToCompleteChunk`).
    """
    at_s, event = before
    try:
        record = event_record(event)
    except ValueError:
        record = None
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
    return [(at_s, b"data: " + json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n")]


@fault("Send any line after record n (0: before the first).", 3, "null")
def insert_line(script: Script, n: int, line: str) -> Script:
    lines = _lines(script)
    at = 0 if n == 0 else _index(script, n) + 1
    return with_pieces(script, [*lines[:at], (lines[max(0, at - 1)][0], line.encode() + b"\n"), *lines[at:]])


@fault("Send record n twice.", 3)
def duplicate_record(script: Script, n: int) -> Script:
    lines, at = _records(script), _index(script, n)
    return with_pieces(script, [*lines[: at + 1], *lines[at:]])


@fault("Leave record n out.", 3)
def drop_record(script: Script, n: int) -> Script:
    lines, at = _records(script), _index(script, n)
    return with_pieces(script, [*lines[:at], *lines[at + 1 :]])


@fault("End cleanly without the terminal record: no `done: true`, and no error.")
def drop_terminal_record(script: Script) -> Script:
    sent = stream_records(script.head.media_type, script.body) if script.head and script.head.chunked else []
    terminal = next((n for n, record in enumerate(sent, 1) if is_terminal(record)), None)
    if terminal is None:
        raise FaultDoesNotApply("this script sends no stream with a terminal record")
    lines = _records(script)
    return with_pieces(script, [*lines[: terminal - 1], *lines[terminal:]])


@fault("Send record n after the one that follows it.", 3)
def swap_records(script: Script, n: int) -> Script:
    lines, at = _records(script), _index(script, n)
    if at + 1 == len(lines):
        raise FaultDoesNotApply(f"no record follows record {n}")
    (first_s, first), (second_s, second) = lines[at : at + 2]
    return with_pieces(script, [*lines[:at], (first_s, second), (second_s, first), *lines[at + 2 :]])


@fault("End the message cleanly before the first record: an empty body.")
def drop_all_records(script: Script) -> Script:
    _records(script)
    return with_pieces(script, [])


@fault("End the message cleanly in the middle of record n.", 3)
def end_inside_record(script: Script, n: int) -> Script:
    lines, at = _records(script), _index(script, n)
    at_s, line = lines[at]
    return with_pieces(script, [*lines[:at], (at_s, line[: len(line) // 2])])


# ------------------------------------------------------------------------------------------ lines


@fault("End each line with other bytes than LF.", b"\r\n")
def separate_lines_with(script: Script, separator: bytes) -> Script:
    return with_pieces(script, [(at_s, line.rstrip(b"\n") + separator) for at_s, line in _lines(script)])


@fault("Leave out the line feed at the very end.")
def drop_last_line_feed(script: Script) -> Script:
    lines = _lines(script)
    return with_pieces(script, [*lines[:-1], (lines[-1][0], lines[-1][1].rstrip(b"\n"))])


@fault("Put bytes before the first record: a byte order mark, white space.", b"\xef\xbb\xbf")
def begin_with(script: Script, data: bytes) -> Script:
    (at_s, first), *rest = _lines(script)
    return with_pieces(script, [(at_s, data + first), *rest])


# ------------------------------------------------------------------------------------------ inside a record


@fault("Put bytes into the text of record n, as they are.", 3, "\u0085".encode())
def put_into_text(script: Script, n: int, data: bytes) -> Script:

    def change(line: bytes) -> bytes:
        found = TEXT.search(line)
        if found is None:
            raise FaultDoesNotApply(f"record {n} has no text")
        return line[: found.end(1)] + data + line[found.end(1) :]

    return _change(script, n, change)


@fault("Add `size_bytes` bytes to the text of record n.", 3, 2000)
def lengthen_record(script: Script, n: int, size_bytes: int) -> Script:
    return put_into_text(n, b"x" * size_bytes)(script)


@fault("Give record n a field of arrays in arrays, `depth` deep.", 3, 200)
def nest_record(script: Script, n: int, depth: int) -> Script:
    return add_field(n, "nested", "[" * depth + "]" * depth)(script)


@fault(
    "Add a field with a value in JSON at the end of record n, even if it has one of that name.",
    3,
    "confidence",
    "0.5",
)
def add_field(script: Script, n: int, name: str, value: str) -> Script:
    field = f",{json.dumps(name)}:{value}}}".encode()
    return _change(script, n, lambda line: line.rstrip(b"\n").removesuffix(b"}") + field + b"\n")


@fault("Give a field of record n another value in JSON.", 3, "done", '"no"')
def set_field(script: Script, n: int, name: str, value: str) -> Script:
    pattern = re.compile(rb'(%b:)("(?:[^"\\]|\\.)*"|[-+.0-9a-zA-Z]+)' % re.escape(json.dumps(name).encode()))

    def change(line: bytes) -> bytes:
        if not pattern.search(line):
            raise FaultDoesNotApply(f"record {n} has no simple field {name!r}")
        return pattern.sub(lambda found: found[1] + value.encode(), line, count=1)

    return _change(script, n, change)


def _lines(script: Script) -> list[Piece]:
    """The lines of an NDJSON stream that ends cleanly.

    Raises: FaultDoesNotApply.
    """
    if script.head is None or script.head.media_type != "application/x-ndjson":
        raise FaultDoesNotApply("this strikes an NDJSON stream; this script sends none")
    return _records(script)


def _records(script: Script) -> list[Piece]:
    """The records of any stream that ends cleanly.

    Raises: FaultDoesNotApply.
    """
    if script.head is None or script.head.media_type not in STREAMS:
        raise FaultDoesNotApply("this strikes a stream of records; this script sends none")
    if script.head.chunked and not any(isinstance(part, LastChunk) for _, _, part in script.parts()):
        raise FaultDoesNotApply("this script's stream does not end cleanly: change its content before you cut it")
    return records(script)


def _index(script: Script, n: int) -> int:
    record_span(script, n)
    return n - 1 if n > 0 else len(script.record_ends()) + n


def _change(script: Script, n: int, change: Callable[[bytes], bytes]) -> Script:
    lines, at = _lines(script), _index(script, n)
    return with_pieces(script, [(at_s, change(line) if k == at else line) for k, (at_s, line) in enumerate(lines)])
