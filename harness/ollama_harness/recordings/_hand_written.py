"""A body without a meta file: bytes of one's own, played exactly as they are, a record a frame.

A file `<name>.head` beside the body may say what it answers, and with which head:

    POST /v1/chat/completions
    200 text/event-stream
    Retry-After: 3

Method and path; then, if wanted, the status with the media type after it; then further headers, a line each. Without
this file, the name or the objects in the body tell what it answers (see `endpoints`).
"""

from __future__ import annotations

import itertools
import re
from array import array
from dataclasses import dataclass, replace
from pathlib import Path

from ollama_harness.errors import RecordingError
from ollama_harness.files.fields import is_head_text
from ollama_harness.files.reading import read_bytes, read_text
from ollama_harness.recordings import _meta
from ollama_harness.recordings.endpoints import Endpoint, endpoint_of, frames_in, request_for
from ollama_harness.recordings.recording import (
    GAP_S,
    HEAD_SUFFIX,
    SUFFIXES,
    Headers,
    RecordedEnd,
    Recording,
    Response,
    reason_of,
)
from ollama_harness.recordings.versions import is_version

__all__ = ["load_body"]

_ASKED = re.compile(r"([A-Z]+) (/[!-~]*)(?: HTTP/1\.[01])?")
_STATUS = re.compile(r"([1-9][0-9]{2})(?: +([^ /:]+/[ -~]+))?")
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*)")

_MEDIA_TYPES = {suffix: media_type for media_type, suffix in SUFFIXES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What is known of an exchange besides the body."""

    endpoint: Endpoint | None
    status: int = 200
    media_type: str = ""
    headers: Headers = ()


def load_body(path: Path, name: str, id_: str, endpoint: Endpoint | None = None) -> Recording:
    """The recording of a body that has no meta file. `endpoint` is what it answers, if that is known.

    Raises: RecordingError, if nothing says what it answers, or the file beside it is wrong.
    """
    body, head_path = read_bytes(path, RecordingError), path.with_name(name + HEAD_SUFFIX)
    head = _read_head(head_path) if head_path.is_file() else _Head(endpoint=None)
    told = endpoint or head.endpoint or endpoint_of(name, path.suffix, body)
    head = replace(head, endpoint=told)
    if head.endpoint is None:
        fix = (
            f"name it after what it answers (chat-{path.name}, or 'POST v1 chat completions {path.name}'), "
            f"or put {head_path.name} beside it with the line POST /api/chat"
        )
        raise RecordingError(path, "", "neither its name nor the objects in it say which request it answers", fix)
    ends = array("q", itertools.accumulate(map(len, frames_in(path.suffix, body))))
    times = array("d", (GAP_S * number for number in range(1, len(ends) + 1)))
    end_s = len(ends) * GAP_S
    folder = id_.rpartition("/")[0].rpartition("/")[2]
    return Recording(
        id=id_,
        ollama_version=folder if is_version(folder) else "hand-written",
        recorded_at="1970-01-01T00:00:00+00:00",
        platform="hand-written",
        request=request_for(head.endpoint, path.suffix, body),
        response=Response(
            status=head.status,
            reason=reason_of(head.status),
            headers=_headers(head, head.endpoint, path.suffix, body),
            head_at_s=min(GAP_S, end_s),
        ),
        frames=_meta.frames_of(body, times, ends),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=end_s,
    )


def _read_head(path: Path) -> _Head:
    """What the file beside a body says.

    Raises: RecordingError, which names the wrong line.
    """
    asked, *rest = [line.strip() for line in read_text(path, RecordingError).rstrip().split("\n")]
    if (method_and_path := _ASKED.fullmatch(asked)) is None:
        raise RecordingError(path, "line 1", f"is {asked[:60]!r}", "write a method and a path: POST /api/chat")
    status = _STATUS.fullmatch(rest[0]) if rest else None
    headers = []
    for number, line in enumerate(rest[1:] if status else rest, 3 if status else 2):
        header = _HEADER.fullmatch(line)
        if header is None or not is_head_text(header[2]):
            fix = "write a header (Retry-After: 3), and a status (200 text/event-stream) in line 2 only"
            raise RecordingError(path, f"line {number}", f"is {line[:60]!r}", fix)
        headers.append((header[1], header[2]))
    return _Head(
        endpoint=(method_and_path[1], method_and_path[2]),
        status=int(status[1]) if status else 200,
        media_type=(status[2] or "") if status else "",
        headers=tuple(headers),
    )


def _headers(head: _Head, endpoint: Endpoint, suffix: str, body: bytes) -> Headers:
    """The headers that were given, and after them those that Ollama sends besides."""
    media_type = head.media_type or _MEDIA_TYPES.get(suffix, "")
    usual = [("Date", "")]
    if media_type:
        charset = "; charset=utf-8" if media_type == "application/json" and endpoint[1].startswith("/api/") else ""
        usual.insert(0, ("Content-Type", media_type + charset))
    given = {name.lower() for name, _ in head.headers}
    if not given & {"content-length", "transfer-encoding"}:
        is_whole = suffix not in (".ndjson", ".sse")
        usual.append(("Content-Length", str(len(body))) if is_whole else ("Transfer-Encoding", "chunked"))
    return (*head.headers, *(pair for pair in usual if pair[0].lower() not in given))
