"""Recordings on disk: load, validate, save. Every defect is a `RecordingError` with file, field and mend."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import RecordingError
from harness.recording import (
    FORMAT,
    META_SUFFIX,
    OTHER_SUFFIX,
    SUFFIXES,
    Ended,
    Frame,
    Headers,
    Recording,
    Request,
    Response,
)
from harness.records import ndjson_lines, parse_json

__all__ = ["find", "load", "save"]

BODY_SUFFIXES = (*SUFFIXES.values(), OTHER_SUFFIX)

#: A hand-written body has no times of its own.
HAND_WRITTEN_GAP_S = 0.02


def find(root: Path) -> Iterator[Path]:
    """The stem of every recording at or under `root`: the path of its files without their suffixes."""
    if not root.is_dir():
        yield _stem(root)
        return
    stems = {_stem(path) for path in root.rglob("*") if path.name.endswith((META_SUFFIX, *BODY_SUFFIXES))}
    yield from sorted(stems)


def load(stem: Path, *, id: str) -> Recording:
    """Read and validate one recording.

    Raises: RecordingError, for the first defect found.
    """
    meta_path = stem.with_name(stem.name + META_SUFFIX)
    bodies = [path for suffix in BODY_SUFFIXES if (path := stem.with_name(stem.name + suffix)).is_file()]
    if not meta_path.is_file():
        if not bodies:
            raise RecordingError(stem, "", "no such recording", "give the path of a .meta.json or of a body")
        return _hand_written(bodies[0], id)
    meta = _Fields(meta_path, _read_json(meta_path), "")
    if not bodies:
        meta.fail("", "its other half, the body, is missing", f"put {stem.name}{BODY_SUFFIXES[0]} or alike beside it")
    if len(bodies) > 1:
        meta.fail("", f"has {len(bodies)} bodies ({', '.join(p.name for p in bodies)})", "keep one of them")
    body = bodies[0].read_bytes()
    recording = _recording(meta, body, id)
    _check_body(recording, bodies[0], body)
    return recording


def save(recording: Recording, directory: Path) -> Path:
    """Write both files of a recording into `directory`, each in one move; returns the stem."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / recording.name
    _replace(stem.with_name(stem.name + recording.suffix), recording.body)
    _replace(stem.with_name(stem.name + META_SUFFIX), _meta_text(recording).encode())
    return stem


# ---------------------------------------------------------------------------------------------------- reading


class _Fields:
    """One JSON object of a meta file: hands out its fields checked, and refuses those that nobody asked for."""

    def __init__(self, path: Path, value: Any, prefix: str) -> None:
        self._path, self._prefix, self._seen = path, prefix, set[str]()
        if not isinstance(value, dict):
            self.fail("", f"is {_kind(value)}", "make it a JSON object")
        self._fields: dict[str, Any] = value

    def fail(self, field: str, problem: str, mend: str) -> NoReturn:
        raise RecordingError(self._path, (self._prefix + field).rstrip("."), problem, mend)

    def take(self, field: str, check: Callable[[Any], bool], kind: str, *, optional: bool = False) -> Any:
        self._seen.add(field)
        if field not in self._fields:
            if optional:
                return None
            self.fail(field, "is missing", f"add it ({kind})")
        value = self._fields[field]
        if not check(value):
            self.fail(field, f"is {_kind(value)}", f"make it {kind}")
        return value

    def text(self, field: str, *, optional: bool = False) -> Any:
        return self.take(field, lambda v: isinstance(v, str), "a string", optional=optional)

    def seconds(self, field: str) -> float:
        return float(self.take(field, _is_seconds, "a number of seconds, 0 or more"))

    def object(self, field: str) -> _Fields:
        value = self.take(field, lambda v: isinstance(v, dict), "a JSON object")
        return _Fields(self._path, value, f"{self._prefix}{field}.")

    def headers(self, field: str, *, optional: bool = False) -> Headers:
        pairs = self.take(field, _is_header_list, "a list of [name, value] pairs", optional=optional)
        return tuple((name, value) for name, value in pairs or ())

    def no_more(self) -> None:
        for field in self._fields:
            if field not in self._seen:
                self.fail(
                    field, "is not a field of the format", f"remove it; known are {', '.join(sorted(self._seen))}"
                )


