"""The server's answers when no recording answers: a 501 and a 400 of its own, and the errors of Go's net/http."""

from __future__ import annotations

import http
import json
from dataclasses import replace

from ollama_harness.answers import Asked, World
from ollama_harness.answers.route_error import route_error
from ollama_harness.errors import ProtocolError
from ollama_harness.recordings.recording import Headers
from ollama_harness.script.message_parts import Head, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment
from ollama_harness.server._connection import RequestTooLarge

__all__ = ["bad_choice", "no_answer", "not_http"]

_OURS = "X-Ollama-Harness"


def no_answer(method: str, path: str, why: str) -> Script:
    """501 of the harness's own, with a header of ours: no sentence of Ollama's is true where nothing fits."""
    text = f"ollama-harness cannot answer {method} {path} as Ollama would: {why}; arrange an answer"
    body = json.dumps({"error": text}, ensure_ascii=False).encode("utf-8", "replace")
    headers = (
        ("Content-Type", "application/json; charset=utf-8"),
        (_OURS, "no-answer"),
        ("Date", ""),
        ("Content-Length", str(len(body))),
    )
    return _script(501, headers, b"" if method == "HEAD" else body, ConnectionEnd.KEEP_OPEN)


def bad_choice(asked: Asked, world: World, problem: str) -> Script:
    """400 in the shape of the route, with a header of ours: the request chooses what is not there, or cannot be."""
    reply = route_error(asked, world, 400, f"ollama-harness: {problem}")
    return replace(reply, headers=(*reply.headers, (_OURS, "bad-choice"))).script(asked.method)


def not_http(error: ProtocolError) -> Script:
    """400, 413 or 431, and then the end of the connection. Source: `badRequestError` and its like in Go's net/http."""
    status = error.status if isinstance(error, RequestTooLarge) else 400
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
    return _script(status, headers, f"{status} {http.HTTPStatus(status).phrase}".encode(), ConnectionEnd.CLOSE)


def _script(status: int, headers: Headers, body: bytes, how: ConnectionEnd) -> Script:
    segment = Segment(0.0, (Head(status, http.HTTPStatus(status).phrase, headers), Raw(body)))
    return Script(method="GET", segments=(segment,), ending=ScriptEnd(how=how, at_s=0.0))
