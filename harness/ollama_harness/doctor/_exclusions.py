"""NO_PROXY as people write it: which entries were meant for a host, and a list that says the same to every client.

No standard defines NO_PROXY. What every client reads is names and addresses with commas between them. All else is read
by some: networks by Go and requests, ports by Go and urllib, patterns by few, semicolons and quotes by none. So this
module decides what an entry was *meant* to exclude, which is more than any client reads. A client that was seen to go
to a proxy, although an entry was meant for its host, does not read that entry: that is the cause, in whatever client.

The new list holds all that was there, in words that do no harm: a few entries make httpx raise when a client is made.

Sources: https://about.gitlab.com/blog/we-need-to-talk-no-proxy/, https://pkg.go.dev/golang.org/x/net/http/httpproxy,
https://curl.se/libcurl/c/CURLOPT_NOPROXY.html, `get_environment_proxies` in
https://github.com/encode/httpx/blob/0.28.1/httpx/_utils.py.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ollama_harness.network.settings import Settings, System, hidden

__all__ = ["LOCAL", "Exclusion", "Unread", "exclusion", "meant_for"]

#: The names of this machine that most programs understand.
LOCAL = ("localhost", "127.0.0.1", "::1")

_QUOTES = "\"'\u2018\u2019\u201c\u201d`"
_SEPARATORS = re.compile(r"[\s;]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An entry that was meant for a host, and why clients do not read it so. `variable` is the one that holds it."""

    variable: str
    entry: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A list for NO_PROXY that every client reads.

    `added` are its new entries; `rewritten` are pairs of an old entry and what says the same; `left_out` are pairs of
    an entry that cannot be kept and the reason; `merged` is whether two spellings disagreed and are now one list.
    """

    value: str
    added: tuple[str, ...]
    rewritten: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    merged: bool

    @property
    def changes(self) -> tuple[str, ...]:
        """What becomes different, a sentence each."""
        added = [f"programs started from this shell go direct to {', '.join(self.added)}"] if self.added else []
        merged = ["NO_PROXY and no_proxy are now the same list, with the entries of both"] if self.merged else []
        rewritten = [f"{hidden(old)} is now written {new}" for old, new in self.rewritten]
        return (*added, *merged, *rewritten, *(f"{hidden(entry)} is left out: {why}" for entry, why in self.left_out))


def meant_for(settings: Settings, url: str) -> tuple[Unread, ...]:
    """The entries that were meant for the host of a URL and that not every client reads, each with the reason."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    lists = _lists(settings)
    found: list[tuple[bool, Unread]] = []
    for variable, listed in lists.items():
        differs = next((other for other, text in lists.items() if _texts(text) != _texts(listed)), None)
        for entry in _entries(listed):
            why = entry.unread(host, port)
            if why == "":
                if differs is None:
                    return ()  # a client that goes to the proxy all the same reads no list
                why = f"{differs} is another list: Python and curl read the lower case one, and Go the upper case one"
            if why:
                other_name = entry.text in LOCAL and entry.text != host
                found.append((other_name, Unread(variable=variable, entry=entry.written, why=why)))
    # An entry for another name of this machine is the cause only where none is for the name itself.
    return tuple(one for other_name, one in found if not other_name) or tuple(one for _, one in found)


def exclusion(settings: Settings, url: str) -> Exclusion:
    """A list that excludes the host of a URL (with all names of this machine, if it is one) and all that it did."""
    lists = _lists(settings)
    kept: dict[str, dict[str, None]] = {}
    left_out: dict[str, str] = {}
    for entry in (one for listed in lists.values() for one in _entries(listed)):
        text, problem = entry.rewritten()
        if problem:
            left_out[entry.text] = problem
        else:
            kept.setdefault(entry.written, {})[text] = None
    texts = [text for group in kept.values() for text in group]
    host = (urlsplit(url).hostname or "").rstrip(".")
    wanted = LOCAL if host in LOCAL else (host,)
    return Exclusion(
        value=",".join(dict.fromkeys([*texts, *wanted])),
        added=tuple(one for one in wanted if one not in texts),
        rewritten=tuple((old, ",".join(new)) for old, new in kept.items() if [old] != [*new]),
        left_out=tuple(left_out.items()),
        merged=len({tuple(_texts(listed)) for listed in lists.values()}) > 1,
    )


def _lists(settings: Settings) -> dict[str, str]:
    """NO_PROXY by its spellings, lower case first, as Python reads it. On Windows they are one variable."""
    if settings.system is System.WINDOWS:
        value = settings.variable("NO_PROXY")
        return {} if value is None else {"NO_PROXY": value}
    return {name: settings.variables[name] for name in ("no_proxy", "NO_PROXY") if name in settings.variables}


