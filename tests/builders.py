"""Small recordings, scripts and results, built in one line; and hypothesis strategies for any of them."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from ollama_harness.matrix.results import Result
from ollama_harness.oracle.reference import Reference, decode
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Frame, Headers, RecordedEnd, Recording, Request, Response
from ollama_harness.script.script import ConnectionEnd, Script

NDJSON, SSE, JSON, TEXT = "application/x-ndjson", "text/event-stream", "application/json", "text/plain"
DATE = "Thu, 01 Jan 1970 00:00:00 GMT"
HELLO, WORLD, DONE = (
    {"model": "m", "response": "Hello", "done": False},
    {"model": "m", "response": " world", "done": False},
    {"model": "m", "response": "", "done": True, "done_reason": "stop"},
)
#: Every character at which some line splitter splits, though NDJSON does not.
NO_LINE_ENDS = ("\u0085", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e")
#: For a property that costs much to try: the profile of conftest.py, with fewer examples.
A_FEW = settings(max_examples=min(40, settings().max_examples))


def in_one_test(names: str, cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `pytest.mark.parametrize`, but one test tries all cases. It is for hundreds that prove little each, because
    most of their time would be pytest's. With several names a case is a tuple.

    Fails with all cases that fail, and the error of the first of them.
    """
    wanted, tried = names.split(), list(cases)
    assert tried

    def decorated(check: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(check)
        def test(**fixtures: Any) -> None:
            failed: dict[str, BaseException] = {}
            for case in tried:
                values = case if len(wanted) > 1 else (case,)
                try:
                    check(**dict(zip(wanted, values, strict=True)), **fixtures)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # it is raised below
                    failed[", ".join(map(_short, values))] = error
            if failed:
                raise AssertionError(f"{len(failed)} of {len(tried)} cases fail: {'; '.join(failed)}") from next(
                    iter(failed.values())
                )

        given = inspect.signature(check)
        left = [one for name, one in given.parameters.items() if name not in wanted]
        test.__signature__ = given.replace(parameters=left)  # type: ignore[attr-defined]
        return test

    return decorated


def _short(value: Any) -> str:
    """What tells a case from others."""
    text = str(getattr(value, "name", value))
    return text if len(text) < 80 else f"{text[:80]}…"


def line(record: Any) -> bytes:
    """A record as Ollama writes it."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def recording(
    *frames: bytes,
    media_type: str = NDJSON,
    headers: Headers | None = None,
    status: int = 200,
    reason: str = "OK",
    id: str = "1.0.0/generate-small",
    method: str = "POST",
    path: str = "/api/generate",
    ended: RecordedEnd = RecordedEnd.COMPLETE,
    intervention: str | None = None,
    note: str | None = None,
    request_json: Any = None,
    any_content: bool = False,
) -> Recording:
    """A chunked answer (or what `headers` make of it): head at 0.1 s, then a frame each 0.1 s, then the end."""
    if headers is None:
        headers = (("Content-Type", media_type), ("Date", "then"), ("Transfer-Encoding", "chunked"))
    return Recording(
        id=id,
        ollama_version="1.0.0",
        recorded_at="2026-11-22T19:20:02+00:00",
        platform="Linux",
        request=Request(method=method, path=path, json=request_json, any_content=any_content),
        response=Response(status=status, reason=reason, headers=headers, head_at_s=0.1),
        frames=tuple(Frame(at_s=0.1 * (index + 2), data=data) for index, data in enumerate(frames)),
        ended=ended,
        ended_at_s=0.1 * (len(frames) + 2),
        intervention=intervention,
        note=note,
    )


def stream(*records: Any, **changes: Any) -> Script:
    """A script of NDJSON records, one a chunk, that ends well."""
    return Script.from_recording(recording(*map(line, records), **changes))


def plain(body: bytes, *, media_type: str = JSON, length: bool = True, **changes: Any) -> Script:
    """A script of a body that is not chunked: with a Content-Length, or ended by the end of the connection."""
    headers = (("Content-Type", media_type), *((("Content-Length", str(len(body))),) if length else ()))
    return Script.from_recording(recording(*([body] if body else []), headers=headers, **changes))


def message(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """An answer's bytes: head, then body as it is."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body


def chunked(body: bytes, media_type: str = NDJSON) -> bytes:
    """An answer's bytes, the body as one chunk."""
    return message(
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), f"Content-Type: {media_type}", "Transfer-Encoding: chunked"
    )


