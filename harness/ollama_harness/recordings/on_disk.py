"""Recordings on disk: found, loaded, validated, saved. Every defect is a `RecordingError` with file, field and fix."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ollama_harness.errors import RecordingError
from ollama_harness.files.fields import Fields
from ollama_harness.files.json_text import ndjson_lines, parse_json
from ollama_harness.files.reading import read_bytes, read_json
from ollama_harness.recordings import _meta
from ollama_harness.recordings._hand_written import load_body
from ollama_harness.recordings.draft import RecordingDraft, refuse_too_long
from ollama_harness.recordings.endpoints import Endpoint
from ollama_harness.recordings.recording import BODY_SUFFIXES, HEAD_SUFFIX, META_SUFFIX, RecordedEnd, Recording

__all__ = ["find", "load", "not_json", "save"]

#: A name ends with the first of these that fits: `.meta.json` is no `.json`.
_SUFFIXES = (META_SUFFIX, HEAD_SUFFIX, *BODY_SUFFIXES)


def find(root: Path) -> Iterator[Path]:
    """The stem of every recording at or under `root`: the path of its files without their suffixes."""
    if not root.is_dir():
        yield _stem(root)
        return
    found = set[str]()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            if suffix := _suffix(name):
                found.add(os.path.join(folder, name.removesuffix(suffix)))  # noqa: PTH118 - of thousands, a Path is slow
    yield from map(Path, sorted(found))


def load(stem: Path, *, id: str, endpoint: Endpoint | None = None) -> Recording:
    """The recording of a stem, validated. `endpoint` is what a body without a meta file answers, if that is known.

    Raises: RecordingError, for the first defect found; RecordingTooLong, before anything is read.
    """
    if not stem.name.isprintable():
        raise RecordingError(stem, "", "its name has characters that cannot be printed", "rename its files")
    sizes = {suffix: size for suffix in _SUFFIXES if (size := _size(f"{stem}{suffix}")) is not None}
    files = {suffix: stem.with_name(stem.name + suffix) for suffix in sizes}
    if not files:
        raise RecordingError(stem, "", "no such recording", "give the path of a .meta.json or of a body")
    bodies = [path for suffix, path in files.items() if suffix in BODY_SUFFIXES]
    refuse_too_long([*bodies, *files.values()][0], sum(sizes.values()))
    described = files.get(HEAD_SUFFIX) or files.get(META_SUFFIX) or bodies[-1]
    if not bodies:
        fix = f"put {stem.name} with one of {', '.join(BODY_SUFFIXES)} there"
        raise RecordingError(described, "", "the body beside it is missing", fix)
    if len(bodies) > 1:
        problem = f"has {len(bodies)} bodies ({', '.join(p.name for p in bodies)})"
        raise RecordingError(described, "", problem, "keep one of them, or give them names of their own")
    meta_path = files.get(META_SUFFIX)
    if meta_path is None:
        recording = load_body(bodies[0], stem.name, id, endpoint)
        _check_head(recording, bodies[0], recording.size_bytes)
        return recording
    if described != meta_path:
        raise RecordingError(described, "", f"stands beside {meta_path.name}, which says the same", "delete it")
    meta = Fields(meta_path, _read_json(meta_path), "")
    body = read_bytes(bodies[0], RecordingError)
    recording = _meta.parse(meta, body, id_=id)
    _check_head(recording, bodies[0], len(body))
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


def not_json(recording: Recording) -> list[int]:
    """The lines of a whole body that should be JSON and are not; none for a body of one's own, which may hold anything.

    A server may send such lines, so a recording that has them can be played. But in one that was kept for a while, they
    are more often the sign of damage.
    """
    if recording.ended is not RecordedEnd.COMPLETE or recording.request.method == "HEAD":
        return []
    lines: Iterable[bytes] = ()
    if recording.request.any_content:
        pass
    elif recording.suffix == ".json" and recording.size_bytes:
        lines = [recording.body]
    elif recording.suffix == ".ndjson":
        lines = (line for line in ndjson_lines(recording.body) if line.strip())
    return [number for number, line in enumerate(lines, 1) if not _is_json(line)]


def _is_json(data: bytes) -> bool:
    try:
        parse_json(data)
    except ValueError:
        return False
    return True


def _check_head(recording: Recording, path: Path, size_bytes: int) -> None:
    """Compare the head with the suffix and the size of the body."""
    response, request = recording.response, recording.request
    if path.suffix != recording.suffix:
        problem = f"the head says {response.header('content-type')!r}"
        raise RecordingError(path, "", problem, f"rename the body to {recording.name}{recording.suffix}")
    if recording.ended is not RecordedEnd.COMPLETE or request.method == "HEAD":
        return
    length = response.header("content-length")
    if length is not None and length != str(size_bytes):
        problem = f"is {length}, the body has {size_bytes} bytes"
        meta = path.with_name(recording.name + META_SUFFIX)
        raise RecordingError(meta, "response.headers.Content-Length", problem, "record it again")


def _read_json(path: Path) -> Any:
    return read_json(path, RecordingError, fix="check the file's permissions")


def _stem(path: Path) -> Path:
    """The path of a recording's files without their suffixes; for any other file, its own path."""
    return path.with_name(path.name.removesuffix(_suffix(path.name)))


def _suffix(name: str) -> str:
    """The suffix that makes a file's name one of a recording; "" if it is none."""
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix) and name not in _SUFFIXES), "")


def _size(path: str) -> int | None:
    """The size of a file in bytes; None if there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of hundreds, a Path is slow
    except (OSError, ValueError):  # ValueError: no system has a file with such a name
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
