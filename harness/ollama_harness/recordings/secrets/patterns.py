"""What secrets look like in text: keys of a known form, and values that are assigned to a secret's name."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ollama_harness.recordings.secrets.in_json import NO_SECRET, blank_number, numbers_in_text, strings_in_text
from ollama_harness.recordings.secrets.names import Secrecy, secrecy

__all__ = ["NUMBERS_IN_JSON", "PATTERNS", "STRINGS_IN_JSON", "SecretPattern", "home_pattern", "name_pattern"]


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """One kind of secret. `spans(text)` returns where each begins and ends, and `blank` replaces one.

    A text with none of the `hints` (in lower case) and no match of `shape` has no such secret. The hints are searched
    first, because that is much faster.
    """

    kind: str
    spans: Callable[[bytes], Iterable[tuple[int, int]]]
    hints: tuple[bytes, ...]
    shape: re.Pattern[bytes] | None = None
    blank: Callable[[bytes], bytes] = lambda secret: b"*" * len(secret)


def _pattern(
    kind: str,
    regex: bytes,
    *hints: bytes,
    shape: re.Pattern[bytes] | None = None,
    accepts: Callable[[re.Match[bytes]], bool] = lambda _: True,
) -> SecretPattern:
    """The pattern of a regular expression whose group 1 is the secret."""
    compiled = re.compile(regex, re.IGNORECASE)

    def spans(text: bytes) -> Iterator[tuple[int, int]]:
        return (match.span(1) for match in compiled.finditer(text) if match[1] and accepts(match))

    return SecretPattern(kind, spans, hints, shape)


# ------------------------------------------------------------------------------------------ assigned to a name

#: A name and what stands between it and its value. `tight` is a colon without a space, as Go prints a map.
_NAME = re.compile(
    rb"(?<![a-z0-9_?&])(?P<name>(?:(?:api|access|secret|private) )?[a-z][a-z0-9_.-]{1,80}+)'?"
    rb"(?:(?P<equals>[ \t]{0,8}:?=(?!=)>?[ \t]{0,8})|[ \t]{0,8}:(?:[ \t]{1,8}|(?=[\"'])|(?P<tight>(?=[a-z0-9]))))",
    re.IGNORECASE,
)
_VALUE = re.compile(
    rb"\"(?P<double>(?:[^\"\\\r\n]|\\[^\r\n])++)\"|'(?P<single>(?:[^'\\\r\n]|\\[^\r\n])++)'|(?P<bare>[^\s\"'\\&;]++)"
)
#: How far back the beginning of a line is searched.
_INDENT_BYTES = 80
_BEFORE_IT = re.compile(rb"(?:\A|\n|[\"'])[ \t]*+(?:- |export |set |env )?[ \t]*+\Z", re.IGNORECASE)
_AFTER_IT = re.compile(rb"[ \t]*+(?:#[^\n]*+)?(?:\r?\n|\Z)|[\"']")
#: A variable, a placeholder or a call: not a secret itself, but the place where it comes from.
_REFERENCE = re.compile(rb"\$[{(]|\$[A-Z_]+\Z|%|<|\{|\[|[\w.]+[(\[]|\*+\Z", re.IGNORECASE)
_DIGIT_AND_LETTER = re.compile(rb"(?=[^0-9]*[0-9])(?=[^a-z]*[a-z]).{6,}", re.IGNORECASE | re.DOTALL)
_LONG, _LONGEST_NAME = 20, 200
_AFTER_A_SENTENCE = b",.)]}>"


def _assigned(text: bytes) -> Iterator[tuple[int, int]]:
    """KEY=value, `key: value` as in YAML and headers, {'key': 'value'}, key = "value".

    The value of a name that means nothing may hold another assignment: `error: password=…`, `msg="token=…"`.
    """
    at = 0
    while name := _NAME.search(text, at):
        at = name.end()
        secret = secrecy(name["name"])
        if secret is Secrecy.NONE or _REFERENCE.match(text, at) or not (value := _VALUE.match(text, at)):
            continue
        which = value.lastgroup or ""
        content = value[which].rstrip(_AFTER_A_SENTENCE) if which == "bare" else value[which]
        if _is_assigned_secret(name, secret, value, content):
            yield value.start(which), value.start(which) + len(content)
            at = value.end()


def _is_assigned_secret(match: re.Match[bytes], secret: Secrecy, place: re.Match[bytes], value: bytes) -> bool:
    is_bare = place.lastgroup == "bare"
    if not value or value.lower() in NO_SECRET or _REFERENCE.match(value):
        return False
    name = match["name"].lower()
    if is_bare and (value.lower() == name or (_is_identifier(value) and secrecy(value) is not Secrecy.NONE)):
        return False  # password=password, token=self.token
    if name.endswith(b"pwd") and value.startswith((b"/", b"~")):
        return False
    looks_so = len(value) >= _LONG or _DIGIT_AND_LETTER.match(value) is not None
    if match["equals"] is not None:
        return secret is Secrecy.STRONG or len(value) >= 4
    if secret is Secrecy.WEAK or match["tight"] is not None:
        is_sure = secret is Secrecy.STRONG or match["tight"] is None
        return is_sure and looks_so and value[:1].isalnum() and b":" not in value
    return not is_bare or looks_so or _is_alone(match, place.end())


def _is_alone(match: re.Match[bytes], end: int) -> bool:
    """Whether name and value, up to `end`, fill a whole line, or the whole text between quotes."""
    start = match.start()
    before = match.string[:start] if start < _INDENT_BYTES else b"." + match.string[start - _INDENT_BYTES : start]
    return _BEFORE_IT.search(before) is not None and _AFTER_IT.match(match.string, end) is not None


def _is_identifier(value: bytes) -> bool:
    return len(value) <= _LONGEST_NAME and (b"." in value or b"_" in value)


_IN_QUERY = re.compile(rb"[?&;](?P<name>[a-z0-9_.~%-]{1,80}+)=(?P<value>[^&\s\"'\\#<>;]++)", re.IGNORECASE)
#: Names of secrets in a query only; elsewhere they are names for anything.
_QUERY_NAMES = re.compile(rb"key|sign|hmac|(?:.*[_.-])?(?:sig|signature)", re.IGNORECASE)
#: `ollama signin` puts a public key into a URL. This is `ssh-` in base64.
_PUBLIC_KEY = b"c3NoL"


def _in_query(text: bytes) -> Iterator[tuple[int, int]]:
    """?api_key=…&sig=…"""
    for match in _IN_QUERY.finditer(text):
        name = unquote_to_bytes(match["name"])
        is_secret = secrecy(name) is not Secrecy.NONE or _QUERY_NAMES.fullmatch(name)
        if is_secret and not match["value"].startswith(_PUBLIC_KEY):
            yield match.span("value")


# ------------------------------------------------------------------------------------------ by their form


def _is_basic(match: re.Match[bytes]) -> bool:
    """Whether it is a user and a password in base64, and not just the next word after `basic`."""
    text = match[1].rstrip(b"=")
    try:
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return ":" in decoded and decoded.isprintable()


#: Forms of keys with their fixed prefixes. Sources: the documentation of the companies that issue them, and gitleaks.
_KEYS = rb"|".join(
    (
        rb"sk-[a-z0-9_-]{8,}",  # OpenAI, Anthropic, and services with a similar API
        rb"(?:sk|rk)_(?:live|test)_[a-z0-9]{8,}|whsec_[a-z0-9+/=]{16,}",  # Stripe
        rb"gh[pousr]_[a-z0-9]{16,}|github_pat_[a-z0-9_]{16,}",
        rb"gl(?:pat|agent|cbt|dt|ffct|ft|imt|oas|ptt|rtr?|soat)-[a-z0-9_.=-]{16,}",  # GitLab
        rb"npm_[a-z0-9]{16,}|pypi-Ag[a-z0-9_-]{16,}|dckr_(?:pat|oat)_[a-z0-9_-]{16,}",
        rb"hf_[a-z0-9]{16,}|gsk_[a-z0-9]{16,}|xai-[a-z0-9]{16,}|pplx-[a-z0-9]{16,}|r8_[a-z0-9]{16,}|nvapi-[a-z0-9_-]{16,}",
        rb"xox[abeoprs]-[a-z0-9-]{10,}|xapp-[a-z0-9-]{10,}",  # Slack
        rb"(?-i:A[KS]IA)[0-9A-Z]{16}|(?-i:AIza)[a-z0-9_-]{20,}|ya29\.[a-z0-9_-]{20,}|GOCSPX-[a-z0-9_-]{20,}",
        rb"SG\.[a-z0-9_-]{16,}\.[a-z0-9_-]{16,}|do[opr]_v1_[a-f0-9]{32,}|hvs\.[a-z0-9_-]{20,}|dapi[a-f0-9]{32}",
        rb"AGE-SECRET-KEY-1[a-z0-9]{20,}|[0-9]{8,10}:AA[a-z0-9_-]{30,}",  # age; Telegram
        rb"shp(?:at|ca|pa|ss)_[a-f0-9]{32}|lin_api_[a-z0-9]{16,}|ATATT3[a-z0-9_=-]{16,}|tvly-[a-z0-9-]{16,}",
    )
)
#: Every key form with a separator has this shape; the others are few, and have hints.
_KEY_SHAPE = re.compile(rb"[a-zA-Z][_-][a-zA-Z0-9_-]{8}")
_KEY_HINTS = (b"r8_", b"akia", b"asia", b"aiza", b"ya29.", b"sg.", b"hvs.", b"dapi", b":aa", b"atatt3")
_NAME_HINTS = (
    *(b"key", b"token", b"pass", b"pw", b"secret", b"auth", b"cred", b"cookie", b"sess", b"bearer", b"jwt"),
    *(b"srf", b"otp"),
)

STRINGS_IN_JSON = SecretPattern("a value in JSON", strings_in_text, _NAME_HINTS)
NUMBERS_IN_JSON = SecretPattern("a number in JSON", numbers_in_text, _NAME_HINTS, blank=blank_number)
PATTERNS = (
    STRINGS_IN_JSON,
    NUMBERS_IN_JSON,
    SecretPattern("a value that is assigned", _assigned, _NAME_HINTS),
    _pattern("a key", rb"(?<![a-z0-9_-])(" + _KEYS + rb")", *_KEY_HINTS, shape=_KEY_SHAPE),
    _pattern("a JWT", rb"(?<![a-z0-9_-])((?-i:eyJ)[a-z0-9_-]{8,}\.[a-z0-9_-]{4,}(?:\.[a-z0-9_-]*)?)", b"eyj"),
    _pattern("a bearer token", rb"\A\"?bearer +([^\s\"'\\]++)\"?\Z", b"bearer"),
    _pattern(
        "a bearer token", rb"\bbearer +((?=[a-z._~+/=-]*[0-9])[a-z0-9._~+/=-]{8,}|[a-z0-9._~+/=-]{24,})", rb"bearer"
    ),
    _pattern("a user and a password", rb"\bbasic +([a-z0-9+/]{4,}={0,2})(?![a-z0-9+/=])", b"basic", accepts=_is_basic),
    _pattern(
        "credentials in a header",
        rb"(?<![a-z0-9-])(?:proxy-)?authorization[ \t]*:[ \t]*(?:basic|bearer|negotiate|token|apikey)[ \t]+"
        rb"([^\s\"'\\,;]++)",
        b"authorization",
    ),
    _pattern("credentials in a header", rb"authorization[ \t]*:[ \t]*digest[ \t]+([^\r\n]++)", b"authorization"),
    _pattern(
        "credentials in a header",
        rb"(?<![a-z0-9-])(?:set-)?cookie2?[ \t]*:[ \t]*([^\s=;\"'\\]++=[^\r\n\"'\\]++)",
        b"cookie",
    ),
    SecretPattern("a secret in a query", _in_query, (*_NAME_HINTS, b"sig", b"hmac")),
    _pattern("a user in a URL", rb":(?:\\?/){2}([^\s/@\"'\\?#<>]{1,512}+)@", b"@"),
    _pattern("a private key", rb"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----([^-]++)", b"key"),
)

# ------------------------------------------------------------------------------------------ on request: this machine

_UNIX_HOME = rb"(?:/home|/Users)/([^/\\\"'\s:;,<>|*?]++)"
_WINDOWS_HOME = rb"[a-z]:[\\/]{1,4}Users[\\/]{1,4}([^/\\\":*?<>|\r\n]++(?=[\\/])|[^/\\\"'\s:;,*?<>|]++)"


def home_pattern(home: Path) -> tuple[SecretPattern, ...]:
    """The patterns of user names in paths: /home/NAME, /Users/NAME, C:\\Users\\NAME, and this user's `home`."""
    above = [re.escape(os.fsencode(part)) for part in (part.strip("\\/") for part in home.parent.parts) if part]
    own = rb"[\\/]{1,2}".join([*above, b"(" + re.escape(os.fsencode(home.name)) + rb")(?![a-z0-9_-])"])
    return (
        _pattern("a home", _UNIX_HOME, b"/home", b"/users"),
        _pattern("a home", _WINDOWS_HOME, b"users"),
        *((_pattern("a home", own, os.fsencode(home.name.lower())),) if home.name else ()),
    )


def name_pattern(names: Iterable[str]) -> tuple[SecretPattern, ...]:
    """The patterns of these host names, as whole words."""
    encoded = [(name.encode(), name.lower().encode()) for name in names if name]
    edge = rb"(?<![a-z0-9-])(%b)(?![a-z0-9-])"
    return tuple(_pattern("a host", edge % re.escape(name), lowered) for name, lowered in encoded)
