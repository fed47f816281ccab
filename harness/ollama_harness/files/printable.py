"""Text that comes from outside, made safe for a terminal and for a log.

A recorded body, the version that a server claims, a file's name: each may hold escape sequences that move a terminal's
cursor, or a line end and then a forged line of our own output. Invisible characters are shown as Python's escapes.
"""

from __future__ import annotations

import json
import re

__all__ = ["json_text", "one_line", "printable", "toml_string"]

#: Control characters (C0, DEL, C1) except the line feed; characters that end a line or change its direction for some
#: programs (U+2028, U+2029, https://trojansource.codes); and halves of surrogate pairs, which cannot be encoded.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with every invisible character escaped, except line feeds."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """The text with every invisible character and every line feed escaped, so that it cannot begin a line."""
    return printable(text).replace("\n", "\\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """A value as JSON that is safe to print: invisible characters are JSON's escapes, so the value is the same."""
    return _UNSAFE.sub(_as_json, json.dumps(value, ensure_ascii=False, indent=indent))


def toml_string(text: str) -> str:
    """A basic string of TOML, which is a string of JSON as well.

    TOML cannot express halves of surrogate pairs. The string holds the text of their escapes instead.
    """
    return json_text(re.sub("[\ud800-\udfff]", _as_json, text))


def _as_json(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\udc80" <= char <= "\udcff":  # Python's stand-in for a byte in a file's name that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
