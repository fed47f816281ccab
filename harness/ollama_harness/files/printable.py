"""Text that comes from outside, made safe for a terminal and for a log.

A recorded body, the version that a server claims, a file's name: any of them may hold the escape sequences that move a
terminal's cursor, or a line end after which it writes a line of the harness's own. What cannot be seen is shown as the
escape that Python would write for it.
"""

from __future__ import annotations

import json
import re

__all__ = ["json_text", "one_line", "printable", "toml_string"]

#: Control characters (C0, DEL, C1) but the line feed, what ends or turns round a line for some programs (U+2028,
#: U+2029, marks of direction: https://trojansource.codes), and halves of surrogate pairs, which no encoding can hold.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with everything that cannot be seen escaped, but for line feeds."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """The text with line feeds escaped, too: so that it cannot begin a line."""
    return printable(text).replace("\n", "\\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """A value as JSON that a terminal can show: the same value, with what cannot be seen escaped as JSON does it."""
    return _UNSAFE.sub(_as_json, json.dumps(value, ensure_ascii=False, indent=indent))


def toml_string(text: str) -> str:
    """A basic string of TOML, which is one of JSON as well.

    TOML cannot say halves of surrogate pairs; the string says what Python and JSON would write for them.
    """
    return json_text(re.sub("[\ud800-\udfff]", _as_json, text))


def _as_json(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\udc80" <= char <= "\udcff":  # a byte of a file's name that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
