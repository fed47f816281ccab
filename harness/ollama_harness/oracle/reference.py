"""The reference: what a perfect client must see, computed from the bytes that are played.

It decodes a script in four steps. The strict reader of `script.http1` finds the head and the body. The end of HTTP
follows from the body and from how the connection ends: complete, truncated, an error, or open. The content coding is
undone. The content is split into records, which are parsed. Each step may make the end worse, and each end has its
`Cause`. The end at Ollama's layer follows from the records and from the end of HTTP: a stream without its terminal
record is complete for HTTP and truncated for Ollama.

A stream of /v1 can be read in two ways. Its records are the JSON of its events, but for the ends. An HTTP library knows
no JSON there and no ends: it yields each event as text, and `as_events` asks for these.

A client that translates yields pieces, not records. `said` has the pieces of each record, and of each end.

Where the standards allow a client two readings, the end is marked `either`, and a client is right both ways. Some
records at the edge are allowed and not due: `records` has them, `due` does not count them.

Nothing is expected by hand, and the reference knows no client: it shares no line splitting and no HTTP parser with any.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

from ollama_harness.errors import ProtocolError
from ollama_harness.files.json_text import has_lone_surrogate, parse_json
from ollama_harness.oracle._saying import pieces_of
from ollama_harness.oracle.pieces import PieceObject
from ollama_harness.oracle.words import Cause, Layer
from ollama_harness.recordings.events import NO_JSON
from ollama_harness.recordings.records import STREAMS, Item, items_of
from ollama_harness.script.http1 import Body, ResponseHead, read_body, read_response_head
from ollama_harness.script.script import ConnectionEnd, Script, http_date

__all__ = [
    "Cause",
    "ExpectedEnd",
    "ExpectedEndKind",
    "Layer",
    "Reference",
    "Said",
    "decode",
    "first_silence",
    "redirected",
    "reference",
]


class ExpectedEndKind(StrEnum):
    """How an answer ends."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"  # it ends too early
    ERROR = "error"  # it contains an error, or is one
    OPEN = "open"  # it never ends


@dataclass(frozen=True, slots=True)
class ExpectedEnd:
    """The end of an answer, and its cause. `detail` is the status, the error's text or the broken rule.

    `either`: a client may treat it as a good end or as a bad one, and is right both ways if it yields no more records
    than are due.
    """

    kind: ExpectedEndKind
    cause: Cause
    detail: str = ""
    either: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a perfect client sees.

    `records` are all whole records of the body, whatever their layer. For each layer, `ends` has how the answer ends,
    and `due` how many of the records a client of that layer must have yielded by then. `said` is what the records and
    the ends of an event stream say, in their order.
    """

    records: tuple[Any, ...]
    ends: dict[Layer, ExpectedEnd]
    due: dict[Layer, int]
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a record says, or an end of an event stream, in pieces.

    `records` is how many records there are up to here. It is due if a client that translates must yield it.
    """

    pieces: tuple[PieceObject, ...]
    records: int
    is_due: bool


_COMPLETE = ExpectedEnd(ExpectedEndKind.COMPLETE, Cause.WHOLE)


def reference(
    script: Script, *, media_type: str | None = None, read_timeout_s: float = math.inf, as_events: bool = False
) -> Reference:
    """What a perfect client sees of a script.

    `media_type` is what the client expects, by default what the head says. A silence that is longer than
    `read_timeout_s` seconds ends the answer. With `as_events` an event stream is read as HTTP libraries do.
    """
    if script.ending.how is ConnectionEnd.REFUSE:
        return _both((), ExpectedEnd(ExpectedEndKind.ERROR, Cause.REFUSED))
    if (silent := first_silence(script, read_timeout_s)) is not None:
        script = script.cut(silent, ConnectionEnd.HOLD)
    wire = script.render(date=http_date(0)).wire
    return decode(
        wire,
        script.ending.how,
        method=script.method,
        path=script.path,
        media_type=media_type,
        as_events=as_events,
    )


def first_silence(script: Script, read_timeout_s: float) -> int | None:
    """The number of segments before the first silence longer than a read timeout; None if there is no such silence."""
    times = [0.0, *(segment.at_s for segment in script.segments), script.ending.at_s]
    return next((n for n, (before, after) in enumerate(pairwise(times)) if after - before > read_timeout_s), None)


