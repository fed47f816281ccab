"""Examples for each rule: two exchanges between which it finds a change, and two between which it finds none.

The tests run every rule on its own examples. A reader sees from them what a rule means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from ollama_harness.clients import client
from ollama_harness.gate.handled import Handled, RequestSeen
from ollama_harness.gate.rules.rule import VersionExchange
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.matrix.cells import Cell, PlannedScenario
from ollama_harness.matrix.results import Result
from ollama_harness.matrix.scenarios import scenario
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Frame, Headers, RecordedEnd, Recording, Request, Response

__all__ = ["EXAMPLES", "Example", "exchange"]


class Example(NamedTuple):
    """`fires` holds an old and a new exchange with the change between them, `silent` two without it."""

    fires: tuple[Any, Any]
    silent: tuple[Any, Any]


NDJSON, JSON, TEXT = "application/x-ndjson", "application/json; charset=utf-8", "text/plain"
_FIRST: Mapping[str, Any] = {"model": "m", "created_at": "2026-11-22T19:18:38.1Z", "response": "Hi", "done": False}
_LAST: Mapping[str, Any] = {**_FIRST, "response": "", "done": True, "done_reason": "stop", "eval_count": 2}


def exchange(
    *frames: bytes,
    status: int = 200,
    content_type: str = NDJSON,
    headers: Headers = (),
    chunked: bool = True,
    reason: str = "",
    ended: RecordedEnd = RecordedEnd.COMPLETE,
    head_at_s: float = 0.1,
    path: str = "/api/generate",
) -> VersionExchange:
    """An exchange whose body arrived in these frames; the only one of its version."""
    body = b"".join(frames)
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    lines = (*((("Content-Type", content_type),) if content_type else ()), *headers, ("Date", "now"), framing)
    recording = Recording(
        id="1.0.0/example",
        ollama_version="1.0.0",
        recorded_at="2026-11-22T19:18:39+00:00",
        platform="linux/x86_64",
        request=Request(method="POST", path=path),
        response=Response(status=status, reason=reason, headers=lines, head_at_s=head_at_s),
        frames=tuple(Frame(at_s=head_at_s, data=frame) for frame in frames if frame),
        ended=ended,
        ended_at_s=head_at_s,
    )
    version = VersionShapes.of([recording])
    return VersionExchange(version.shapes["example"], version)


def _lines(*records: Mapping[str, Any], end: str = "\n", **more: Any) -> VersionExchange:
    """A stream, one record a chunk."""
    return exchange(*((json.dumps(one, separators=(",", ":")) + end).encode() for one in records), **more)


def _stream(changes: Mapping[str, Any] | None = None, **more: Any) -> VersionExchange:
    """Two records, the first with changed fields. A field whose value is `...` is left out."""
    first = {key: value for key, value in {**_FIRST, **(changes or {})}.items() if value is not ...}
    return _lines(first, _LAST, **more)


def _text(text: str, status: int = 200, **more: Any) -> VersionExchange:
    return exchange(text.encode(), status=status, content_type=TEXT, chunked=False, **more)


def _error(error: Any, status: int = 404, **more: Any) -> VersionExchange:
    body = json.dumps({"error": error}).encode()
    return exchange(body, status=status, content_type=JSON, chunked=False, **more)


def _moved(status: int, to: str = "/api/chat") -> VersionExchange:
    return exchange(status=status, content_type="", headers=(("Location", to),), chunked=False)


def _embedding(numbers: int, *, chunked: bool = True) -> VersionExchange:
    return exchange(json.dumps({"embeddings": [[0.5] * numbers]}).encode(), content_type=JSON, chunked=chunked)


def _cell(verdict: Verdict = Verdict.PASS, **changes: Any) -> Result:
    fields: dict[str, Any] = {
        "client": "httpx", "scenario": "stream", "recording": "1.0.0/example", "requirement": "MUST", "layer": "http",
        "verdict": verdict, "why": "", "end": "complete (whole)", "due": 2, "got": 2,
    }  # fmt: skip
    return Result(**{**fields, **changes})


def _handled(*records: Any, headers: Mapping[str, str] = MappingProxyType({}), **changes: Any) -> Handled:
    """How httpx 1.0.0, or the version that is given, handled a cell with one request."""
    given = {"line": "POST /api/chat", "body": b'{"stream": true}', "version": "1.0.0", "requests": 1, **changes}
    cell_changes = {name: value for name, value in given.items() if name in ("connections", "route", "verdict")}
    request = RequestSeen(line=given["line"], headers=headers, body=given["body"])
    return Handled(
        ran=Cell(replace(client("httpx"), version=given["version"]), _PLANNED),
        result=_cell(**cell_changes),
        records=records,
        requests=(request,) * given["requests"],
    )


_PLANNED = PlannedScenario.of(scenario("stream"), exchange(json.dumps(_LAST).encode() + b"\n").shape.recording)
_NO_ROUTE = _text("404 page not found", 404)
_SAME = (_stream(), _stream())
_FAILED = _lines({"error": "no such thing"})
_PROGRESS = ({"status": "pulling manifest"}, {"status": "verifying"}, {"status": "success"})
_ONE_LINE = json.dumps(_FIRST).encode() + b"\n" + json.dumps(_LAST).encode() + b"\n"
_ZERO = {**_LAST, "prompt_eval_duration": 5}


def _with_elsewhere(one: VersionExchange, other: VersionExchange) -> VersionExchange:
    """The first exchange, in a version that also has the other one."""
    return VersionExchange(one.shape, VersionShapes([one.shape, _renamed(other)], name="1.0.0"))


def _renamed(one: VersionExchange) -> Any:
    recording = one.shape.recording
    again = Recording(
        id="1.0.0/elsewhere", ollama_version="1.0.0", recorded_at=recording.recorded_at, platform="",
        request=recording.request, response=recording.response, frames=recording.frames, ended=recording.ended,
        ended_at_s=recording.ended_at_s,
    )  # fmt: skip
    return VersionShapes.of([again]).shapes["elsewhere"]


EXAMPLES: dict[str, Example] = {
    # the answer as a whole
    "route-gone": Example((_error("no"), _NO_ROUTE), (_NO_ROUTE, _NO_ROUTE)),
    "route-new": Example((_NO_ROUTE, _stream()), _SAME),
    "answer-refused": Example((_stream(), _error("no", 400)), _SAME),
    "answer-accepted": Example((_error("no", 400), _stream()), _SAME),
    "error-moved": Example((_FAILED, _error("no such thing", 500)), (_FAILED, _FAILED)),
    "error-class-changed": Example((_error("no", 404), _error("no", 500)), (_error("no", 404), _error("no", 400))),
    "error-status-changed": Example((_error("no", 404), _error("no", 400)), (_error("no", 404), _error("no", 500))),
    "success-status-changed": Example((_stream(), _stream(status=201)), _SAME),
    "redirect-changed": Example((_moved(301), _moved(307)), (_moved(307), _moved(307))),
    "connection-end-changed": Example((_stream(), _stream(ended=RecordedEnd.EOF)), _SAME),
    "first-byte-later": Example((_stream(), _stream(head_at_s=9.0)), (_stream(), _stream(head_at_s=0.9))),
    # the head
    "content-type-changed": Example((_stream(), _stream(content_type=TEXT)), _SAME),
    "content-type-parameters-changed": Example((_stream(), _stream(content_type=NDJSON + "; charset=utf-8")), _SAME),
    "header-gone": Example((_stream(headers=(("Vary", "Origin"),)), _stream()), _SAME),
    "header-new": Example((_stream(), _stream(headers=(("Vary", "Origin"),))), _SAME),
    "header-value-changed": Example(
        (_stream(headers=(("Allow", "GET"),)), _stream(headers=(("Allow", "POST"),))), _SAME
    ),
    "header-spelling-changed": Example(
        (_stream(headers=(("Vary", "Origin"),)), _stream(headers=(("vary", "Origin"),))), _SAME
    ),
    "header-order-changed": Example(
        (_stream(headers=(("A", ""), ("B", ""))), _stream(headers=(("B", ""), ("A", "")))), _SAME
    ),
    "framing-changed": Example((_stream(), _stream(chunked=False)), _SAME),
    "framing-by-size": Example((_embedding(2, chunked=False), _embedding(900)), (_embedding(900), _embedding(901))),
    "reason-phrase-changed": Example((_stream(reason="OK"), _stream(reason="Fine")), _SAME),
    # records
    "terminal-record-changed": Example((_stream(), _lines(_FIRST)), _SAME),
    "records-after-done": Example((_stream(), _lines(_FIRST, _LAST, _FIRST)), _SAME),
    "record-kind-gone": Example((_lines(*_PROGRESS), _lines(_PROGRESS[0], _PROGRESS[2])), _SAME),
    "record-kind-new": Example((_lines(_PROGRESS[0], _PROGRESS[2]), _lines(*_PROGRESS)), _SAME),
    "answer-in-pieces-changed": Example((_lines(_LAST), _stream()), (_stream(), _lines(_FIRST, _FIRST, _LAST))),
    "record-order-changed": Example(
        (_lines(*_PROGRESS), _lines(_PROGRESS[1], _PROGRESS[0], _PROGRESS[2])), (_lines(*_PROGRESS), _lines(*_PROGRESS))
    ),
    "chunking-changed": Example((_stream(), exchange(_ONE_LINE)), _SAME),
    "newline-changed": Example((_stream(), _stream(end="\r\n")), _SAME),
    # fields
    "field-gone": Example((_stream(), _stream({"model": ...})), (_stream({"model": ...}), _stream())),
    "field-added": Example((_stream({"model": ...}), _stream()), (_stream(), _stream({"model": ...}))),
    "zero-left-out": Example(
        (_lines(_FIRST, _ZERO), _with_elsewhere(_stream(), _lines(_FIRST, _ZERO))), (_lines(_FIRST, _ZERO), _stream())
    ),
    "field-optional": Example(
        (_lines(_FIRST, _FIRST, _FIRST, _LAST), _lines(_FIRST, _FIRST, {"response": "", "done": False}, _LAST)), _SAME
    ),
    "type-changed": Example((_stream(), _stream({"response": ["Hi"]})), (_stream(), _stream({"response": None}))),
    "number-to-string": Example((_stream({"n": 5}), _stream({"n": "5"})), (_stream({"n": 5}), _stream({"n": 6}))),
    "integer-to-number": Example((_stream({"n": 5}), _stream({"n": 5.5})), (_stream({"n": 5.5}), _stream({"n": 5}))),
    "null-new": Example((_stream(), _stream({"response": None})), _SAME),
    "null-gone": Example((_stream({"response": None}), _stream()), _SAME),
    "vector-length-changed": Example((_embedding(3), _embedding(4)), (_embedding(3), _embedding(3))),
    "field-order-changed": Example((_stream(), _lines(dict(reversed(list(_FIRST.items()))), _LAST)), _SAME),
    # values
    "error-text-changed": Example((_error("no"), _error("never")), (_error("port :8080"), _error("port :9090"))),
    "error-form-changed": Example((_error("no"), _error({"message": "no"})), (_error("no"), _error("never"))),
    "text-changed": Example((_text("Ollama is running"), _text("Hello")), (_text("Hello"), _text("Hello"))),
    "word-new": Example((_stream(), _lines(_FIRST, {**_LAST, "done_reason": "tired"})), _SAME),
    "word-gone": Example((_stream(), _lines(_FIRST, {**_LAST, "done_reason": "tired"})), _SAME),
    "time-format-changed": Example(
        (_stream(), _stream({"created_at": "2026-11-22T20:18:38.1+01:00"})),
        (_stream(), _stream({"created_at": "2027-01-01T00:00:00.123456789Z"})),
    ),
    "id-format-changed": Example(
        (_stream({"id": "chatcmpl-12"}), _stream({"id": "resp_12"})),
        (_stream({"id": "chatcmpl-12"}), _stream({"id": "chatcmpl-981"})),
    ),
    "escaping-changed": Example(
        (_stream({"response": "é"}), exchange('{"response":"é"}\n'.encode(), b'{"done":true}\n')),
        (_stream({"response": "é"}), _stream({"response": "ü"})),
    ),
    "values-differ": Example((_stream(), _stream({"response": "Hello"})), _SAME),
    "length-differs": Example((_stream(), _lines(_FIRST, _FIRST, _LAST)), _SAME),
    # clients
    "cell-missing": Example((_cell(), None), (_cell(), _cell())),
    "more-harm": Example((_cell(), _cell(Verdict.SILENT_LOSS)), (_cell(Verdict.SILENT_LOSS), _cell())),
    "more-harm-observed": Example(
        (_cell(), _cell(Verdict.HANG, requirement="OBSERVE")), (_cell(), _cell(Verdict.HANG))
    ),
    "other-verdict": Example((_cell(Verdict.HANG), _cell(Verdict.CRASH)), (_cell(), _cell(Verdict.CRASH))),
    "other-exception": Example((_cell(raised="A"), _cell(raised="B")), (_cell(raised="A"), _cell(raised="A"))),
    "other-exception-by-chance": Example(
        (_cell(raised="A", got=None), _cell(raised="B", got=None)), (_cell(raised="A"), _cell(raised="B"))
    ),
    "less-harm": Example((_cell(Verdict.HANG), _cell()), (_cell(), _cell())),
    "other-message": Example((_cell(message="a"), _cell(message="b")), (_cell(message="a"), _cell(message="a"))),
    # libraries
    "handed-out-field-gone": Example(
        (_handled({"a": 1, "b": 2}), _handled({"a": 1})), (_handled({"a": 1}), _handled({"a": 1, "b": 2}))
    ),
    "handed-out-field-added": Example(
        (_handled({"a": 1}), _handled({"a": 1, "b": 2})), (_handled({"a": 1, "b": 2}), _handled({"a": 1}))
    ),
    "handed-out-otherwise": Example(
        (_handled({"a": [1]}), _handled({"a": ["1"]})),
        (_handled({"a": 1}), _handled({"a": 2}, verdict=Verdict.CORRUPT)),
    ),
    "other-number-of-records": Example((_handled({}, {}), _handled({})), (_handled({"a": 1}), _handled({"a": 2}))),
    "other-number-of-requests": Example(
        (_handled(), _handled(requests=3)), (_handled(requests=0, verdict=Verdict.UNSUPPORTED), _handled())
    ),
    "other-number-of-connections": Example(
        (_handled(connections=2), _handled(connections=1)),
        (_handled(connections=1), _handled(connections=3, requests=3)),
    ),
    "other-route": Example((_handled(route="direct"), _handled(route="proxied")), (_handled(), _handled())),
    "request-line-changed": Example(
        (_handled(), _handled(line="POST http://ollama/api/chat")), (_handled(), _handled(body=b"{}"))
    ),
    "header-changed": Example(
        (_handled(), _handled(headers={"accept": "*/*"})),
        (
            _handled(headers={"user-agent": "httpx/1.0.0"}),
            _handled(headers={"user-agent": "httpx/1.1.0"}, version="1.1.0"),
        ),
    ),
    "header-says-version": Example(
        (
            _handled(headers={"user-agent": "httpx/1.0.0"}),
            _handled(headers={"user-agent": "httpx/1.1.0"}, version="1.1.0"),
        ),
        (_handled(), _handled(headers={"accept": "*/*"})),
    ),
    "body-changed": Example(
        (_handled(), _handled(body=b'{"stream":false}')), (_handled(), _handled(body=b'{"stream":true}'))
    ),
    "body-spelled-otherwise": Example(
        (_handled(), _handled(body=b'{"stream":true}')), (_handled(), _handled(body=b'{"stream":false}'))
    ),
}
