"""A text that matches a regular expression: the `pattern` of a JSON Schema.

The expression is read from left to right and written at once: each part gives its shortest text, a class of characters
its next character. What looks around or back, and what is no expression, has no text.

Source: ECMA-262, the part of its regular expressions that patterns use.
"""

from __future__ import annotations

import re
import string

__all__ = ["matches", "text_for"]

_DIGITS = "1234567890"
_WORD = string.ascii_lowercase + string.ascii_uppercase + _DIGITS + "_"
_PRINTABLE = _WORD + " -.,:;/+*=@#$%&!?()[]{}<>'\"^|~`\\"
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": " ", "D": string.ascii_lowercase, "W": " -.", "S": _WORD}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}

#: A pattern that is longer, or that asks for a longer text, is not looked at.
_LONGEST_PATTERN, _LONGEST_TEXT = 400, 4000
#: A longer text is not compared: some patterns take ages to refuse one.
_LONGEST_COMPARED = 20
#: Optional parts are repeated so many times at most, to reach a length.
_MOST_REPEATS = 64


def matches(pattern: str, text: str) -> bool:
    """Whether a short text matches, anywhere in it as JSON Schema has it."""
    if len(text) > _LONGEST_COMPARED:
        return False
    try:
        return re.search(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), text) is not None
    except (re.error, OverflowError, RecursionError):
        return False


def text_for(pattern: str, least: int = 0) -> str | None:
    """A text of at least `least` characters that matches, or None if none was found."""
    for repeats in range(min(least, _MOST_REPEATS) + 1):
        try:
            text = _Writer(pattern, repeats).all()
        except (_UnknownError, RecursionError):
            return None
        if len(text) >= least:  # an anchor in the middle may still forbid it
            return text if len(text) > _LONGEST_COMPARED or matches(pattern, text) else None
    return None


class _UnknownError(Exception):
    """The expression has what is not known here."""


class _Writer:
    """Writes one text. What may come more often than it has to comes at least `repeats` times."""

    def __init__(self, pattern: str, repeats: int) -> None:
        if len(pattern) > _LONGEST_PATTERN:
            raise _UnknownError
        self._pattern, self._at, self._repeats, self._written = pattern, 0, repeats, 0

    def all(self) -> str:
        text = self._choice()
        if self._at < len(self._pattern):
            raise _UnknownError
        return text

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        if not (character := self._next()):
            raise _UnknownError
        self._at += 1
        return character

    def _choice(self) -> str:
        """Alternatives: the first one is written, the others are only read."""
        text = self._sequence()
        while self._next() == "|":
            self._take()
            self._sequence()
        return text

    def _sequence(self) -> str:
        text = ""
        while self._next() not in ("", "|", ")"):
            start = self._at
            part = self._part()
            least, most = self._quantifier()
            end, times = self._at, min(max(least, self._repeats), most)
            if times * max(len(part), 1) + len(text) > _LONGEST_TEXT:
                raise _UnknownError
            text += part if times else ""
            for _ in range(times - 1):  # written again, since a class gives its next character
                self._at = start
                text += self._part()
            self._at = end
        return text

    def _quantifier(self) -> tuple[int, int]:
        """How many times the part before it comes, at least and at most."""
        bounds = {"*": (0, _LONGEST_TEXT), "+": (1, _LONGEST_TEXT), "?": (0, 1)}.get(self._next())
        if bounds:
            self._take()
        elif braces := re.compile(r"\{(\d{1,4})(,?)(\d{0,4})\}").match(self._pattern, self._at):
            self._at = braces.end()
            least = int(braces[1])
            bounds = least, int(braces[3]) if braces[3] else _LONGEST_TEXT if braces[2] else least
        else:
            return 1, 1
        if self._next() == "?":  # as few as it can be, which is what is written
            self._take()
        return bounds

    def _part(self) -> str:
        match self._take():
            case "^" | "$":
                return ""
            case ".":
                return self._one_of(_WORD)
            case "(":
                return self._group()
            case "[":
                return self._one_of(self._characters())
            case "\\":
                return "" if self._next() in ("b", "B") and self._take() else self._one_of(self._escape())
            case "*" | "+" | "?":
                raise _UnknownError
            case character:
                return character

    def _group(self) -> str:
        if self._next() == "?":
            opening = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)").match(self._pattern, self._at)
            if not opening:
                raise _UnknownError
            self._at = opening.end()
        text = self._choice()
        if self._take() != ")":
            raise _UnknownError
        return text

    def _escape(self) -> str:
        """The characters that an escape stands for."""
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in ("u", "x"):
            digits = self._pattern[self._at : self._at + (4 if character == "u" else 2)]
            if not re.fullmatch(r"[0-9a-fA-F]{2}(?:[0-9a-fA-F]{2})?", digits) or 0xD800 <= int(digits, 16) < 0xE000:
                raise _UnknownError
            self._at += len(digits)
            return chr(int(digits, 16))
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character.isalnum():  # \1, \k, \p, …
            raise _UnknownError
        return character

    def _characters(self) -> str:
        """Those of a class in brackets; the opening one is read."""
        is_not, found = self._next() == "^", ""
        if is_not:
            self._take()
        while self._next() != "]":
            first = self._member()
            if len(first) == 1 and re.match(r"-[^\]]", self._pattern[self._at :]):
                self._take()
                last = self._member()
                if len(last) != 1 or last < first:
                    raise _UnknownError
                first = "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 200) + 1)))
            found += first
        self._take()
        if is_not:
            found = "".join(character for character in _PRINTABLE if character not in found)
        if not found:
            raise _UnknownError
        return found

    def _member(self) -> str:
        return self._escape() if (character := self._take()) == "\\" else character

    def _one_of(self, characters: str) -> str:
        self._written += 1
        return characters[(self._written - 1) % len(characters)]
