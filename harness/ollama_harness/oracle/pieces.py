"""Pieces: what a client yields that translates an answer, in a form that all such clients share.

A client yields *records*, Ollama's own objects, or *pieces* of what the model says. A piece is a JSON object with one
key, its kind:

    {"role": "assistant"}
    {"text": "Hi"}
    {"thinking": "hm"}
    {"tool_call": {"name": "get_weather", "arguments": {"city": "Paris"} or text, "id": "call_1"?, "index": 0?}}
    {"finish_reason": "stop"}
    {"usage": {"input": 12, "output": 34}}     each a number of tokens, or null
    {"error": anything}                        an error that the client returns as a value; one that it raises is none

A client may join or split texts. It may yield a tool call in parts: the parts after the first have no name, and only
their text of `arguments`. That the client's function returns is the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

__all__ = ["PieceKind", "PieceObject", "Yields", "problem_of_piece"]

#: One key, its kind, and what it says.
PieceObject = Mapping[str, Any]


class Yields(StrEnum):
    """What a client yields. The value is the key under which its process reports each."""

    RECORDS = "record"
    PIECES = "piece"


class PieceKind(StrEnum):
    """The kinds of pieces."""

    ROLE = "role"
    TEXT = "text"
    THINKING = "thinking"
    TOOL_CALL = "tool_call"
    FINISH_REASON = "finish_reason"
    USAGE = "usage"
    ERROR = "error"


def problem_of_piece(value: Any) -> str | None:
    """None if it is a piece, else what is wrong with it."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return f"a piece is an object with one key, and this is {value!r:.80}"
    [(kind, content)] = value.items()
    if kind not in tuple(PieceKind):
        return f"{kind!r:.40} is no kind of piece; the kinds are {', '.join(PieceKind)}"
    check, form = _FORMS[PieceKind(kind)]
    return None if check(content) else f"{kind} is {form}, and this is {content!r:.80}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_tool_call(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value.keys() <= {"name", "arguments", "id", "index"}:
        return False
    names, arguments = isinstance(value.get("name"), str | None), value.get("arguments")
    index = isinstance(value.get("index"), int | None) and isinstance(value.get("id"), str | None)
    return names and index and (isinstance(arguments, str) or (isinstance(arguments, Mapping) and "name" in value))


def _is_usage(value: Any) -> bool:
    numbers = value.values() if isinstance(value, Mapping) else ()
    return (
        bool(numbers) and value.keys() <= {"input", "output"} and all(type(one) in (int, type(None)) for one in numbers)
    )


_FORMS: dict[PieceKind, tuple[Callable[[Any], bool], str]] = {
    PieceKind.ROLE: (_is_text, "a text"),
    PieceKind.TEXT: (_is_text, "a text"),
    PieceKind.THINKING: (_is_text, "a text"),
    PieceKind.TOOL_CALL: (
        _is_tool_call,
        "an object with name and arguments, and perhaps id and index; a further part of a call has no name",
    ),
    PieceKind.FINISH_REASON: (_is_text, "a text"),
    PieceKind.USAGE: (_is_usage, "an object with input and output, each a whole number or null"),
    PieceKind.ERROR: (lambda _: True, "anything"),
}
