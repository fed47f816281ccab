"""What compatible endpoints share with Ollama's own: the types of tools and calls, and JSON within a text."""

from __future__ import annotations

from typing import Any

from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_strconv import quote_rune
from ollama_harness.answers.go.go_types import GoError, GoType
from ollama_harness.answers.go.go_value import value_of
from ollama_harness.answers.requests.native_types import request_type

__all__ = ["arguments_type", "parameters_type", "tool_type", "unmarshal"]


def tool_type(version: str) -> GoType:
    """api.Tool."""
    found: GoType = _field(request_type("/api/chat", version), "tools").of
    return found


def parameters_type(version: str) -> GoType:
    """api.ToolFunctionParameters."""
    found: GoType = _field(_field(tool_type(version), "function"), "parameters")
    return found


def arguments_type(version: str) -> GoType:
    """api.ToolCallFunctionArguments."""
    message = _field(request_type("/api/chat", version), "messages").of.inner
    found: GoType = _field(_field(_field(message, "tool_calls").of, "function"), "arguments")
    return found


def unmarshal(text: str, type_: GoType, version: str) -> Any:
    """A text that is JSON as a whole, as json.Unmarshal reads it; or a GoError, with the words that it has for ends."""
    body = text.encode("utf-8", "replace")
    read = value_of(body, version)
    if isinstance(read, GoError):
        return GoError("unexpected end of JSON input") if read.text in ("EOF", "unexpected EOF") else read
    rest = text.strip(" \t\r\n")[len(read[1]) :].lstrip(" \t\r\n")
    if rest:
        return GoError(f"invalid character {quote_rune(rest.encode())} after top-level value")
    return decode(body, type_, version)


def _field(struct: Any, name: str) -> Any:
    return struct.exact[name].type