def _texts(listed: str) -> list[str]:
    return [entry.text for entry in _entries(listed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """`written` stands between two commas, and `text` is what was meant by it, or by a part of it."""

    written: str
    text: str
    alone: bool

    def unread(self, host: str, port: int | None) -> str | None:
        """Why clients do not read it as meant; empty if all do. None if it was not meant for this host and port."""
        text = self.text.lower().rstrip(".")
        if text == "*":
            return "" if self.alone else "urllib and curl read * only if it is the whole list"
        if self.text == "<local>":
            return "<local> is a word of Windows' dialogue" if "." not in host and ":" not in host else None
        if "://" in text:
            name, its_port = _host_and_port(text.partition("://")[2].partition("/")[0])
            return "an entry is a host and no URL" if self._is(name, its_port, host, port) else None
        if "/" in text:
            return self._network(text, host)
        name, its_port = _host_and_port(text)
        if not self._is(name, its_port, host, port):
            return None
        if self.text != self.written:
            return self._wrapped()
        if name != host:
            return self._other_name(name, host)
        if its_port is not None:
            return "not every client reads a port"
        return "not every client reads brackets, and httpx cannot be made with them" if "[" in text else ""

    def _is(self, name: str, its_port: int | None, host: str, port: int | None) -> bool:
        if its_port is not None and its_port != port:
            return False
        suffix = name.removeprefix("*")
        same = name == host or (suffix.startswith(".") and (host.endswith(suffix) or host == suffix[1:]))
        return same or _ascii(name) == host or fnmatch.fnmatchcase(host, name) or (name in LOCAL and host in LOCAL)

    def _wrapped(self) -> str:
        if any(quote in self.written for quote in _QUOTES):
            return "the quotes are part of the entry: a client takes them for part of the name"
        return "entries are divided by commas alone, so all of this is one entry"

    def _other_name(self, name: str, host: str) -> str:
        if name.startswith("."):
            return "a leading dot means only names below it to Go and httpx"
        if "*" in name:
            return "few clients read a pattern with *"
        if not name.isascii():
            return f"write the name as it is sent: {_ascii(name)}"
        return f"the URL says {host}, and clients compare names as they are written"

    def _network(self, text: str, host: str) -> str | None:
        try:
            network = ipaddress.ip_network(text, strict=False)
            inside = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host) in network
        except ValueError:
            return None
        if not inside:
            return None
        if host == "localhost":
            return "a network is for addresses, and the URL has a name"
        return "a network, which Go, curl and requests read, and httpx and urllib do not"

    def rewritten(self) -> tuple[str, str]:
        """What says the same to more clients, and an empty text; or nothing, and why it cannot be kept."""
        text = self.text
        if "://" in text:
            text = text.partition("://")[2].partition("/")[0].rpartition("@")[2]
        name, port = _host_and_port(text)
        if _is_ipv6(name):
            return name, ""
        if "/" in text:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                return ("", _UNREADABLE) if ":" in text or not text.isascii() else (text, "")
            if network.version == 6 and network.num_addresses == 1:
                return str(network.network_address), ""
            return ("", "httpx cannot be made with a network of IPv6") if network.version == 6 else (text, "")
        if not name.isascii():
            name = _ascii(name) or ""
            text = name if port is None else f"{name}:{port}"
        if not name or not re.fullmatch(r"[\w.*<>%~-]+", name, re.ASCII) or (port is None and ":" in text):
            return "", _UNREADABLE
        return text, ""


_UNREADABLE = "it is no host, and a client may fail because of it"


def _entries(listed: str) -> Iterator[_Entry]:
    pieces = [one.strip() for one in listed.split(",")]
    for piece in pieces:
        for text in _SEPARATORS.split(piece):
            if text := text.strip(_QUOTES):
                yield _Entry(written=piece, text=text, alone=len([one for one in pieces if one]) == 1)


def _host_and_port(text: str) -> tuple[str, int | None]:
    """A host, without brackets, and the port that follows it. An address of IPv6 without brackets has no port."""
    if bracketed := re.fullmatch(r"\[([^\[\]]*)\](?::([0-9]{1,5}))?", text):
        return bracketed[1], int(bracketed[2]) if bracketed[2] else None
    if plain := re.fullmatch(r"([^:]*):([0-9]{1,5})", text):
        return plain[1], int(plain[2])
    return text, None


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address)
    except ValueError:
        return False


def _ascii(name: str) -> str | None:
    """The name as DNS has it, in ASCII; None if it is no name."""
    try:
        return name.encode("idna").decode() if name else None
    except UnicodeError:
        return None
