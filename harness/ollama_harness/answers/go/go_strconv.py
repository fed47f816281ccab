"""Go's strconv: quoted texts, as `%q` writes them and as the errors of decoders have them."""

from __future__ import annotations

import unicodedata

__all__ = ["escaped", "is_print", "quote", "quote_rune"]


def is_print(character: str) -> bool:
    """unicode.IsPrint: letters, marks, numbers, punctuation, symbols, and the blank."""
    return character == " " or unicodedata.category(character)[0] in "LMNPS"


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def escaped(character: str, mark: str) -> str:
    """A character as it stands between two of these marks."""
    if character == mark:
        return "\\" + mark
    if character in _ESCAPES:
        return _ESCAPES[character]
    if is_print(character):
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str | bytes) -> str:
    """strconv.Quote, which `%q` writes: a byte that is no UTF-8 is `\\xff`."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return '"' + "".join(escaped(character, '"') for character in text) + '"'


def quote_rune(data: bytes) -> str:
    """strconv.QuoteRune of the first character; a byte that begins none is `'\\xff'`."""
    for length in range(1, 5):
        try:
            return "'" + escaped(data[:length].decode(), "'") + "'"
        except UnicodeDecodeError:
            continue
    return f"'\\x{data[0]:x}'"
