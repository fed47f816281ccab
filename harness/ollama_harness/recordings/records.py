"""Records: the JSON values in a body. A line of NDJSON ends at LF and nowhere else; `events` reads event streams.

Source: https://github.com/ndjson/ndjson-spec ("The parser MUST accept newline as line delimiter \\n"), and Go's
encoding/json, which leaves U+0085 unescaped: a client that splits at every Unicode line break tears records apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.recordings.events import DONE, NO_JSON, Event, error_of, events_of, is_end, is_finish

__all__ = [
    "STREAMS",
    "Item",
    "in_band_error",
    "is_terminal",
    "items_of",
    "record_ends",
    "stream_values",
]

#: Content types of streams.
STREAMS = ("application/x-ndjson", "text/event-stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A record of a body, or an end of an event stream, which is no record.

    `data` are the bytes that should be JSON, and `value` is what they say, `NO_JSON` if they say nothing. `start` and
    `end` are offsets in the body, with the line ends. An item is `ended` if its line end or blank line is there. It is
    `is_last` if nothing may come after it, `tells_whole` if the answer is whole with it; `error` is its error, or None.
    """

    data: bytes
    value: Any
    start: int
    end: int
    ended: bool = True
    is_record: bool = True
    is_last: bool = False
    tells_whole: bool = False
    error: Any = None


def items_of(media_type: str, body: bytes) -> list[Item]:
    """The records and ends of a body, in order. The body of anything but a stream is one record."""
    match media_type:
        case "text/event-stream":
            return [_of_event(event) for event in events_of(body).all]
        case "application/x-ndjson":
            return list(_of_lines(body))
        case _:
            return [Item(data=body, value=_value(body), start=0, end=len(body))] if body.strip() else []


def _of_event(event: Event) -> Item:
    return Item(
        data=event.data,
        value=event.value,
        start=event.start,
        end=event.end,
        ended=event.ended,
        is_record=not is_end(event),
        is_last=is_end(event),
        tells_whole=is_end(event) or is_finish(event),
        error=error_of(event),
    )


def _of_lines(body: bytes) -> Iterator[Item]:
    end = 0
    for line in ndjson_lines(body):
        start, end = end, end + len(line)
        if line.strip():
            value = _value(line)
            last = is_terminal(value)
            yield Item(
                data=line,
                value=value,
                start=start,
                end=end,
                ended=line.endswith(b"\n"),
                is_last=last,
                tells_whole=last,
                error=in_band_error(value),
            )


def _value(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError:
        return NO_JSON


def record_ends(media_type: str, body: bytes) -> list[int]:
    """The offset just after each record of a body."""
    if media_type == "application/x-ndjson":  # no line needs to be parsed for that
        ends = itertools.accumulate(map(len, ndjson_lines(body)))
        return [end for line, end in zip(ndjson_lines(body), ends, strict=True) if line.strip()]
    return [item.end for item in items_of(media_type, body) if item.is_record]


def stream_values(media_type: str, body: bytes) -> list[Any]:
    """The values of a stream, ends among them, "[DONE]" too, and None where one is not valid; [] if it is no stream."""
    if media_type not in STREAMS:
        return []
    items = items_of(media_type, body)
    return [DONE.decode() if one.data == DONE else None if one.value is NO_JSON else one.value for one in items]


def is_terminal(record: Any) -> bool:
    """Whether a record of Ollama's own streams says that the answer is whole.

    `done: true` (generate, chat), `status: success` (pull, push, create).
    """
    return isinstance(record, dict) and (record.get("done") is True or record.get("status") == "success")


def in_band_error(record: Any) -> Any:
    """The value of `error` in a record of Ollama's own streams, or None. Ollama sends such errors at status 200.

    Source: https://docs.ollama.com/api/errors ("Errors that occur while streaming").
    """
    return record.get("error") if isinstance(record, dict) else None
