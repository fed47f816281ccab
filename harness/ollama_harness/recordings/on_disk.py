"""Recordings on disk: found, loaded, validated, saved. Every defect is a `RecordingError` with file, field and fix."""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ollama_harness.errors import RecordingError
from ollama_harness.files.fields import Fields
from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.files.reading import read_bytes, read_json
from ollama_harness.recordings import _meta
from ollama_harness.recordings.draft import RecordingDraft, refuse_too_long
from ollama_harness.recordings.recording import BODY_SUFFIXES, META_SUFFIX, RecordedEnd, Recording, Request, Response
from ollama_harness.recordings.versions import is_version

__all__ = ["find", "load", "save"]

#: A hand-written body has no times, so its lines get this gap.
HAND_WRITTEN_GAP_S = 0.02


def find(root: Path) -> Iterator[Path]:
    """The stem of every recording at or under `root`: the path of its files without their suffixes."""
    if not root.is_dir():
        yield _stem(root)
        return
    stems = {stem for path in root.rglob("*") if (stem := _stem(path)) != path}
    yield from sorted(stems)


def load(stem: Path, *, id: str) -> Recording:
    """The recording of a stem, validated.

    Raises: RecordingError, for the first defect found; RecordingTooLong, before anything is read.
    """
    if not stem.name.isprintable():
        raise RecordingError(stem, "", "its name has characters that cannot be printed", "rename its files")
    meta_path = stem.with_name(stem.name + META_SUFFIX)
    bodies = [path for suffix in BODY_SUFFIXES if (path := stem.with_name(stem.name + suffix)).is_file()]
    files = [path for path in (*bodies, meta_path) if path.is_file()]
    if not files:
        raise RecordingError(stem, "", "no such recording", "give the path of a .meta.json or of a body")
    refuse_too_long(files[0], sum(path.stat().st_size for path in files))
    if not meta_path.is_file():
        return _hand_written(bodies[0], id)
    meta = Fields(meta_path, _read_json(meta_path), "")
    if not bodies:
        suffixes = ", ".join(BODY_SUFFIXES)
        meta.fail("", "the body beside it is missing", f"put {stem.name} with one of {suffixes} there")
    if len(bodies) > 1:
        meta.fail("", f"has {len(bodies)} bodies ({', '.join(p.name for p in bodies)})", "keep one of them")
    body = read_bytes(bodies[0], RecordingError)
    recording = _meta.parse(meta, body, id_=id)
    _check_body(recording, bodies[0], body)
    return recording


def save(recording: Recording, directory: Path) -> Path:
    """Write both files of a recording into `directory`, both or none; returns the stem.

    Raises: RecordingError, if they cannot be written; RecordingTooLong.
    """
    with RecordingDraft(directory, recording.name) as draft:
        for frame in recording.frames:
            draft.write(frame.data)
            draft.frame(frame.at_s, len(frame.data))
        return draft.finish(recording)


def _check_body(recording: Recording, path: Path, body: bytes) -> None:
    """Compare the body with what the head says of it."""
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
    lines: Iterable[bytes] = [body] if recording.suffix == ".json" and body else []
    if recording.suffix == ".ndjson":
        lines = (line for line in ndjson_lines(body) if line.strip())
    for number, line in enumerate(lines, 1):
        try:
            parse_json(line)
        except ValueError as error:
            raise RecordingError(path, f"line {number}", f"is no JSON: {error}", "record it again") from None


def _hand_written(path: Path, id_: str) -> Recording:
    """A body without a meta file: NDJSON for the endpoint that its name begins with, one frame a line."""
    endpoint = re.match(r"(generate|chat|pull|push|create)\b", path.name)
    if path.suffix != ".ndjson" or endpoint is None:
        fix = f"add {_stem(path).name}{META_SUFFIX}; only .ndjson bodies called generate-… chat-… pull-… need none"
        raise RecordingError(path, "", "the meta file beside it is missing", fix)
    body = read_bytes(path, RecordingError)
    ends = array("q", itertools.accumulate(map(len, ndjson_lines(body))))
    times = array("d", (HAND_WRITTEN_GAP_S * number for number in range(1, len(ends) + 1)))
    headers = (("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked"))
    end_s = len(ends) * HAND_WRITTEN_GAP_S
    folder = id_.rpartition("/")[0].rpartition("/")[2]
    recording = Recording(
        id=id_,
        ollama_version=folder if is_version(folder) else "hand-written",
        recorded_at="1970-01-01T00:00:00+00:00",
        platform="hand-written",
        request=Request(method="POST", path=f"/api/{endpoint[1]}"),
        response=Response(status=200, reason="OK", headers=headers, head_at_s=min(HAND_WRITTEN_GAP_S, end_s)),
        frames=_meta.frames_of(body, times, ends),
        ended=RecordedEnd.COMPLETE,
        ended_at_s=end_s,
    )
    _check_body(recording, path, body)
    return recording


def _read_json(path: Path) -> Any:
    return read_json(path, RecordingError, fix="check the file's permissions")


def _stem(path: Path) -> Path:
    """The path of a recording's files without their suffixes; for any other file, its own path."""
    suffixes = (META_SUFFIX, *BODY_SUFFIXES)
    for suffix in suffixes if path.name not in suffixes else ():
        if path.name.endswith(suffix):
            return path.with_name(path.name[: -len(suffix)])
    return path