def _recording(meta: _Fields, body: bytes, id_: str) -> Recording:
    number = meta.take("format", lambda v: type(v) is int, "a whole number")
    if number != FORMAT:
        meta.fail("format", f"is {number}", f"this version of ollama-harness reads format {FORMAT} only")
    recorded_at = meta.text("recorded_at")
    try:
        datetime.fromisoformat(recorded_at)
    except ValueError:
        meta.fail("recorded_at", f"is {recorded_at!r}", "write an ISO 8601 time such as 2026-11-22T19:20:02+00:00")
    request, response = _request(meta.object("request")), _response(meta.object("response"))
    frames = _frames(meta, body, response.head_at_s)
    ended = meta.take("end", lambda v: v in list(Ended), f"one of {', '.join(Ended)}")
    ended_at_s = meta.seconds("ended_at")
    last_s = frames[-1].at_s if frames else response.head_at_s
    if ended_at_s < last_s:
        meta.fail("ended_at", f"time goes backwards: {ended_at_s} after {last_s}", "the end comes last")
    recording = Recording(
        id=id_,
        ollama_version=meta.text("ollama_version"),
        recorded_at=recorded_at,
        platform=meta.text("platform"),
        request=request,
        response=response,
        frames=frames,
        ended=Ended(ended),
        ended_at_s=ended_at_s,
        note=meta.text("note", optional=True),
    )
    meta.no_more()
    return recording


def _request(fields: _Fields) -> Request:
    json_body = fields.take("json", lambda v: v is not None, "any JSON but null (or leave it out)", optional=True)
    request = Request(
        method=fields.take("method", lambda v: isinstance(v, str) and v.isalpha() and v.isupper(), "a method: GET"),
        path=fields.take("path", lambda v: isinstance(v, str) and v.startswith("/"), "a path that starts with /"),
        headers=fields.headers("headers", optional=True),
        json=json_body,
        body=fields.text("body", optional=True),
    )
    if request.json is not None and request.body is not None:
        fields.fail("body", "stands beside json", "keep one of the two")
    fields.no_more()
    return request


def _response(fields: _Fields) -> Response:
    response = Response(
        status=fields.take("status", lambda v: type(v) is int and 100 <= v <= 999, "a status code: 200"),
        reason=fields.text("reason"),
        headers=fields.headers("headers"),
        head_at_s=fields.seconds("head_at"),
    )
    fields.no_more()
    return response


def _frames(meta: _Fields, body: bytes, head_at_s: float) -> tuple[Frame, ...]:
    pairs = meta.take("frames", lambda v: isinstance(v, list), "a list of [seconds, bytes] pairs")
    frames, start, clock = [], 0, head_at_s
    for index, pair in enumerate(pairs):
        match pair:
            case [int() | float() as at_s, int(size)] if _is_seconds(at_s) and type(size) is int and size > 0:
                pass
            case _:
                meta.fail(f"frames[{index}]", f"is {json.dumps(pair)}", "write [seconds, bytes], bytes above 0")
        if at_s < clock:
            meta.fail(f"frames[{index}]", f"time goes backwards: {at_s} after {clock}", "order frames by arrival")
        frames.append(Frame(at_s=float(at_s), data=body[start : start + size]))
        start, clock = start + size, at_s
    if start != len(body):
        meta.fail("frames", f"sizes add up to {start} bytes, the body has {len(body)}", "the sizes add up to the body")
    return tuple(frames)


