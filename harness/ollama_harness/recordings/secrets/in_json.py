"""Secrets in JSON: the value of a secret's name, be it a string, a number, or anything inside a list or an object.

JSON is parsed here with the place of every value, because Python's parser does not give the places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ollama_harness.recordings.secrets.names import Secrecy, secrecy

__all__ = [
    "NO_SECRET",
    "Leaf",
    "blank_number",
    "end_of_value",
    "leaves",
    "numbers_in_text",
    "strings_in_text",
    "unescaped",
]

_TOKEN = re.compile(
    rb'[ \t\r\n]*+(?:(?P<string>"(?:[^"\\]|\\.)*+")'
    rb"|(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)(?![\w.+-])"
    rb"|(?P<word>true|false|null)\b|(?P<mark>[{}\[\]:,]))",
    re.DOTALL,
)
#: The end of the text, or a string, number or word that the text cuts off.
_END_OF_TEXT = re.compile(rb'[ \t\r\n]*+(?:"|[\w.+-]*+\Z)')
_ESCAPE = re.compile(rb'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\\r\n]|\\[^\r\n])*+"?|[{}\[\]]')
#: JSON over several lines that is nested deeper than this is searched line by line.
_DEEPEST = 200

#: A string up to its end, or to the end of the line.
_STRING = rb'"((?:[^"\\\r\n]|\\[^\r\n])*+)'
_NAME_IN_TEXT = re.compile(rb'"((?:[^"\\\r\n]|\\[^\r\n]){1,200}+)"[ \t]*+:[ \t\r\n]*+(?=["\[{0-9-])')
_STRING_IN_TEXT = re.compile(_STRING)
_SCHEMA_IN_TEXT = re.compile(rb'\{[^{}\[\]]{0,1000}?"type"[ \t\r\n]*:[ \t\r\n]*"(\w+)"')
_VALUES_IN_SCHEMA = (b"value", b"default", b"const")
_TYPES = frozenset({b"string", b"number", b"integer", b"boolean", b"object", b"array", b"null"})

#: Beside these names `token` is a piece of text with its probability, and no secret.
_WITH_PROBABILITY = frozenset({b"logprob", b"top_logprobs", b"prob", b"probs"})
_PROBABILITY_IN_TEXT = re.compile(rb'"?[ \t\r\n]*,[ \t\r\n]*"(?:logprob|prob|bytes|top_logprobs)"')

#: Values of a weak name that are no secrets.
NO_SECRET = frozenset(
    {
        *(b"", b"true", b"false", b"none", b"null", b"yes", b"no", b"on", b"off", b"auto", b"required", b"optional"),
        *(b"enabled", b"disabled", b"basic", b"bearer", b"digest", b"oauth", b"oauth2", b"token", b"jwt", b"cookie"),
    }
)
#: A number under a weak name is a count if it has fewer digits than a PIN.
_FEWEST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Leaf:
    """The content of a string, or a number: where it starts and ends, and whether its name makes it a secret."""

    start: int
    end: int
    is_secret: bool
    is_number: bool = False


@dataclass(slots=True)
class _Node:
    kind: str  # string, number, word, array or object
    start: int
    end: int
    members: list[tuple[_Node | None, _Node]] = field(default_factory=list)


class _NoJson(Exception):
    pass


class _CutOff(Exception):
    pass


def leaves(text: bytes) -> list[Leaf] | None:
    """All strings of a JSON document, names included, and the numbers that are secrets; None if it is no JSON.

    A document that is nested too deeply is no JSON here.
    """
    try:
        root, end = _read(text, 0)
        if text[end:].strip(b" \t\r\n") or root.kind in ("number", "word"):
            return None
        return list(_leaves(text, root, Secrecy.NONE))
    except (_NoJson, _CutOff, RecursionError):
        return None


def end_of_value(text: bytes, at: int) -> tuple[int, bool | None]:
    """Where the array or object ends that begins here, and True; or how far it was read, and False if it is no JSON.

    The second is None if the text ends before the value does.
    """
    closing = b""
    for token in _STRING_OR_BRACKET.finditer(text, at):
        match token[0]:
            case b"{" | b"[" as opening if len(closing) < _DEEPEST:
                closing += b"}" if opening == b"{" else b"]"
            case b"}" | b"]" as closes if closing and closing[-1:] == closes:
                closing = closing[:-1]
                if not closing:
                    return token.end(), leaves(text[at : token.end()]) is not None
            case string if string[:1] == b'"' and (len(string) > 1 and string[-1:] == b'"'):
                continue
            case _:
                return token.end(), False
    return len(text), None


def _read(text: bytes, at: int) -> tuple[_Node, int]:
    """The value that begins at `at`, and the offset of its end."""
    kind, start, end = _token(text, at)
    match kind, text[start:end]:
        case "mark", b"[":
            return _read_members(text, _Node("array", start, end), b"]")
        case "mark", b"{":
            return _read_members(text, _Node("object", start, end), b"}")
        case "mark", _:
            raise _NoJson
        case _:
            return _Node(kind, start, end), end


def _read_members(text: bytes, node: _Node, closing: bytes) -> tuple[_Node, int]:
    _, start, at = _token(text, node.end)
    if text[start:at] == closing:
        node.end = at
        return node, at
    at = node.end
    while True:
        name = None
        if node.kind == "object":
            name, at = _read(text, at)
            _, start, at = _token(text, at)
            if name.kind != "string" or text[start:at] != b":":
                raise _NoJson
        value, at = _read(text, at)
        node.members.append((name, value))
        _, start, at = _token(text, at)
        if text[start:at] == closing:
            node.end = at
            return node, at
        if text[start:at] != b",":
            raise _NoJson


def _token(text: bytes, at: int) -> tuple[str, int, int]:
    match = _TOKEN.match(text, at)
    if match is None or match.lastgroup is None:
        raise _CutOff if _END_OF_TEXT.match(text, at) else _NoJson
    return match.lastgroup, *match.span(match.lastgroup)


def _leaves(text: bytes, node: _Node, secret: Secrecy) -> Iterator[Leaf]:
    match node.kind:
        case "string":
            content = text[node.start + 1 : node.end - 1]
            yield Leaf(node.start + 1, node.end - 1, is_secret=_is_secret_string(content, secret))
        case "number":
            if _is_secret_number(text[node.start : node.end], secret):
                yield Leaf(node.start, node.end, is_secret=True, is_number=True)
        case _:
            names = {_name(text, name) for name, _ in node.members if name}
            named = max((_secrecy_named(text, *member) for member in node.members), default=Secrecy.NONE)
            for name, value in node.members:
                own = Secrecy.NONE
                if name is not None:
                    yield Leaf(name.start + 1, name.end - 1, is_secret=False)
                    own = _own_secrecy(text, _name(text, name), value, names)
                    own = max(own, named) if _name(text, name) == b"value" else own
                yield from _leaves(text, value, max(own, secret))


def _secrecy_named(text: bytes, name: _Node | None, value: _Node) -> Secrecy:
    """What a member says of the value beside it: {"name": "API_KEY", "value": …}, as in a list of variables."""
    if name is None or value.kind != "string" or _name(text, name) not in (b"name", b"key", b"header"):
        return Secrecy.NONE
    return secrecy(_name(text, value))


def _own_secrecy(text: bytes, name: bytes, value: _Node, names: set[bytes]) -> Secrecy:
    if name == b"token" and names & _WITH_PROBABILITY:
        return Secrecy.NONE
    if value.kind == "object" and any(_says_type(text, *member) for member in value.members):
        if any(key and _name(text, key) in _VALUES_IN_SCHEMA for key, _ in value.members):
            return secrecy(name)
        return Secrecy.NONE  # the schema of a tool's parameter: {"password": {"type": "string", …}}
    return secrecy(name)


def _says_type(text: bytes, name: _Node | None, value: _Node) -> bool:
    if name is None or _name(text, name) != b"type":
        return False
    words = [one for _, one in value.members] if value.kind == "array" else [value]
    return words != [] and all(text[one.start + 1 : one.end - 1] in _TYPES for one in words)


def _name(text: bytes, node: _Node) -> bytes:
    return unescaped(text[node.start + 1 : node.end - 1], range(node.end))[0]


def _is_secret_string(content: bytes, secret: Secrecy) -> bool:
    match secret:
        case Secrecy.STRONG:
            return content != b""
        case Secrecy.WEAK:
            return content.lower() not in NO_SECRET
        case _:
            return False


def _is_secret_number(number: bytes, secret: Secrecy) -> bool:
    digits = sum(48 <= byte < 58 for byte in number)
    return secret is Secrecy.STRONG or (secret is Secrecy.WEAK and digits >= _FEWEST_DIGITS)


def strings_in_text(text: bytes) -> Iterator[tuple[int, int]]:
    """The strings that are secrets in text with JSON in it (part of a log, a line that was cut off): start and end."""
    return ((leaf.start, leaf.end) for leaf in _leaves_in_text(text) if not leaf.is_number)


def numbers_in_text(text: bytes) -> Iterator[tuple[int, int]]:
    """The numbers that are secrets in such a text: start and end."""
    return ((leaf.start, leaf.end) for leaf in _leaves_in_text(text) if leaf.is_number)


def blank_number(number: bytes) -> bytes:
    """The number with each digit replaced by 1, or by 0 in the exponent: still a valid number of JSON."""
    mantissa, exponent = re.fullmatch(rb"([^eE]*)(.*)", number, re.DOTALL).groups()  # type: ignore[union-attr]
    return re.sub(rb"[0-9]", b"1", mantissa) + re.sub(rb"[0-9]", b"0", exponent)


def _leaves_in_text(text: bytes) -> Iterator[Leaf]:
    done = 0
    for match in _NAME_IN_TEXT.finditer(text):
        name, _ = unescaped(match[1], range(len(match[1]) + 1))
        secret, at = secrecy(name), match.end()
        if secret is Secrecy.NONE or at < done:
            continue
        if string := _STRING_IN_TEXT.match(text, at):
            is_piece = name == b"token" and _PROBABILITY_IN_TEXT.match(text, string.end())
            if not is_piece and _is_secret_string(string[1], secret):
                yield Leaf(*string.span(1), is_secret=True)
        elif not ((schema := _SCHEMA_IN_TEXT.match(text, at)) and schema[1] in _TYPES):
            try:
                node, done = _read(text, at)
                yield from (leaf for leaf in _leaves(text, node, secret) if leaf.is_secret)
            except (_CutOff, RecursionError):
                done = len(text)
                if text[at:].strip(b" \t\r\n[{"):
                    yield Leaf(at, done, is_secret=True)
            except _NoJson:
                continue


def unescaped(text: bytes, places: Sequence[int]) -> tuple[bytes, Sequence[int]]:
    """The text without JSON's escapes, and for each of its bytes, and for its end, the place it came from.

    `places` are the places of the given text's bytes and of its end.
    """
    if b"\\" not in text:
        return text, places
    data, found, at = bytearray(), list[int](), 0
    for match in _ESCAPE.finditer(text):
        data += text[at : match.start()]
        found += places[at : match.start()]
        char = chr(int(match[1], 16)).encode("utf-8", "surrogatepass") if match[1] else _ESCAPED.get(match[2], match[2])
        data += char
        found += [places[match.start()]] * len(char)
        at = match.end()
    data += text[at:]
    found += places[at : len(text) + 1]
    return bytes(data), found
