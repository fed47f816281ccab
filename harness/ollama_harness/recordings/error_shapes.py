"""The shapes of Ollama's errors: those of its own endpoints, and those of the OpenAI and Anthropic APIs.

Source: the recordings `v1-error-*`, `v1-messages-error-*` and `v1-responses-error-*`; openai/openai.go (`NewError`),
anthropic/anthropic.go (`NewError`).
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any

from ollama_harness.recordings.versions import order

__all__ = ["ErrorShape", "error_shape", "error_value"]

#: Before it a handler's error was of type "api_error" whatever its status. The first recorded version that tells them.
_TYPED_ERRORS_SINCE = "0.24.0"

_OPENAI_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class ErrorShape(Enum):
    """Whose errors a route has."""

    OLLAMA = "ollama"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


def error_shape(path: str) -> ErrorShape:
    """The shape of the errors of a path."""
    if path.startswith("/v1/messages"):
        return ErrorShape.ANTHROPIC
    return ErrorShape.OPENAI if path.startswith("/v1/") else ErrorShape.OLLAMA


def error_value(shape: ErrorShape, status: int, message: str, *, seed: bytes, version: str = "") -> dict[str, Any]:
    """An error as JSON. `seed` decides its id, if it has one.

    With a `version` it is one of a handler, which told no types apart before 0.24.0; else it is of the middleware.
    """
    untyped = bool(version) and order(version) < order(_TYPED_ERRORS_SINCE)
    match shape:
        case ErrorShape.OLLAMA:
            return {"error": message}
        case ErrorShape.OPENAI:
            kind = "api_error" if untyped else _OPENAI_TYPES.get(status, "api_error")
            return {"error": {"message": message, "type": kind, "param": None, "code": None}}
        case ErrorShape.ANTHROPIC:
            kind = "api_error" if untyped else _ANTHROPIC_TYPES.get(status, "api_error")
            request_id = f"req_{hashlib.sha256(seed).hexdigest()[:24]}"
            return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
