"""An error in the shape of the route that was asked, as the handlers of Ollama send it.

Source: server/routes.go (`c.JSON`); middleware/openai.go, middleware/anthropic.go (`writeError`): these end with LF,
leave the charset out, and keep the head that the middleware has set for a stream.
"""

from __future__ import annotations

import http

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply, go_json
from ollama_harness.answers.requests.translation import translation
from ollama_harness.answers.world import World
from ollama_harness.recordings.error_shapes import ErrorShape, error_shape, error_value

__all__ = ["route_error"]

#: Where Go keeps the older words of RFC 7231, and Python has others by its own version.
_OLDER_WORDS = {413: "Request Entity Too Large", 414: "Request URI Too Long", 416: "Requested Range Not Satisfiable"}


def route_error(asked: Asked, world: World, status: int, message: str, *, chunked: bool | None = None) -> Reply:
    """A handler's error with this status and message."""
    read, shape = translation(asked, world), error_shape(asked.path)
    body = go_json(error_value(shape, status, message, seed=asked.body, version=world.version))
    headers = (*(read.head if read is not None else ()), ("Content-Type", "application/json"))
    if shape is ErrorShape.OLLAMA:
        headers = (("Content-Type", "application/json; charset=utf-8"),)
    else:
        body += b"\n"
    return Reply(status=status, reason=_reason(status), body=body, headers=headers, chunked=chunked)


def _reason(status: int) -> str:
    """The reason phrase as Go writes it. Source: net/http, status.go, server.go (`writeStatusLine`)."""
    words = {known.value: known.phrase for known in http.HTTPStatus} | _OLDER_WORDS
    return words.get(status, f"status code {status}")
