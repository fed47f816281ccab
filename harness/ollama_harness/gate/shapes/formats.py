"""The formats of strings: times, ids, words of a short list, and how characters are escaped."""

from __future__ import annotations

import re

__all__ = ["WORDS", "anonymous", "escapes", "format_of", "normal_route", "status_kind"]

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?P<fraction>\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?")
_ID = re.compile(r"(?P<prefix>(?:[a-z]+[-_])*)(?P<rest>[0-9A-Za-z]+)")
_DIGEST = re.compile(r"(?:sha256[:-])?\b[0-9a-f]{12,64}\b")

#: Fields that hold one of a few words, by their last key. Ollama's own documentation lists the words.
#: Source: https://docs.ollama.com/api/generate and https://platform.openai.com/docs/api-reference/chat/streaming
WORDS = frozenset({"done_reason", "finish_reason", "stop_reason", "role", "object", "type", "source", "capabilities[]"})


def format_of(key: str, text: str) -> str:
    """The form of a string that is a time or an id, "" for any other. `key` is the last key of its path."""
    if match := _TIME.fullmatch(text):
        zone = match["zone"]
        return f"time {'without zone' if zone is None else 'Z' if zone == 'Z' else '+hh:mm'}"
    if (key == "id" or key.endswith("_id")) and (match := _ID.fullmatch(text)):
        digits = match["rest"].isdigit() and len(match["rest"]) < 8
        return f"id {match['prefix']}{'<digits>' if digits else '<letters and digits>'}"
    return ""


def status_kind(status: str) -> str:
    """The kind of a progress record: its status, without digests."""
    return "status " + _DIGEST.sub("<digest>", status)


def anonymous(text: str) -> str:
    """A text without what differs from session to session: digests, ports, counts."""
    return re.sub(r"\d{4,}", "<number>", _DIGEST.sub("<digest>", re.sub(r"(?<=[\w\].]):\d{2,5}\b", ":<port>", text)))


def normal_route(method: str, path: str) -> str:
    """`POST /api/chat`; a model or a digest in the path becomes a placeholder."""
    path = re.sub(r"/blobs/[^/]+", "/blobs/:digest", path.partition("?")[0])
    return f"{method} {re.sub('/v1/models/.+', '/v1/models/:model', path)}"


#: Classes of characters, each with a pattern for the raw and one for the escaped form in JSON text.
#: Source: https://pkg.go.dev/encoding/json#Marshal (which escapes the first two, and no other letters)
_CLASSES = {
    "< > &": (re.compile(rb"[<>&]"), re.compile(rb"\\u00(?:3[cCeE]|26)")),
    "U+2028 U+2029": (re.compile(rb"\xe2\x80[\xa8\xa9]"), re.compile(rb"\\u202[89]")),
    "other than ASCII": (
        re.compile(rb"(?!\xe2\x80[\xa8\xa9])[\xc2-\xf4][\x80-\xbf]+"),
        re.compile(rb"\\u(?!202[89]|00[0-7]|[fF]{3}[dD])[0-9a-fA-F]{4}"),
    ),
    "/": (re.compile(rb"(?<!\\)/"), re.compile(rb"\\/")),
}


def escapes(json_text: bytes) -> dict[str, frozenset[str]]:
    """For each class of characters that occurs in JSON text: whether they are `raw` or `escaped`."""
    text = json_text.replace(rb"\\", b"")  # `\\u` is an escaped backslash before a u, and not an escaped character
    found = {}
    for name, patterns in _CLASSES.items():
        forms = zip(("raw", "escaped"), patterns, strict=True)
        if seen := frozenset(form for form, pattern in forms if pattern.search(text)):
            found[name] = seen
    return found
