"""The meta file of a recording: parsed with every field checked, and written."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from re import fullmatch
from typing import Any

from ollama_harness.files.fields import Fields, is_head_text, is_one_line, is_seconds
from ollama_harness.files.json_text import escape_surrogates
from ollama_harness.recordings.lazy import Lazy
from ollama_harness.recordings.recording import FORMAT, Frame, RecordedEnd, Recording, Request, Response
from ollama_harness.recordings.versions import VERSION, is_version

__all__ = ["MANY_FRAMES", "dump", "frames_of", "parse", "pieces"]

#: With more frames than this they are lazy (see `recordings.lazy`). No answer of a model has so many.
MANY_FRAMES = 10_000


def parse(meta: Fields, body: bytes, *, id_: str) -> Recording:
    """The recording of a meta file and a body.

    Raises: RecordingError.
    """
    number = meta.take("format", lambda v: type(v) is int, "a whole number")
    if number != FORMAT:
        meta.fail("format", f"is {number}", f"this version of ollama-harness reads format {FORMAT} only")
    recorded_at = meta.take("recorded_at", is_one_line, "an ISO 8601 time")
    try:
        datetime.fromisoformat(recorded_at)
    except ValueError:
        meta.fail("recorded_at", f"is {recorded_at!r}", "write an ISO 8601 time such as 2026-11-22T19:20:02+00:00")
    request, response = _request(meta.object("request")), _response(meta.object("response"))
    frames = _frames(meta, body, response.head_at_s)
    ended = meta.take("end", lambda v: v in list(RecordedEnd), f"one of {', '.join(RecordedEnd)}")
    ended_at_s = meta.seconds("ended_at")
    last_s = frames[-1].at_s if frames else response.head_at_s
    if ended_at_s < last_s:
        meta.fail("ended_at", f"time goes backwards: {ended_at_s} after {last_s}", f"give {last_s} or more")
    recording = Recording(
        id=id_,
        ollama_version=meta.take("ollama_version", lambda v: isinstance(v, str) and is_version(v), VERSION),
        recorded_at=recorded_at,
        platform=meta.take("platform", is_one_line, "a line of printable text, such as linux/x86_64"),
        request=request,
        response=response,
        frames=frames,
        ended=RecordedEnd(ended),
        ended_at_s=ended_at_s,
        intervention=meta.text("intervention", optional=True),
        note=meta.text("note", optional=True),
    )
    meta.no_more()
    return recording


def _request(fields: Fields) -> Request:
    json_body = fields.take("json", lambda v: v is not None, "any JSON but null (or leave it out)", optional=True)
    request = Request(
        method=fields.take(
            "method", lambda v: isinstance(v, str) and fullmatch("[A-Z]+", v) is not None, "a method: GET"
        ),
        path=fields.take("path", lambda v: is_one_line(v) and v.startswith("/"), "a path that starts with /"),
        headers=fields.headers("headers", optional=True),
        json=json_body,
        body=fields.text("body", optional=True),
        any_content=fields.take("any_content", lambda v: v is True, "true (or leave it out)", optional=True) or False,
    )
    if request.json is not None and request.body is not None:
        fields.fail("body", "stands beside json", "keep one of the two")
    fields.no_more()
    return request


def _response(fields: Fields) -> Response:
    response = Response(
        status=fields.take("status", lambda v: type(v) is int and 100 <= v <= 999, "a status code: 200"),
        reason=fields.take("reason", is_head_text, "one line of Latin-1"),
        headers=fields.headers("headers"),
        head_at_s=fields.seconds("head_at"),
    )
    fields.no_more()
    return response


def _frames(meta: Fields, body: bytes, head_at_s: float) -> Sequence[Frame]:
    """The frames of a body, with the times and sizes of the meta file."""
    pairs = meta.take("frames", lambda v: isinstance(v, list), "a list of [seconds, bytes] pairs")
    times, ends, end, clock = array("d"), array("q"), 0, head_at_s
    for index, pair in enumerate(pairs):
        match pair:
            case [int() | float() as at_s, int(size)] if is_seconds(at_s) and type(size) is int and size > 0:
                pass
            case _:
                meta.fail(f"frames[{index}]", f"is {json.dumps(pair)}", "write [seconds, bytes], bytes above 0")
        if at_s < clock:
            meta.fail(f"frames[{index}]", f"time goes backwards: {at_s} after {clock}", "order frames by arrival")
        end, clock = end + size, at_s
        times.append(at_s)
        ends.append(min(end, len(body)))
    if end != len(body):
        meta.fail("frames", f"sizes add up to {end} bytes, the body has {len(body)}", "make them add up to the body")
    return frames_of(body, times, ends)


def frames_of(body: bytes, times: Sequence[float], ends: Sequence[int]) -> Sequence[Frame]:
    """The frames of a body: frame i arrived at `times[i]` and ends at the offset `ends[i]`, where the next begins.

    They are a tuple, or lazy if there are more than `MANY_FRAMES`.
    """

    def frame(index: int) -> Frame:
        return Frame(at_s=times[index], data=body[ends[index - 1] if index else 0 : ends[index]])

    frames = Lazy(len(times), frame)
    return frames if len(frames) > MANY_FRAMES else tuple(frames)


def dump(recording: Recording) -> str:
    """The text of the meta file: fields in a fixed order, a pair a line, so that two recordings can be diffed."""
    return "".join(pieces(recording, ((frame.at_s, len(frame.data)) for frame in recording.frames)))


def pieces(recording: Recording, frames: Iterable[tuple[float, int]]) -> Iterator[str]:
    """The text of the meta file in pieces, with these `frames` (seconds, bytes) in place of the recording's own.

    A recorder has no frames as objects. There may be many, so their lines are made one at a time.
    """
    request: dict[str, Any] = {"method": recording.request.method, "path": recording.request.path}
    if recording.request.headers:
        request["headers"] = [list(pair) for pair in recording.request.headers]
    if recording.request.json is not None:
        request["json"] = recording.request.json
    if recording.request.body is not None:
        request["body"] = recording.request.body
    if recording.request.any_content:
        request["any_content"] = True
    meta: dict[str, Any] = {
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
        "frames": frames,
        "end": str(recording.ended),
        "ended_at": recording.ended_at_s,
    }
    for name in ("intervention", "note"):
        if (text := getattr(recording, name)) is not None:
            meta[name] = text
    before = "{\n"
    for name, value in meta.items():
        yield f'{before} "{name}": '
        before = ",\n"
        if value is not frames:
            yield escape_surrogates(_indented(value, 1))
            continue
        opening = "["
        for at_s, size in frames:
            yield f"{opening}\n  {json.dumps([at_s, size])}"
            opening = ","
        yield "[]" if opening == "[" else "\n ]"
    yield "\n}\n"


def _indented(value: Any, depth: int) -> str:
    """JSON indented by one blank a level, but with each [name, value] pair on one line."""
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
