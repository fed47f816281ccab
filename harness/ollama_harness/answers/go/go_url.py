"""URLs as Go's net/url reads and writes them, for the target of a request. Text is latin-1: one character, one byte.

Source: net/url, url.go (`ParseRequestURI`, `URL.String`, `URL.EscapedPath`) of Go 1.26.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
import string
from dataclasses import dataclass, replace
from functools import lru_cache

__all__ = ["GoUrl", "clean_path", "parse_target", "split_host_port"]

_UNRESERVED = string.ascii_letters + string.digits + "-_.~"
#: What stands in a path, or in a host, without being escaped (`shouldEscape`).
_IN_PATH = frozenset(_UNRESERVED + "$&+,/:;=@")
_IN_HOST = frozenset(_UNRESERVED + "!$&'()*+,;=:[]<>\"")
_VALID_PATH = re.compile(r"[-A-Za-z0-9_.~$&+,/:;=@!'()*\[\]%]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PORT = re.compile(r"(:[0-9]*)?")
_USERINFO = re.compile(r"[-A-Za-z0-9._:~!$&'()*+,;=%@]*")


class _BadUrl(ValueError):
    """No URL that Go reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoUrl:
    """A URL in parts. `path` has its escapes undone; `raw_path` is how it was written where that is not the usual way.

    `opaque` stands for what follows a scheme without a slash; `query` is None without a question mark.
    """

    scheme: str = ""
    user: str | None = None
    host: str = ""
    path: str = ""
    raw_path: str = ""
    opaque: str = ""
    query: str | None = None

    @property
    def escaped_path(self) -> str:
        """The path as it was written, if that is allowed, else escaped in the usual way."""
        if self.raw_path and _VALID_PATH.fullmatch(self.raw_path) and _unescape(self.raw_path) == self.path:
            return self.raw_path
        return "*" if self.path == "*" else _escape(self.path, _IN_PATH)

    def with_path(self, path: str) -> GoUrl:
        """The same with another path; `raw_path` stays, as in Go's code that assigns `Path` only."""
        return replace(self, path=path)

    def __str__(self) -> str:
        text = f"{self.scheme}:" if self.scheme else ""
        path = self.escaped_path
        if self.opaque:
            text += self.opaque
        else:
            if self.host or self.user is not None:
                user = "" if self.user is None else f"{self.user}@"
                text += f"//{user}{_escape(self.host, _IN_HOST)}"
                path = path if path.startswith("/") or not path else f"/{path}"
            if not text and ":" in path.partition("/")[0]:
                path = f"./{path}"
            text += path
        return text if self.query is None else f"{text}?{self.query}"


@lru_cache(maxsize=256)
def parse_target(target: str) -> GoUrl | None:
    """The URL of a request's target, or None where Go refuses it."""
    try:
        return _parse(target)
    except _BadUrl:
        return None


def clean_path(path: str) -> str:
    """A path without empty, `.` and `..` segments; a slash at its end stays. Source: net/http, `cleanPath`."""
    if path.startswith("/") and "//" not in path and "/." not in path:
        return path
    if not path:
        return "/"
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def split_host_port(text: str) -> str:
    """The host of `host:port`, or the text itself where it is no such pair. Source: net, `SplitHostPort`."""
    colon = text.rfind(":")
    if colon < 0:
        return text
    if text.startswith("["):
        end = text.find("]")
        if end < 0 or end + 1 != colon or "[" in text[1:] or "]" in text[end + 1 :]:
            return text
        return text[1:end]
    host = text[:colon]
    return text if set(host) & set(":[]") or set(text[colon:]) & set("[]") else host


def _parse(text: str) -> GoUrl:
    if not text or _CONTROL.search(text) or text.startswith(":"):
        raise _BadUrl(text)
    if text == "*":
        return GoUrl(path="*")
    scheme = ((match := _SCHEME.match(text)) and match[0][:-1].lower()) or ""
    rest, mark, query = text[len(scheme) + 1 if scheme else 0 :].partition("?")
    url = GoUrl(scheme=scheme, query=query if mark else None)
    if not rest.startswith("/"):
        if not scheme:
            raise _BadUrl(text)
        return replace(url, opaque=rest)
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, at, host = authority.rpartition("@")
        if at and (not _USERINFO.fullmatch(user) or _BAD_ESCAPE.search(user)):
            raise _BadUrl(text)
        url = replace(url, user=user if at else None, host=_host(scheme, host))
        rest = slash + path
    path = _unescape(rest)
    return replace(url, path=path, raw_path="" if _escape(path, _IN_PATH) == rest else rest)


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise _BadUrl(host)
    if bracket == 0:
        inside, closed, port = host[1:].rpartition("]")
        if not closed or not _PORT.fullmatch(port):
            raise _BadUrl(host)
        try:
            ipaddress.IPv6Address(_unescape_host(inside))
        except ValueError:
            raise _BadUrl(host) from None
        return f"[{_unescape_host(inside)}]{port}"
    if ":" in host:
        colon = host.find(":") if scheme in ("http", "https") else host.rfind(":")
        if not _PORT.fullmatch(host[colon:]):
            raise _BadUrl(host)
    return _unescape_host(host)


def _unescape_host(text: str) -> str:
    """In a host only bytes beyond ASCII, and the percent sign, may be escaped."""
    bad = any(int(code, 16) < 0x80 and code != "25" for code in _ESCAPE.findall(text))
    if bad or any(char < "\x80" and char != "%" and char not in _IN_HOST for char in text):
        raise _BadUrl(text)
    return _unescape(text)


def _unescape(text: str) -> str:
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise _BadUrl(text)
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _escape(text: str, kept: frozenset[str]) -> str:
    if kept.issuperset(text):
        return text
    return "".join(char if char in kept else f"%{ord(char):02X}" for char in text)
