"""Records: what a body says, once its bytes are there. Lines end at LF and nowhere else, as NDJSON says.

Source: https://github.com/ndjson/ndjson-spec ("The parser MUST accept newline as line delimiter \\n"), and Go's
encoding/json, which leaves U+0085 unescaped: splitting at every Unicode line break tears valid records apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

__all__ = [
    "DONE",
    "MAX_DEPTH",
    "TooDeep",
    "Unreadable",
    "has_lone_surrogate",
    "in_band_error",
    "is_terminal",
    "is_too_deep",
    "ndjson_lines",
    "parse_json",
    "record_ends",
    "sse_events",
    "stream_records",
]

_SURROGATES = re.compile("[\ud800-\udfff]")

#: Content types of streams.
STREAMS = ("application/x-ndjson", "text/event-stream")

#: The terminal event of the OpenAI-style streams, which is no JSON.
DONE = "[DONE]"

#: How deep a value may be nested. No API comes near it; whatever walks through values takes some frames of Python's
#: stack (1000) for each level.
MAX_DEPTH = 300


class Unreadable(ValueError):
    """A value that the grammar of JSON or TOML allows, and that cannot be used."""


class TooDeep(Unreadable):
    """One that is nested deeper than can be walked through."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels")


def ndjson_lines(body: bytes) -> Iterator[bytes]:
    """Each line with its LF; the last one without, if the body does not end with LF."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start) + 1 or len(body)
        yield body[start:end]
        start = end


def sse_events(body: bytes) -> Iterator[bytes]:
    """Each server-sent event with the blank line that ends it; the last one without, if it is not whole.

    Ollama ends lines with LF only, so CR is not a line end here.
    """
    start = 0
    while start < len(body):
        found = body.find(b"\n\n", start)
        end = len(body) if found < 0 else found + 2
        yield body[start:end]
        start = end


def record_ends(media_type: str, body: bytes) -> list[int]:
    """The offset just after each whole record of a body; for anything but a stream the body is one record."""
    split = {"application/x-ndjson": ndjson_lines, "text/event-stream": sse_events}.get(media_type)
    pieces = [body] if split is None else list(split(body))
    ends, offset = [], 0
    for piece in pieces:
        offset += len(piece)
        if piece.strip():
            ends.append(offset)
    return ends


def stream_records(media_type: str, body: bytes) -> list[Any]:
    """The records of a stream, one for each of `record_ends`; None for one that cannot be read. No stream has none."""
    if media_type not in STREAMS:
        return []
    parse = event_record if media_type == "text/event-stream" else parse_json
    records, start = [], 0
    for end in record_ends(media_type, body):
        try:
            records.append(parse(body[start:end]))
        except ValueError:
            records.append(None)
        start = end
    return records


def parse_json(data: bytes) -> Any:
    """One JSON value, strictly: UTF-8, no NaN or Infinity, not deeper than `MAX_DEPTH`.

    Raises: ValueError.
    """
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise TooDeep from None
    except ValueError as error:
        if type(error) is ValueError:  # Python's own limit; its advice is for programmers
            raise Unreadable("a number has too many digits") from None
        raise
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and is_too_deep(value):
        raise TooDeep
    return value


def is_too_deep(value: Any) -> bool:
    """Whether arrays and objects are nested deeper than `MAX_DEPTH` levels."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = (one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, list | Mapping))
        level = [value for values in inner for value in values]
        if not level:
            return False
    return True


def escape_surrogates(json_text: str) -> str:
    """JSON text that can be written as UTF-8: half a surrogate pair is legal in JSON as an escape only."""
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def has_lone_surrogate(value: Any) -> bool:
    """Whether a text in a value of JSON holds half a surrogate pair, which only an escape can say."""
    values = [value]
    while values:  # without recursion: JSON may be nested deeper than Python calls
        match values.pop():
            case str(text) if _SURROGATES.search(text):
                return True
            case list(items):
                values += items
            case dict(fields):
                values += [*fields, *fields.values()]
    return False


def event_record(event: bytes) -> Any:
    """The record that one server-sent event carries: its JSON, or "[DONE]", or None for a mere comment.

    Raises: ValueError.
    """
    data = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    if not data:
        return None
    joined = b"\n".join(data)
    return DONE if joined == DONE.encode() else parse_json(joined)


def is_terminal(record: Any) -> bool:
    """Whether a record says that the answer is whole.

    `done: true` (generate, chat), `status: success` (pull, push, create), `[DONE]` and its like (/v1).
    """
    if record == DONE:
        return True
    if not isinstance(record, dict):
        return False
    return (
        record.get("done") is True
        or record.get("status") == "success"
        or record.get("type") in ("response.completed", "message_stop")
    )


def in_band_error(record: Any) -> Any:
    """The value of `error` in a record of a stream, or None. Ollama says so at status 200.

    Source: https://docs.ollama.com/api/errors ("Errors that occur while streaming").
    """
    return record.get("error") if isinstance(record, dict) else None


def _refuse_constant(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no JSON")
