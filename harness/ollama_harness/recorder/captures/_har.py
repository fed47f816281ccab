"""A HAR file, as browsers, proxies and libraries write it: each exchange with Ollama in it becomes a recording.

It has bodies as text, without any coding, and of the times only three: how long it took to send the request, to wait
for the head, and to receive the rest. So the records of a body get equal gaps of the last.

Source: http://www.softwareishard.com/blog/har-12-spec/ (log.entries).
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from datetime import datetime
from pathlib import Path
from typing import Any

from ollama_harness.errors import RecordingError
from ollama_harness.files.fields import Fields, is_head_text, is_one_line
from ollama_harness.files.reading import read_json
from ollama_harness.recorder.captures._http import fitting, request_of
from ollama_harness.recordings.endpoints import frames_in, is_endpoint
from ollama_harness.recordings.recording import (
    GAP_S,
    OTHER_SUFFIX,
    SUFFIXES,
    Frame,
    Headers,
    RecordedEnd,
    Recording,
    Response,
)

__all__ = ["read_har"]

_AGAIN = "export the HAR file again, with the contents in it"


def read_har(path: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """The exchanges with Ollama in a HAR file, without names, and what keeps others from being recordings.

    Raises: RecordingError, if it is no HAR file, or has none.
    """
    har = read_json(path, RecordingError, repair=_AGAIN)
    if not isinstance(har, dict) or not isinstance(har.get("log"), dict) or "entries" not in har["log"]:
        raise RecordingError(path, "", "is no HAR file: it has no log.entries", _AGAIN)
    entries = Fields(path, har["log"], "log.", fix=_AGAIN).take("entries", lambda v: isinstance(v, list), "a list")
    recordings, left_out = list[Recording](), list[str]()
    for number, value in enumerate(entries):
        entry = Fields(path, value, f"log.entries[{number}].", fix=_AGAIN)
        request = entry.object("request")
        target = _path_of(request.text("url"))
        if target == "/" or not is_endpoint(target) or not target.isprintable():  # any page has a root
            continue
        method = request.take("method", _is_method, "a method such as POST")
        got = _recording(entry, method, target, request)
        if isinstance(got, Recording):
            recordings.append(got)
        else:
            left_out.append(f"{path}: log.entries[{number}] ({method} {target}) is left out: {got}")
    if not recordings:
        problem = "holds no exchange with Ollama: no entry with an answer has a path of its API"
        raise RecordingError(
            path, "log.entries", left_out[0].partition("left out: ")[2] if left_out else problem, _AGAIN
        )
    return recordings, tuple(left_out)


def _recording(entry: Fields, method: str, target: str, request: Fields) -> Recording | str:
    """The recording of an entry, or why it is none."""
    response = entry.object("response")
    status = response.take("status", lambda v: type(v) is int, "a whole number")
    if not 100 <= status <= 999:
        return "it has no answer"
    content = response.object("content")
    text, size = content.text("text", optional=True), content.take("size", _is_number, "a number", optional=True)
    if text is None and (size or 0) > 0:
        return "its body was not saved"
    body = _body(content, text or "")
    headers = _headers(response)
    headers = headers if method == "HEAD" else fitting(headers, len(body))
    reason = response.take("statusText", is_head_text, "one line of Latin-1", optional=True) or ""
    answer = Response(status=status, reason=reason, headers=headers, head_at_s=0.0)
    pieces = tuple(frames_in(SUFFIXES.get(answer.media_type, OTHER_SUFFIX), body)) if method != "HEAD" else ()
    head_at_s, end_s = _times(entry, len(pieces))
    gap_s = (end_s - head_at_s) / max(1, len(pieces))
    sent = request.take("postData", lambda v: isinstance(v, dict), "a JSON object", optional=True) or {}
    return Recording(
        id="",
        ollama_version="",
        recorded_at=_started(entry),
        platform="unknown",
        request=request_of(method, target, str(sent.get("text") or "").encode("utf-8", "replace")),
        response=Response(status=status, reason=reason, headers=headers, head_at_s=head_at_s),
        frames=tuple(
            Frame(at_s=round(head_at_s + gap_s * number, 6), data=piece) for number, piece in enumerate(pieces, 1)
        ),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=end_s,
    )


def _path_of(url: str) -> str:
    try:
        return urllib.parse.urlsplit(url).path
    except ValueError:
        return ""


def _body(content: Fields, text: str) -> bytes:
    if content.text("encoding", optional=True) != "base64":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content.fail("text", "is no base64", _AGAIN)


def _headers(response: Fields) -> Headers:
    """The headers, without the pseudo-headers of HTTP/2."""
    pairs = response.take("headers", lambda v: isinstance(v, list), "a list of names and values")
    for number, pair in enumerate(pairs):
        if not isinstance(pair, dict) or not all(is_head_text(pair.get(key)) for key in ("name", "value")):
            response.fail(f"headers[{number}]", "is not a name and a value, each one line of Latin-1", _AGAIN)
    return tuple((pair["name"], pair["value"]) for pair in pairs if not pair["name"].startswith(":"))


def _times(entry: Fields, pieces: int) -> tuple[float, float]:
    """When the head came, and the end, in seconds since the request was sent."""
    timings = entry.take("timings", lambda v: isinstance(v, dict), "a JSON object", optional=True) or {}
    numbers: list[Any] = [timings.get(key) for key in ("send", "wait", "receive")]
    send, wait, receive = (max(0.0, number) if _is_number(number) else 0.0 for number in numbers)
    if not send + wait + receive:
        return GAP_S, GAP_S * (pieces + 1)
    head_at_s = round((send + wait) / 1000, 6)
    return head_at_s, round(head_at_s + receive / 1000, 6)


def _is_method(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[A-Z]+", value) is not None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e15


def _started(entry: Fields) -> str:
    text: str = entry.take("startedDateTime", is_one_line, "an ISO 8601 time")
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        entry.fail("startedDateTime", f"is {text[:40]!r}, not an ISO 8601 time", _AGAIN)