def redirected(target: Reference) -> Reference:
    """What a perfect client sees of a redirect to `target`, which it may follow or not (RFC 9110 section 15.4)."""
    ends = {layer: replace(end, cause=Cause.REDIRECT, either=True) for layer, end in target.ends.items()}
    return replace(target, ends=ends)


def decode(
    wire: bytes,
    how: ConnectionEnd,
    *,
    method: str,
    path: str = "",
    media_type: str | None = None,
    as_events: bool = False,
) -> Reference:
    """What a perfect client sees of these bytes, an answer to `method`, if the connection then ends like `how`.

    Informational (1xx) responses are skipped. `media_type` is what the client expects, whatever the head says. `path`
    decides what the records say. `as_events`: an event stream yields the text of each event.
    """
    try:
        head = read_response_head(wire)
        while head is not None and 100 <= head.status < 200:
            wire = wire[head.size :]
            head = read_response_head(wire)
        if head is None:
            return _both((), _cut_short(how))
        body = read_body(wire[head.size :], head, method=method)
    except ProtocolError as error:
        return _both((), ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING, str(error)))
    if head.status >= 300:
        return _both((), ExpectedEnd(ExpectedEndKind.ERROR, Cause.STATUS, str(head.status)))
    if body.absent:
        return _both((), _COMPLETE)
    http = _transport_end(body, how)
    data, http = _decoded(head, body.data, http)
    kind = head.media_type if media_type is None else media_type
    if http == _COMPLETE and kind != head.media_type:
        http = replace(http, cause=Cause.OTHER_TYPE, either=True)
    if http == _COMPLETE and head.header("transfer-encoding") and head.header("content-length"):
        http = replace(http, cause=Cause.TWO_LENGTHS, either=True)  # RFC 9112 section 6.3
    if data.startswith(BOM_UTF8) and kind != "text/event-stream":  # RFC 8259 section 8.1: parsers MAY ignore it
        data = data.removeprefix(BOM_UTF8)
        http = replace(http, cause=Cause.BYTE_ORDER_MARK, either=True) if http == _COMPLETE else http
    content = _content(kind, data, whole=http.kind is ExpectedEndKind.COMPLETE, as_events=as_events)
    records = content.records
    http = ExpectedEnd(ExpectedEndKind.ERROR, Cause.BAD_JSON, content.bad_json) if content.bad_json else http
    if http == _COMPLETE and rb"\u" in data and any(map(has_lone_surrogate, records)):  # RFC 8259 section 8.2
        http = replace(http, cause=Cause.LONE_SURROGATE, either=True)
    end, due = _ollama_end(kind, content.items, http, as_events=as_events)
    due = min(due, content.certain)
    counts = list(itertools.accumulate((item.is_record for item in content.items), initial=0))
    said = (pieces_of(path, item.value) for item in content.items)
    return Reference(
        records=records,
        ends={Layer.HTTP: http, Layer.OLLAMA: end},
        due={Layer.HTTP: counts[content.certain], Layer.OLLAMA: counts[due]},
        said=tuple(Said(pieces=pieces, records=counts[n], is_due=n <= due) for n, pieces in enumerate(said, start=1)),
    )


def _both(records: tuple[Any, ...], end: ExpectedEnd) -> Reference:
    return Reference(records=records, ends=dict.fromkeys(Layer, end), due=dict.fromkeys(Layer, len(records)))


def _transport_end(body: Body, how: ConnectionEnd) -> ExpectedEnd:
    if body.error is not None:
        return ExpectedEnd(ExpectedEndKind.ERROR, Cause.FRAMING, body.error)
    closed = how in (ConnectionEnd.CLOSE, ConnectionEnd.HALF_CLOSE)
    return _COMPLETE if body.whole or (body.until_close and closed) else _cut_short(how)


def _cut_short(how: ConnectionEnd) -> ExpectedEnd:
    """The end of a message that is not whole when the script ends."""
    match how:
        case ConnectionEnd.CLOSE | ConnectionEnd.HALF_CLOSE:
            return ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.FIN)
        case ConnectionEnd.RESET:
            return ExpectedEnd(ExpectedEndKind.ERROR, Cause.RST)
        case ConnectionEnd.HOLD | ConnectionEnd.IGNORE | ConnectionEnd.KEEP_OPEN:
            return ExpectedEnd(ExpectedEndKind.OPEN, Cause.SILENCE)
        case ConnectionEnd.REFUSE:
            return ExpectedEnd(ExpectedEndKind.ERROR, Cause.REFUSED)


