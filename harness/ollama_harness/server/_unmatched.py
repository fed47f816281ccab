"""The server's answers when no recording answers: Ollama's 404, and the errors of Go's net/http."""

from __future__ import annotations

import http
import json

from ollama_harness.errors import ProtocolError
from ollama_harness.recordings.recording import Headers, Request
from ollama_harness.script.message_parts import Head, Raw
from ollama_harness.script.script import ConnectionEnd, Script, ScriptEnd, Segment
from ollama_harness.server.connection import RequestTooLarge

__all__ = ["not_found", "not_http"]


def not_found(request: Request, *, known_path: bool) -> Script:
    """404, for an unknown model (its name is in the body) or an unknown endpoint.

    Source: the recordings `error-*-model-not-found` and `error-unknown-route`.
    """
    model = request.json.get("model") or request.json.get("name") if isinstance(request.json, dict) else None
    if known_path and model is not None:
        text = json.dumps({"error": f"model '{model}' not found"}, separators=(",", ":"), ensure_ascii=False)
        body = text.encode("utf-8", "replace")  # half a surrogate pair in the model's name
        content_type = "application/json; charset=utf-8"
    else:
        body, content_type = b"404 page not found", "text/plain"
    headers = (("Content-Type", content_type), ("Date", ""), ("Content-Length", str(len(body))))
    return _script(404, headers, b"" if request.method == "HEAD" else body, ConnectionEnd.KEEP_OPEN)


def not_http(error: ProtocolError) -> Script:
    """400, 413 or 431, and then the end of the connection. Source: `badRequestError` and its like in Go's net/http."""
    status = error.status if isinstance(error, RequestTooLarge) else 400
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
    return _script(status, headers, f"{status} {http.HTTPStatus(status).phrase}".encode(), ConnectionEnd.CLOSE)


def _script(status: int, headers: Headers, body: bytes, how: ConnectionEnd) -> Script:
    segment = Segment(0.0, (Head(status, http.HTTPStatus(status).phrase, headers), Raw(body)))
    return Script(method="GET", segments=(segment,), ending=ScriptEnd(how=how, at_s=0.0))