def seen(
    wire: bytes,
    how: ConnectionEnd = ConnectionEnd.KEEP_OPEN,
    method: str = "POST",
    path: str = "/api/generate",
) -> Reference:
    """What a perfect client sees of these bytes."""
    return decode(wire, how, method=method, path=path)


def result(
    verdict: Verdict = Verdict.PASS, client: str = "requests", scenario: str = "stream", **changes: Any
) -> Result:
    """One cell's line of results."""
    fields: dict[str, Any] = {
        "client": client,
        "scenario": scenario,
        "recording": "0.32.15/chat-stream",
        "requirement": "MUST",
        "layer": "http",
        "verdict": verdict,
        "why": "yielded all 12 records",
        "end": "complete (whole)",
        "due": 12,
        "got": 12,
    }
    return Result(**{**fields, **changes})


# -------------------------------------------------------------------------------------------------- strategies

#: Text of any kind, line ends of all standards among it, but for what no UTF-8 can hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(NO_LINE_ENDS)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

#: Records as a stream holds them: objects, mostly with the fields that mean something.
records = st.fixed_dictionaries(
    {},
    optional={
        "response": texts,
        "done": st.booleans(),
        "status": texts,
        "error": texts,
        "message": st.fixed_dictionaries({"role": st.just("assistant"), "content": texts}),
        "extra": json_values,
    },
)


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """All the ways to cut `data` into pieces, none of them empty."""
    inner = st.sets(st.integers(1, len(data) - 1), max_size=8) if len(data) > 1 else st.just(set[int]())
    return inner.map(lambda places: _cut(data, sorted(places)))


#: What a line of a report can hold.
lines = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=12)
versions = st.from_regex(r"[0-9A-Za-z]([0-9A-Za-z.+_-]{0,9}[0-9A-Za-z])?", fullmatch=True)
times = st.floats(0, 1e6, allow_nan=False)
#: What can stand in a head: Latin-1 without line ends.
head_texts = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=12)
header_lists = st.lists(st.tuples(head_texts, head_texts), max_size=3).map(tuple)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Any recording that can be: every kind of body, odd text wherever text may stand."""
    media_type = draw(st.sampled_from([NDJSON, JSON, TEXT, SSE, "image/png", None]))
    ended = draw(st.sampled_from(RecordedEnd))
    match media_type:
        case "application/x-ndjson":
            body = b"".join(map(line, draw(st.lists(json_values, max_size=4))))
        case "application/json":
            body = line(draw(json_values))
        case _:
            body = draw(st.binary(max_size=60))
    pieces = draw(cuts(body)) if body else []
    clock = sorted(draw(st.lists(times, min_size=len(pieces) + 2, max_size=len(pieces) + 2)))
    content_type = (
        (("Content-Type", media_type + draw(st.sampled_from(["", "; charset=utf-8"]))),) if media_type else ()
    )
    carried = draw(st.sampled_from(["json", "body", "neither"]))
    return Recording(
        id="1.0.0/generate-small",
        ollama_version=draw(versions),
        recorded_at=draw(st.datetimes()).isoformat(),
        platform=draw(lines.filter(bool)),
        request=Request(
            method=draw(st.sampled_from(["GET", "POST", "HEAD", "DELETE"])),
            path="/" + draw(lines),
            headers=draw(header_lists),
            json=draw(json_values.filter(lambda v: v is not None)) if carried == "json" else None,
            body=draw(texts) if carried == "body" else None,
            any_content=draw(st.booleans()),
        ),
        response=Response(
            status=draw(st.integers(100, 999)),
            reason=draw(head_texts),
            headers=content_type + draw(header_lists.map(lambda pairs: tuple((f"X-{k}", v) for k, v in pairs))),
            head_at_s=clock[0],
        ),
        frames=tuple(Frame(at_s=at_s, data=data) for at_s, data in zip(clock[1:-1], pieces, strict=True)),
        ended=ended,
        ended_at_s=clock[-1],
        intervention=draw(st.none() | texts),
        note=draw(st.none() | texts),
    )


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]
