"""A reply in one piece, with its head as Go's net/http writes it.

Go writes the headers of a handler in the order of their names, then Date, then what says how long the body is.
Source: net/http, server.go (`cw.writeHeader`).
"""

from __future__ import annotations

import http
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ollama_harness.answers.world import World
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.message_parts import Chunk, Head, LastChunk, Part, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

__all__ = ["Reply", "empty_reply", "go_json", "go_time", "json_reply", "stream_reply", "text_reply"]

NDJSON = "application/x-ndjson"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

#: From this length on Go sends chunks, unless the handler has said how long the body is.
_CHUNKED_FROM_BYTES = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A status and a body. `headers` are those of the handler, in any order; `chunked` None lets the length decide.

    With `closes` the server closes the connection after it. A `bare` one has these headers only, in this order: Go
    writes it by hand to what is no request. `world` is the world after it, if it changes that.
    """

    status: int
    body: bytes = b""
    headers: Headers = ()
    chunked: bool | None = None
    closes: bool = False
    reason: str = ""
    bare: bool = False
    world: World | None = None

    def script(self, method: str) -> Script:
        """What is played; each record of a stream is a chunk. A reply to HEAD has the head only."""
        chunked = len(self.body) > _CHUNKED_FROM_BYTES if self.chunked is None else self.chunked
        headers = self.headers
        if not self.bare:
            headers = (
                *sorted(headers, key=lambda header: header[0]),
                ("Date", ""),
                *self._length(method, chunked=chunked),
            )
        pieces: list[tuple[Part, ...]] = [
            (Head(self.status, self.reason or http.HTTPStatus(self.status).phrase, headers),)
        ]
        if method != "HEAD" and (self.body or chunked):
            if not self.body:
                pieces[0] += (LastChunk(),)
            elif not chunked:
                pieces[0] += (Raw(self.body),)
            elif not self._is_stream:
                pieces[0] += (Chunk(self.body), LastChunk())
            else:
                first, *others = self.body.splitlines(keepends=True)
                pieces[0] += (Chunk(first),)
                pieces += [(Chunk(record),) for record in others]
                pieces.append((LastChunk(),))
        how = ConnectionEnd.CLOSE if self.closes else ConnectionEnd.KEEP_OPEN
        segments = tuple(Segment(0.0, parts) for parts in pieces)
        return Script(method=method, segments=segments, ending=ScriptEnd(how=how, at_s=0.0))

    def _length(self, method: str, *, chunked: bool) -> Headers:
        """What says how long the body is. Of a body that is not sent Go knows the length only where it was short."""
        if self.status == 204 or any(name == "Content-Length" for name, _ in self.headers):
            return ()
        if method == "HEAD":
            return () if chunked or not self.body else (("Content-Length", str(len(self.body))),)
        return (("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(self.body))),)

    @property
    def _is_stream(self) -> bool:
        return ("Content-Type", NDJSON) in self.headers


_SURROGATE = re.compile("[\ud800-\udfff]")

#: A number as Python writes it and Go does not, or a text that looks like one.
_OTHER_FLOAT = re.compile(r"[0-9](?:\.0(?![0-9])|e[+-]?[0-9])")
_STRING_OR_FLOAT = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?')


def go_json(value: Any) -> bytes:
    """A value as Go's json.Marshal writes it: no blanks; `<`, `>`, `&`, U+2028 and U+2029 escaped; keys as they are.

    Half a surrogate pair is U+FFFD, as Go reads it. All else is as it is, U+0085 too.
    """
    text = _ENCODER.encode(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    if _OTHER_FLOAT.search(text):
        text = _STRING_OR_FLOAT.sub(lambda match: _go_float(match[0]), text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def _go_float(token: str) -> str:
    """A number as Go writes it: 5, 0.00001, 1e-7. Source: encoding/json, encode.go (`floatEncoder`)."""
    if token[0] == '"' or not ("." in token or "e" in token):
        return token
    size = abs(float(token))
    if size and (size < 1e-6 or size >= 1e21):
        return token.replace("e-0", "e-")
    text = f"{Decimal(token):f}"
    return text.removesuffix(".0")


def go_time(moment: datetime) -> str:
    """A time in UTC as Go's time.Time is marshalled: RFC 3339, its fraction without zeros at the end."""
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}Z"


def json_reply(
    status: int, value: Any, *, content_type: str = "application/json; charset=utf-8", end: bytes = b""
) -> Reply:
    """JSON, as gin's `c.JSON` sends it. Some compatible endpoints leave the charset out, and `end` with LF."""
    return Reply(status=status, body=go_json(value) + end, headers=(("Content-Type", content_type),))


def text_reply(status: int, text: str, *, content_type: str = "text/plain", headers: Headers = ()) -> Reply:
    return Reply(status=status, body=text.encode(), headers=(*headers, ("Content-Type", content_type)))


def empty_reply(status: int) -> Reply:
    """A status and nothing else, as gin's `c.Status` sends it."""
    return Reply(status=status)


def stream_reply(records: Iterable[Any]) -> Reply:
    """A stream of JSON records, each with its LF, as Ollama's `streamResponse` sends it."""
    body = b"".join(go_json(record) + b"\n" for record in records)
    return Reply(status=200, body=body, headers=(("Content-Type", NDJSON),), chunked=True)
