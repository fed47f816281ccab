"""One file with captured answers, read as recordings: the file's first bytes tell what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from ollama_harness.errors import RecordingError
from ollama_harness.files.reading import read_bytes
from ollama_harness.recorder.captures._har import read_har
from ollama_harness.recorder.captures._http import CapturedExchange, is_http, read_http
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.draft import refuse_too_long
from ollama_harness.recordings.endpoints import endpoint_at, endpoint_of, frames_in, request_for
from ollama_harness.recordings.recording import GAP_S, HEAD_SUFFIX, META_SUFFIX, Frame, RecordedEnd, Recording, Request

__all__ = ["Captures", "read_captures"]

#: What UTF-16 begins with. PowerShell writes it where `>` sends the output of a program to a file.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

#: What a HAR file begins with. Other JSON is an answer that was saved without its head.
_HAR = re.compile(rb'\s*\{\s*"log"\s*:')


#: What a body is called that was saved without its head, and is surely one. A .json may be anything.
_STREAMS = (".ndjson", ".sse")


@dataclass(frozen=True, slots=True)
class Captures:
    """The recordings of one file. `left_out` says of each exchange that cannot be one why it cannot."""

    recordings: tuple[Recording, ...]
    left_out: tuple[str, ...] = ()


def read_captures(
    path: Path, *, name: str = "", method: str = "", target: str = "", version: str = "unknown"
) -> Captures:
    """The recordings of a file: the output of `curl -i`, a HAR file, the raw bytes of a response, or a stream alone.

    `name` is that of the recording, by default after the file's; several recordings of one file are numbered. `method`
    and `target` (a path) are those of the request, which `curl -i` does not print. Without them the name of the file or
    the objects in the body tell what was asked. `version` is that of the Ollama that answered.

    Raises: RecordingError, which names the place in the file; RecordingTooLong, before anything is read.
    """
    if path.is_file():
        refuse_too_long(path, path.stat().st_size)
    data = read_bytes(path, RecordingError)
    name = name or re.sub("[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "imported"
    if data.startswith(_UTF_16):
        fix = "let curl write the file (curl -i -o FILE), because PowerShell's > changes its bytes"
        raise RecordingError(path, "", "is UTF-16, so these are not the bytes that were sent", fix)
    left_out: tuple[str, ...] = ()
    if is_http(data):
        found = [_recording(read_http(data, path, method), path, name, method, target)]
    elif _HAR.match(data) or path.suffix.lower() == ".har":
        found, left_out = read_har(path)
        if method or target:
            raise RecordingError(path, "", "is a HAR file, which has the requests", "leave out --method and --path")
    elif path.suffix in _STREAMS:
        found = [_of_body(path, name, method, target)]
    else:
        fix = (
            "give the output of curl with its option -i, a HAR file, or a response from its status line on; "
            "a stream alone is called .ndjson or .sse"
        )
        raise RecordingError(path, "", f"has no head: it begins with {data[:30]!r}", fix)
    names = [name] if len(found) == 1 else [f"{name}-{number}" for number in range(1, len(found) + 1)]
    note = f"imported from {path.name}" if path.name.isprintable() else "imported"
    recordings = (
        replace(one, id=f"{version}/{name}", ollama_version=version, note=note)
        for name, one in zip(names, found, strict=True)
    )
    return Captures(tuple(recordings), left_out)


def _recording(exchange: CapturedExchange, path: Path, name: str, method: str, target: str) -> Recording:
    """The recording of an exchange without times: a chunk a frame, or else a record a frame."""
    suffix, body = exchange.suffix, exchange.body
    request = exchange.request or _guessed(suffix, body, path, name, method, target)
    pieces = tuple(frames_in(suffix, body)) if exchange.chunks is None else exchange.chunks
    times = [GAP_S * number for number in range(1, len(pieces) + 1)]
    return Recording(
        id=name,
        ollama_version="",
        recorded_at=_date(exchange, path),
        platform="unknown",
        request=request,
        response=replace(exchange.response, head_at_s=GAP_S),
        frames=tuple(Frame(at_s=at_s, data=piece) for at_s, piece in zip(times, pieces, strict=True)),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=times[-1] if times else GAP_S,
    )


def _of_body(path: Path, name: str, method: str, target: str) -> Recording:
    """The recording of a stream without its head: what a file beside it says, or else what Ollama sends."""
    stem = path.with_name(path.stem)
    meta = path.with_name(path.stem + META_SUFFIX)
    if meta.is_file():
        raise RecordingError(path, "", f"is a recording, because {meta.name} is there", "copy the two files")
    is_told = path.with_name(path.stem + HEAD_SUFFIX).is_file()
    endpoint = endpoint_at(target) if target else None if is_told else endpoint_of(name, path.suffix, b"")
    one = on_disk.load(stem, id=name, endpoint=endpoint)
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    request = replace(one.request, method=method or one.request.method)
    return replace(one, recorded_at=at, platform="unknown", request=request)


def _guessed(suffix: str, body: bytes, path: Path, name: str, method: str, target: str) -> Request:
    """The request of an answer that was captured without it."""
    if target:
        endpoint = endpoint_at(target)
    elif (told := endpoint_of(name, suffix, b"") or endpoint_of(path.stem, suffix, body)) is not None:
        endpoint = told
    else:
        problem = "neither its name nor the objects in it say which request got this answer"
        raise RecordingError(path, "", problem, "give --path /api/chat, or name the file after it (chat-mine.txt)")
    return request_for((method or endpoint[0], endpoint[1]), suffix, body)


def _date(exchange: CapturedExchange, path: Path) -> str:
    """When the answer was sent, as its head says; or else when the file was written."""
    try:
        when = parsedate_to_datetime(exchange.response.header("date") or "")
    except ValueError:
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return when.isoformat(timespec="seconds")
