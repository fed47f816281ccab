"""Faults of the head: something else answers instead of Ollama, or the head is not what it should be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ollama_harness.errors import FaultDoesNotApply
from ollama_harness.faults.definition import fault
from ollama_harness.faults.editing import head_of, with_head
from ollama_harness.faults.intermediaries import INTERMEDIARIES, phrase
from ollama_harness.recordings.error_shapes import ErrorShape, error_shape, error_value
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.message_parts import Head, Raw, Slice
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment

__all__ = [
    "add_header",
    "drop_header",
    "fatten_head",
    "inform",
    "redirect",
    "replace_status_line",
    "replace_with",
    "replace_with_error",
    "replace_with_text",
    "set_header",
]


@fault(
    "Answer as a proxy, a gateway or a login page instead of Ollama; `answer` is a name in INTERMEDIARIES.",
    "proxy-502",
)
def replace_with(script: Script, answer: str) -> Script:
    if answer not in INTERMEDIARIES:
        raise FaultDoesNotApply(f"there is no answer {answer!r}; give one of {', '.join(INTERMEDIARIES)}")
    given = INTERMEDIARIES[answer]
    return _replaced(script, given.head, given.body, given.how)


@fault(
    'Refuse as Ollama does, in the shape of the route: with a status and {"error": …}. `error` may be any JSON value; '
    "None: the body is empty.",
    500,
)
def replace_with_error(
    script: Script, status: int, error: Any = "something went wrong", retry_after: str | None = None
) -> Script:
    shape = error_shape(script.path)
    value = {"error": error}
    if isinstance(error, str):
        value = error_value(shape, status, error, seed=script.body, version=script.version)
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except TypeError as problem:
        raise FaultDoesNotApply(f"{error!r} is no JSON: {problem}") from None
    fields: Headers = (("Content-Type", "application/json; charset=utf-8"),)
    if shape is not ErrorShape.OLLAMA:
        text += "\n"
        fields = (*_set_before(head_of(script)), ("Content-Type", "application/json"))
    body = b"" if error is None else text.encode()
    retry = () if retry_after is None else (("Retry-After", retry_after),)
    return _replaced(
        script, Head(status, phrase(status), (*fields, ("Date", ""), *retry)), body, ConnectionEnd.KEEP_OPEN
    )


@fault("Refuse with any body.", "[]")
def replace_with_text(
    script: Script, text: str, *, status: int = 500, content_type: str = "application/json"
) -> Script:
    head = Head(status, phrase(status), (("Content-Type", content_type), ("Date", "")))
    return _replaced(script, head, text.encode(), ConnectionEnd.KEEP_OPEN)


@fault("Redirect the client to another address (RFC 9110 section 15.4).", 307, "/elsewhere")
def redirect(script: Script, status: int, to: str) -> Script:
    head = Head(status, phrase(status), (("Location", to), ("Date", "")))
    return _replaced(script, head, b"", ConnectionEnd.KEEP_OPEN)


@fault("Send an informational response (100, 103) before the answer (RFC 9110 section 15.2).", 103)
def inform(script: Script, status: int) -> Script:
    head_of(script)
    link = "Link: </style.css>; rel=preload\r\n" if status == 103 else ""
    return script.insert(0, Raw(f"HTTP/1.1 {status} {phrase(status)}\r\n{link}\r\n".encode()))


@fault("Give a header another value, or add it.", "Content-Type", "text/html")
def set_header(script: Script, name: str, value: str) -> Script:
    _refuse_unwritable(value)
    return with_head(script, head_of(script).with_header(name, value))


@fault("Leave out a header.", "Content-Type")
def drop_header(script: Script, name: str) -> Script:
    head = head_of(script)
    if head.header(name) is None:
        raise FaultDoesNotApply(f"this script sends no {name} that could be left out")
    return with_head(script, head.with_header(name, None))


@fault("Add a header line, even if there is one of that name.", "Content-Length", "5")
def add_header(script: Script, name: str, value: str) -> Script:
    _refuse_unwritable(value)
    head = head_of(script)
    return with_head(script, replace(head, headers=(*head.headers, (name, value))))


@fault("Add a header with a value of `size_bytes` bytes.", 2000)
def fatten_head(script: Script, size_bytes: int) -> Script:
    head = head_of(script)
    return with_head(script, replace(head, headers=(*head.headers, ("X-Padding", "x" * size_bytes))))


@fault("Begin the answer with a line that is no status line.", "HTTP/1.1 abc OK")
def replace_status_line(script: Script, line: str) -> Script:
    head = head_of(script)
    own = f"{head.version} {head.status} {head.reason}"
    parts = (Raw(line.encode("latin-1")), Slice(head, len(own)))
    segments = (
        replace(
            segment,
            parts=tuple(new for part in segment.parts for new in (parts if isinstance(part, Head) else (part,))),
        )
        for segment in script.segments
    )
    return replace(script, segments=tuple(segments))


def _set_before(head: Head) -> Headers:
    """The headers of a stream that Ollama sets before it has an answer or an error."""
    return tuple((name, value) for name, value in head.headers if name in ("Cache-Control", "Connection"))


def _replaced(script: Script, head: Head, body: bytes, how: ConnectionEnd) -> Script:
    head_of(script)
    head = head.with_header("Content-Length", str(len(body)))
    at_s = script.segments[0].at_s
    parts = (head, Raw(body)) if body and script.method != "HEAD" else (head,)
    return replace(script, segments=(Segment(at_s, parts),), ending=ScriptEnd(how=how, at_s=at_s))


def _refuse_unwritable(value: str) -> None:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise FaultDoesNotApply(f"{value!r} cannot be in a head: use characters of Latin-1 only") from None
