"""The lines of a programme's file: where each rule and each of its keys stands.

Neither `tomllib` nor `json` says where it found a value. But a text that they have read is valid, and in valid text a
key can be hidden by strings, comments and brackets only. So a scanner that knows no more than these finds the keys. A
key that it does not look for, one inside an inline table of TOML, has the line of what holds it. Where it does not find
just as many rules as were read, it tells no line at all.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator

__all__ = ["Keys", "Lines"]

#: Where a value is in a file: ("rules", 0, "when", "path"). Rules are counted from 0.
Keys = tuple[str | int, ...]

_STRING = r'"(?:[^"\\\n]|\\.)*"'

_TOML = re.compile(
    rf"""(?P<string>"{{3}}(?:[^\\]|\\.)*?"{{3,5}}|'{{3}}.*?'{{3,5}}|{_STRING}|'[^'\n]*')"""
    r"|(?P<comment>#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<equals>=)|(?P<end>\n)",
    re.DOTALL,
)
_JSON = re.compile(rf"""{_STRING}|[\[\]{{}},:]|[^\s\[\]{{}},:"]+""")


class Lines:
    """The lines of the keys in the text of a file that was read, and that has so many rules."""

    def __init__(self, text: str, *, is_json: bool, rules: int) -> None:
        self._lines: dict[Keys, int] = {}
        line, at = 1, 0
        for keys, offset in _in_json(text) if is_json else _in_toml(text):
            line, at = line + text.count("\n", at, offset), offset
            self._lines.setdefault(keys, line)
        if sum(len(keys) == 2 and keys[0] == "rules" for keys in self._lines) != rules:
            self._lines = {}

    def of(self, keys: Keys) -> int | None:
        """The line of a key, from 1, or else of what holds it; None if that is not certain."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return self._lines.get(keys)


def _in_toml(text: str) -> Iterator[tuple[Keys, int]]:
    """Each header and each key, with where its line begins."""
    rules = depth = start = 0
    table: Keys = ()
    keys: Keys | None = None  # those of the statement that begins at `start`, as soon as they are known
    for token in _TOML.finditer(text):
        match token.lastgroup:
            case "open":
                if token[0] == "{" and depth == 1 and keys == ("rules",):
                    yield ("rules", rules), token.start()
                    rules += 1
                depth += 1
            case "close":
                depth -= 1
                if depth == 0 and keys is None:
                    header = text[start : token.end()].strip()
                    table = _names(header.strip("[]"))
                    if table[0] == "rules":
                        rules += header.startswith("[[") and len(table) == 1
                        table = ("rules", rules - 1, *table[1:])
                    keys = table
                    yield from ((keys[:end], start) for end in range(2, len(keys) + 1))
            case "equals" if depth == 0 and keys is None:
                keys = (*table, *_names(text[start : token.start()]))
                yield from ((keys[:end], start) for end in range(len(table) + 1, len(keys) + 1))
            case "end" if depth == 0:
                keys, start = None, token.end()


def _names(text: str) -> Keys:
    """The names in a dotted key."""
    names: list[str] = []
    inner = tomllib.loads(f"{text} = 0")
    while isinstance(inner, dict):
        [(name, inner)] = inner.items()
        names.append(name)
    return tuple(names)


def _in_json(text: str) -> Iterator[tuple[Keys, int]]:
    """Each key of an object and each item of a list, with where it begins."""
    brackets: list[str] = []
    keys: list[str | int] = []  # that of the member in each of the brackets
    is_key = False
    for token in _JSON.finditer(text):
        what = token[0]
        if what in "]}":
            del brackets[-1], keys[-1]
        elif what == ",":
            is_key, number = brackets[-1] == "{", keys[-1]
            keys[-1] = number + 1 if isinstance(number, int) else number
        elif is_key:
            keys[-1], is_key = json.loads(what), False
            yield tuple(keys), token.start()
        elif what != ":":
            if brackets and brackets[-1] == "[":
                yield tuple(keys), token.start()
            if what in "[{":
                brackets.append(what)
                keys.append(0 if what == "[" else "")
                is_key = what == "{"
