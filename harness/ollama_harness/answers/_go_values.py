"""Small pieces of Go that its errors show: names of types, base64."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["base64_error", "go_type"]

_WHOLE = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_NEWLINES = frozenset(b"\r\n")
_PADDING = ord("=")


def go_type(value: Any) -> str:
    """What `%T` writes for a JSON value that was decoded into `any`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int() | float():
            return "float64"
        case str():
            return "string"
        case list():
            return "[]interface {}"
    return "map[string]interface {}"


def base64_error(text: str) -> str | None:
    """Why Go's base64.StdEncoding does not decode a text, in its words; None where it does.

    Source: encoding/base64, base64.go (`decodeQuantum`): line ends are skipped, padding has to be there.
    """
    if _WHOLE.fullmatch(text):
        return None
    at = _corrupt_at(text.encode("utf-8", "replace"))
    return None if at is None else f"illegal base64 data at input byte {at}"


def _corrupt_at(data: bytes) -> int | None:
    kept = [(at, byte) for at, byte in enumerate(data) if byte not in _NEWLINES]
    for start in range(0, len(kept), 4):
        group = kept[start : start + 4]
        wrong = next((place for place, (_, byte) in enumerate(group) if byte not in _LETTERS), None)
        if wrong is None:
            if len(group) == 4:
                continue
            return len(data) - len(group)
        at, byte = group[wrong]
        if byte != _PADDING or wrong < 2:
            return at
        rest = kept[start + wrong + 1 :]
        if wrong == 3:
            return rest[0][0] if rest else None
        if not rest:
            return len(data)
        if rest[0][1] != _PADDING:
            return rest[0][0] - 1
        return rest[1][0] if len(rest) > 1 else None
    return None