def _check_body(recording: Recording, path: Path, body: bytes) -> None:
    """Compare the body with what the head promises of it."""
    response, request = recording.response, recording.request
    if path.suffix != recording.suffix:
        problem = f"the head says {response.header('content-type')!r}"
        raise RecordingError(path, "", problem, f"rename the body to {recording.name}{recording.suffix}")
    if recording.ended is not Ended.COMPLETE or request.method == "HEAD":
        return
    length = response.header("content-length")
    if length is not None and length != str(len(body)):
        problem = f"is {length}, the body has {len(body)} bytes"
        meta = path.with_name(recording.name + META_SUFFIX)
        raise RecordingError(meta, "response.headers.Content-Length", problem, "record it again")
    lines = [body] if recording.suffix == ".json" and body else []
    if recording.suffix == ".ndjson":
        lines = [line for line in ndjson_lines(body) if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            parse_json(line)
        except ValueError as error:
            raise RecordingError(path, f"line {number}", f"is no JSON: {error}", "record it again") from None


def _hand_written(path: Path, id_: str) -> Recording:
    """A body alone: NDJSON, for the route that its name begins with, one frame a line."""
    route = re.match(r"(generate|chat|pull|push|create)\b", path.name)
    if path.suffix != ".ndjson" or route is None:
        mend = f"add {_stem(path).name}{META_SUFFIX}; only .ndjson bodies called generate-… chat-… pull-… stand alone"
        raise RecordingError(path, "", "its other half, the meta file, is missing", mend)
    frames = tuple(
        Frame(at_s=index * HAND_WRITTEN_GAP_S, data=line)
        for index, line in enumerate(ndjson_lines(path.read_bytes()), 1)
    )
    headers = (("Content-Type", "application/x-ndjson"), ("Date", ""), ("Transfer-Encoding", "chunked"))
    end_s = len(frames) * HAND_WRITTEN_GAP_S
    recording = Recording(
        id=id_,
        ollama_version=id_.rpartition("/")[0] or "hand-written",
        recorded_at="",
        platform="hand-written",
        request=Request(method="POST", path=f"/api/{route[1]}"),
        response=Response(status=200, reason="OK", headers=headers, head_at_s=min(HAND_WRITTEN_GAP_S, end_s)),
        frames=frames,
        ended=Ended.COMPLETE,
        ended_at_s=end_s,
    )
    _check_body(recording, path, recording.body)
    return recording


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        field = f"line {error.lineno}, column {error.colno}"
        raise RecordingError(path, field, f"is no JSON: {error.msg}", "mend it there") from None
    except UnicodeDecodeError as error:
        raise RecordingError(path, f"byte {error.start}", "is no UTF-8", "save the file as UTF-8") from None
    except OSError as error:
        raise RecordingError(path, "", f"cannot be read: {error.strerror}", "check the file's permissions") from None


def _stem(path: Path) -> Path:
    for suffix in (META_SUFFIX, *BODY_SUFFIXES):
        if path.name.endswith(suffix):
            return path.with_name(path.name[: -len(suffix)])
    return path


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_header_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in value
    )


def _kind(value: Any) -> str:
    return f"{json.dumps(value, ensure_ascii=False)[:60]}"


# ---------------------------------------------------------------------------------------------------- writing


def _meta_text(recording: Recording) -> str:
    """The meta file: fields in a fixed order, pairs on one line, so that two recordings can be diffed."""
    request: dict[str, Any] = {"method": recording.request.method, "path": recording.request.path}
    if recording.request.headers:
        request["headers"] = [list(pair) for pair in recording.request.headers]
    if recording.request.json is not None:
        request["json"] = recording.request.json
    if recording.request.body is not None:
        request["body"] = recording.request.body
    meta = {
        "format": FORMAT,
        "ollama_version": recording.ollama_version,
        "recorded_at": recording.recorded_at,
        "platform": recording.platform,
        "request": request,
        "response": {
            "status": recording.response.status,
            "reason": recording.response.reason,
            "headers": [list(pair) for pair in recording.response.headers],
            "head_at": recording.response.head_at_s,
        },
        "frames": [[frame.at_s, len(frame.data)] for frame in recording.frames],
        "end": str(recording.ended),
        "ended_at": recording.ended_at_s,
    }
    if recording.note is not None:
        meta["note"] = recording.note
    return _indented(meta, 0) + "\n"


def _indented(value: Any, depth: int) -> str:
    """JSON with one blank an indent, but each [name, value] and [seconds, bytes] pair on one line."""
    pad = " " * (depth + 1)
    match value:
        case dict() if value:
            items = [f"{pad}{json.dumps(k, ensure_ascii=False)}: {_indented(v, depth + 1)}" for k, v in value.items()]
            return "{\n" + ",\n".join(items) + "\n" + " " * depth + "}"
        case [str() | int() | float(), str() | int() | float()]:
            return json.dumps(value, ensure_ascii=False)
        case list() if value:
            items = [pad + _indented(item, depth + 1) for item in value]
            return "[\n" + ",\n".join(items) + "\n" + " " * depth + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)  # noqa: PTH105 - Path.replace says the same; os.replace is the documented atomic one
