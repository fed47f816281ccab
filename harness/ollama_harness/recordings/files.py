"""Recordings on disk: load, validate, save. Every defect is a `RecordingError` with file, field and fix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ollama_harness.errors import RecordingError
from ollama_harness.recordings import meta as recording_meta
from ollama_harness.recordings.draft import RecordingDraft
from ollama_harness.recordings.fields import Fields
from ollama_harness.recordings.frames import BodyOnDisk
from ollama_harness.recordings.long_meta import read_line_by_line
from ollama_harness.recordings.recording import BODY_SUFFIXES, META_SUFFIX, RecordedEnd, Recording, Request, Response
from ollama_harness.recordings.records import ndjson_lines, parse_json
from ollama_harness.recordings.timed_bytes import TimedBytes

__all__ = ["KEPT_BYTES", "find", "load", "save"]

#: A recording whose files are longer than this together is not kept in memory.
KEPT_BYTES = 1024 * 1024

#: A hand-written body has no times of its own.
HAND_WRITTEN_GAP_S = 0.02


def find(root: Path) -> Iterator[Path]:
    """The stem of every recording at or under `root`: the path of its files without their suffixes."""
    if not root.is_dir():
        yield _stem(root)
        return
    stems = {_stem(path) for path in root.rglob("*") if path.name.endswith((META_SUFFIX, *BODY_SUFFIXES))}
    yield from sorted(stems)


def load(stem: Path, *, id: str, kept_bytes: int = KEPT_BYTES) -> Recording:
    """Read and validate one recording.

    One whose files are longer than `kept_bytes` leaves its body on disk, and reads it as it is needed. (Not while it
    is validated, if it is `.json`: that is one value. Nor is there a gain if its meta file was laid out by hand.)

    Raises: RecordingError, for the first defect found.
    """
    meta_path = stem.with_name(stem.name + META_SUFFIX)
    bodies = [path for suffix in BODY_SUFFIXES if (path := stem.with_name(stem.name + suffix)).is_file()]
    if not meta_path.is_file():
        if not bodies:
            raise RecordingError(stem, "", "no such recording", "give the path of a .meta.json or of a body")
        return _hand_written(bodies[0], id, kept_bytes)
    is_long = sum(path.stat().st_size for path in (meta_path, *bodies)) > kept_bytes
    meta = Fields(meta_path, _read_json(meta_path, is_long=is_long), "")
    if not bodies:
        meta.fail("", "its other half, the body, is missing", f"put {stem.name}{BODY_SUFFIXES[0]} or alike beside it")
    if len(bodies) > 1:
        meta.fail("", f"has {len(bodies)} bodies ({', '.join(p.name for p in bodies)})", "keep one of them")
    body = BodyOnDisk(bodies[0]) if is_long else bodies[0].read_bytes()
    recording = recording_meta.parse(meta, body, id_=id)
    _check_body(recording, bodies[0], body)
    return recording


def save(recording: Recording, directory: Path) -> Path:
    """Write both files of a recording into `directory`, moved into place once both are whole; returns the stem.

    Raises: RecordingError, if they cannot be written.
    """
    with RecordingDraft(directory, recording.name) as draft:
        for frame in recording.frames:
            draft.write(frame.data)
        return draft.finish(recording, ((frame.at_s, len(frame.data)) for frame in recording.frames))


def _check_body(recording: Recording, path: Path, body: bytes | BodyOnDisk) -> None:
    """Compare the body with what the head promises of it."""
    response, request = recording.response, recording.request
    if path.suffix != recording.suffix:
        problem = f"the head says {response.header('content-type')!r}"
        raise RecordingError(path, "", problem, f"rename the body to {recording.name}{recording.suffix}")
    if recording.ended is not RecordedEnd.COMPLETE or request.method == "HEAD":
        return
    length = response.header("content-length")
    if length is not None and length != str(len(body)):
        problem = f"is {length}, the body has {len(body)} bytes"
        meta = path.with_name(recording.name + META_SUFFIX)
        raise RecordingError(meta, "response.headers.Content-Length", problem, "record it again")
    lines: Iterable[bytes] = [body[:]] if recording.suffix == ".json" and body else []
    if recording.suffix == ".ndjson":
        lines = (line for line in _lines(body) if line.strip())
    for number, line in enumerate(lines, 1):
        try:
            parse_json(line)
        except ValueError as error:
            raise RecordingError(path, f"line {number}", f"is no JSON: {error}", "record it again") from None


def _lines(body: bytes | BodyOnDisk) -> Iterator[bytes]:
    return body.lines() if isinstance(body, BodyOnDisk) else ndjson_lines(body)


def _hand_written(path: Path, id_: str, kept_bytes: int) -> Recording:
    """A body alone: NDJSON, for the route that its name begins with, one frame a line."""
    route = re.match(r"(generate|chat|pull|push|create)\b", path.name)
    if path.suffix != ".ndjson" or route is None:
        mend = f"add {_stem(path).name}{META_SUFFIX}; only .ndjson bodies called generate-… chat-… pull-… stand alone"
        raise RecordingError(path, "", "its other half, the meta file, is missing", mend)
    body = BodyOnDisk(path) if path.stat().st_size > kept_bytes else path.read_bytes()
    timed, end = TimedBytes(body), 0
    for index, line in enumerate(_lines(body), 1):
        end += len(line)
        timed.note(index * HAND_WRITTEN_GAP_S, end)
    headers = (("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked"))
    end_s = len(timed) * HAND_WRITTEN_GAP_S
    recording = Recording(
        id=id_,
        ollama_version=id_.rpartition("/")[0] or "hand-written",
        recorded_at="1970-01-01T00:00:00+00:00",
        platform="hand-written",
        request=Request(method="POST", path=f"/api/{route[1]}"),
        response=Response(status=200, reason="OK", headers=headers, head_at_s=min(HAND_WRITTEN_GAP_S, end_s)),
        frames=recording_meta.frames_of(timed),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=end_s,
    )
    _check_body(recording, path, body)
    return recording


def _read_json(path: Path, *, is_long: bool) -> Any:
    try:
        if is_long and (meta := read_line_by_line(path)) is not None:
            return meta
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        field = f"line {error.lineno}, column {error.colno}"
        raise RecordingError(path, field, f"is no JSON: {error.msg}", "fix it there") from None
    except UnicodeDecodeError as error:
        raise RecordingError(path, f"byte {error.start}", "is no UTF-8", "save the file as UTF-8") from None
    except OSError as error:
        raise RecordingError(path, "", f"cannot be read: {error.strerror}", "check the file's permissions") from None


def _stem(path: Path) -> Path:
    for suffix in (META_SUFFIX, *BODY_SUFFIXES):
        if path.name.endswith(suffix):
            return path.with_name(path.name[: -len(suffix)])
    return path
