"""Records: the JSON values in a body. Lines end at LF and nowhere else.

Source: https://github.com/ndjson/ndjson-spec ("The parser MUST accept newline as line delimiter \\n"), and Go's
encoding/json, which leaves U+0085 unescaped: a client that splits at every Unicode line break tears records apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_harness.files.json_text import ndjson_lines, parse_json

__all__ = [
    "DONE",
    "in_band_error",
    "is_terminal",
    "record_ends",
    "sse_events",
    "stream_records",
]

#: Content types of streams.
STREAMS = ("application/x-ndjson", "text/event-stream")

#: The terminal event of the OpenAI-style streams, which is no JSON.
DONE = "[DONE]"


def sse_events(body: bytes) -> Iterator[bytes]:
    """Each server-sent event with the blank line at its end; the last event without one if it is not whole.

    Ollama ends lines with LF only, so CR is no line end here.
    """
    start = 0
    while start < len(body):
        found = body.find(b"\n\n", start)
        end = len(body) if found < 0 else found + 2
        yield body[start:end]
        start = end


def record_ends(media_type: str, body: bytes) -> list[int]:
    """The offset just after each record of a body. The body of anything but a stream is one record."""
    split = {"application/x-ndjson": ndjson_lines, "text/event-stream": sse_events}.get(media_type)
    pieces = [body] if split is None else list(split(body))
    ends, offset = [], 0
    for piece in pieces:
        offset += len(piece)
        if piece.strip():
            ends.append(offset)
    return ends


def stream_records(media_type: str, body: bytes) -> list[Any]:
    """The records of a stream, one for each of `record_ends`, None where one is not valid; [] if it is no stream."""
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


def event_record(event: bytes) -> Any:
    """The record in a server-sent event: its JSON, or "[DONE]", or None for a comment.

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
    """The value of `error` in a record of a stream, or None. Ollama sends such errors at status 200.

    Source: https://docs.ollama.com/api/errors ("Errors that occur while streaming").
    """
    return record.get("error") if isinstance(record, dict) else None
