"""What a request to the compatible endpoints is refused for, before it becomes one of Ollama's own."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["RefusalCause", "RefusedError"]


class RefusalCause(StrEnum):
    """The kinds of refusals, one rule each."""

    BODY = "body"
    REQUIRED = "required"
    CONTENT = "content"
    STOP = "stop"
    EFFORT = "effort"
    INPUT = "input"
    TOOLS = "tools"


class RefusedError(ValueError):
    """A request is refused; its text is Ollama's message."""

    def __init__(self, cause: RefusalCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