def _decoded(head: ResponseHead, data: bytes, end: ExpectedEnd) -> tuple[bytes, ExpectedEnd]:
    """The data without its content coding, and the end, an error if it cannot be decoded (RFC 9110 section 8.4)."""
    coding = head.header("content-encoding").lower()
    if coding in ("", "identity"):
        return data, end
    if coding != "gzip":
        return b"", ExpectedEnd(ExpectedEndKind.ERROR, Cause.CODING, f"unknown content coding {coding}")
    unpacker, unpacked = zlib.decompressobj(wbits=31), b""
    try:
        for start in range(0, len(data), 64):  # in small steps, because a client may yield what comes before an error
            unpacked += unpacker.decompress(data[start : start + 64])
    except zlib.error as error:
        return unpacked, ExpectedEnd(ExpectedEndKind.ERROR, Cause.CODING, str(error))
    if end.kind is ExpectedEndKind.COMPLETE and not unpacker.eof:
        end = ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.CODING, "the gzip stream is not whole")
    return unpacked, end


@dataclass(frozen=True, slots=True)
class _Content:
    """The records and ends of a body, how many of them are certain, and what is wrong with the first that is bad."""

    items: Sequence[Item]
    certain: int
    bad_json: str = ""

    @property
    def records(self) -> tuple[Any, ...]:
        return tuple(item.value for item in self.items if item.is_record)


def _content(media_type: str, data: bytes, *, whole: bool, as_events: bool) -> _Content:
    """The content of a body, up to the first record that is no JSON.

    The last line of a body that is cut short is no certain record, and an event without its blank line never is. If it
    is JSON, a client may yield it or not; if it is not, that is no error.
    """
    known, is_events = list[Item](), media_type == "text/event-stream"
    if media_type not in STREAMS and not (media_type == "application/json" and whole):
        return _Content((), 0)
    for item in items_of(media_type, data):
        certain = item.ended or (whole and not is_events)
        if is_events and as_events:
            item = replace(item, value=_text(data[item.start : item.end]), is_record=True)
        if item.value is NO_JSON and item.is_record:
            return _Content(known, len(known), _problem(item.data) if certain else "")
        if not certain:
            allowed = not item.is_record or isinstance(item.value, dict) or (is_events and as_events)
            return _Content([*known, item] if allowed else known, len(known))
        known.append(item)
    return _Content(known, len(known))


def _text(event: bytes) -> str:
    """An event as an HTTP library yields it: its lines but for comments, decoded as the standard says."""
    lines = re.split(rb"\r\n|\n|\r", event)
    return b"\n".join(line for line in lines if line and not line.startswith(b":")).decode("utf-8", "replace")


def _problem(data: bytes) -> str:
    try:
        parse_json(data)
    except ValueError as error:
        return str(error)
    raise AssertionError("data without a value is no JSON")


def _ollama_end(
    media_type: str, items: Sequence[Item], http: ExpectedEnd, *, as_events: bool
) -> tuple[ExpectedEnd, int]:
    """The end and the number of due records and ends at Ollama's layer, given the end at HTTP's layer."""
    stream, count = media_type in STREAMS, len(items)
    for index, item in enumerate(items):
        if stream and item.is_record and not as_events and not isinstance(item.value, dict):
            return ExpectedEnd(ExpectedEndKind.ERROR, Cause.NO_OBJECT, repr(item.value)), index
        if item.error is not None:
            return ExpectedEnd(ExpectedEndKind.ERROR, Cause.IN_BAND, str(item.error)), index
        if item.is_last and index + 1 < len(items):
            return ExpectedEnd(ExpectedEndKind.ERROR, Cause.AFTER_TERMINAL_RECORD, either=True), index + 1
    told = [item.ended for item in items if item.tells_whole]
    if http.kind is not ExpectedEndKind.COMPLETE:
        # After the terminal record Ollama's answer is whole, even if HTTP still lacks its last chunk.
        return replace(http, either=bool(told) and http.cause is not Cause.BAD_JSON), count
    unfinished = any(isinstance(one.value, dict) and one.value.get("done") is False for one in items[-1:])
    if (stream and not told) or (not stream and unfinished):
        return ExpectedEnd(ExpectedEndKind.TRUNCATED, Cause.NO_TERMINAL_RECORD), count
    if media_type == "text/event-stream" and not any(told):  # only an event without its blank line tells it
        return replace(http, either=True), count
    return http, count
