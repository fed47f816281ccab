"""What Go's JSON scanner objects to, in its words.

Sources: Go 1.26, encoding/json: scanner.go; v2_scanner.go, internal/jsonwire/decode.go and jsontext/decode.go.
"""

from __future__ import annotations

from ollama_harness.answers.go.go_strconv import escaped, is_print, quote, quote_rune

__all__ = ["scanner_error"]

_MAX_DEPTH = 10_000


class _Bad(Exception):
    """Ends the scan with its words."""


_EOF = "unexpected EOF"
_HEX = frozenset(b"0123456789abcdefABCDEF")
_DIGITS = frozenset(b"0123456789")


def scanner_error(body: bytes, *, v2: bool) -> str:
    """What Go's scanner objects to in the first value of a body; empty if it does not."""
    if not body.strip(b" \t\r\n"):
        return "EOF"
    try:
        _Scanner(body, v2=v2).value()
    except _Bad as bad:
        return str(bad)
    return ""


class _Scanner:
    """Goes over one value without recursion; `at` is the next byte."""

    def __init__(self, body: bytes, *, v2: bool) -> None:
        self.body = body
        self.v2 = v2
        self.at = 0

    def value(self) -> None:
        """One value. Raises _Bad."""
        closers: list[int] = []
        while True:
            byte = self._next()
            if byte in b"{[":
                if len(closers) == _MAX_DEPTH:
                    raise _Bad("exceeded max depth")
                closers.append(ord("}") if byte == ord("{") else ord("]"))
                self.at += 1
                if self._next() == closers[-1]:
                    self.at += 1
                    closers.pop()
                elif closers[-1] == ord("}"):
                    self._key()
                    continue
                else:
                    continue
            else:
                self._literal(byte)
            while closers:
                byte = self._next()
                if byte == ord(","):
                    self.at += 1
                    if closers[-1] == ord("}"):
                        self._next()
                        self._key()
                    break
                if byte != closers[-1]:
                    self._bad("after object key:value pair" if closers[-1] == ord("}") else "after array element")
                self.at += 1
                closers.pop()
            else:
                return

    def _next(self) -> int:
        """The next byte that is no blank."""
        body = self.body
        while self.at < len(body) and body[self.at] in b" \t\r\n":
            self.at += 1
        return self._byte()

    def _byte(self) -> int:
        if self.at >= len(self.body):
            raise _Bad(_EOF)
        return self.body[self.at]

    def _bad(self, where: str) -> None:
        rest = self.body[self.at : self.at + 4]
        raise _Bad(f"invalid character {quote_rune(rest) if self.v2 else _quote_byte(rest[0])} {where}")

    def _key(self) -> None:
        if self._byte() != ord('"'):
            self._bad("looking for beginning of object key string")
        self._string()
        if self._next() != ord(":"):
            self._bad("after object key")
        self.at += 1

    def _literal(self, byte: int) -> None:
        if byte == ord('"'):
            self._string()
        elif byte == ord("-") or byte in _DIGITS:
            self._number()
        elif byte in b"tfn":
            word = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}[byte]
            for expected in word:
                if self._byte() != expected:
                    self._bad(f"in literal {word.decode()} (expecting '{chr(expected)}')")
                self.at += 1
        else:
            self._bad("looking for beginning of value")

    def _number(self) -> None:
        after_point, in_exponent = ("in numeric literal",) * 2 if self.v2 else _NUMBER_PLACES
        if self._byte() == ord("-"):
            self.at += 1
        if self._byte() == ord("0"):
            self.at += 1
        else:
            self._digits("in numeric literal")
        if self.body[self.at : self.at + 1] == b".":
            self.at += 1
            self._digits(after_point)
        if self.body[self.at : self.at + 1] in (b"e", b"E"):
            self.at += 1
            if self._byte() in b"+-":
                self.at += 1
            self._digits(in_exponent)

    def _digits(self, where: str) -> None:
        if self._byte() not in _DIGITS:
            self._bad(where)
        while self.at < len(self.body) and self.body[self.at] in _DIGITS:
            self.at += 1

    def _string(self) -> None:
        self.at += 1
        while (byte := self._byte()) != ord('"'):
            if byte == ord("\\"):
                self._escape_v2() if self.v2 else self._escape()
            elif byte < 0x20:
                self._bad("in string" if self.v2 else "in string literal")
            else:
                self.at += 1
        self.at += 1

    def _escape(self) -> None:
        self.at += 1
        byte = self._byte()
        if byte not in b'bfnrt\\/"u':
            self._bad("in string escape code")
        self.at += 1
        if byte == ord("u"):
            for _ in range(4):
                if self._byte() not in _HEX:
                    self._bad("in \\u hexadecimal character escape")
                self.at += 1

    def _escape_v2(self) -> None:
        sequence = self.body[self.at : self.at + 6]
        if len(sequence) < 2:
            raise _Bad(_EOF)
        if sequence[1] in b'"\\/bfnrt':
            self.at += 2
            return
        if sequence[1] != ord("u"):
            raise _Bad(f"invalid escape sequence {_quote_sequence(sequence[:2])} in string")
        if not all(byte in _HEX for byte in sequence[2:]):
            raise _Bad(f"invalid escape sequence {_quote_sequence(sequence)} in string")
        if len(sequence) < 6:
            raise _Bad(_EOF)
        self.at += 6


_NUMBER_PLACES = ("after decimal point in numeric literal", "in exponent of numeric literal")


def _quote_byte(byte: int) -> str:
    """The older scanner's quoteChar: each byte is a character by itself."""
    character = chr(byte)
    if character == "'":
        return "'\\''"
    return "'\"'" if character == '"' else "'" + escaped(character, '"') + "'"


def _quote_sequence(sequence: bytes) -> str:
    text = sequence.decode("utf-8", "replace")
    plain = all(is_print(c) and c != "`" and c != "�" and not c.isspace() for c in text)
    return f"`{text}`" if plain else quote(sequence)
