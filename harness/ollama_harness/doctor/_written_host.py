"""OLLAMA_HOST as people write it: what was meant, what each program makes of it, and the line that is right for all.

The server, Ollama's command line and Go's client share one function; the Python library has another, and they differ
(`ollama_host`). The library for JavaScript reads no variable: a program that passes it on gets WHATWG's rules for URLs.
All three, and programs that put a path behind the variable, agree on `http://host:port` without a slash at its end.

One thing has no such line: 0.0.0.0 and its like are places to listen and not to connect to. They are for the server
alone, and its clients need 127.0.0.1: https://github.com/ollama/ollama-python/issues/407.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ollama_harness.network.ollama_host import (
    DEFAULT_PORT,
    SCHEME_PORTS,
    go_client_url,
    ollama_server_address,
    ollama_url,
)

__all__ = ["Problem", "WrittenHost", "readings", "written_host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that not every program reads as it was meant. `code` is for tools, `text` for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenHost:
    """`url` is for clients, `listen` for the server alone: `host:port`. They differ for 0.0.0.0 and its like only."""

    url: str
    listen: str
    problems: tuple[Problem, ...]

    @property
    def everywhere(self) -> bool:
        """Whether the server is to listen on every interface."""
        return self.listen.startswith(("0.0.0.0:", "[::]:"))


def readings(value: str | None) -> dict[str, str]:
    """What each program makes of a value: a program, and where it connects or listens or why it fails."""
    try:
        python = ollama_url(value)
    except ValueError as error:
        python = f"import ollama fails: {error}"
    return {
        "ollama serve": f"listens on {ollama_server_address(value)}",
        "ollama (command line, Go)": go_client_url(value),
        "ollama (Python)": python,
        "ollama (JavaScript)": "http://127.0.0.1:11434: it does not read OLLAMA_HOST",
    }


def written_host(value: str | None) -> WrittenHost:
    """What was meant by a value of OLLAMA_HOST. Never raises: what cannot be meant becomes the default."""
    reader = _Reader()
    scheme, name, port, path = reader.read(value or "")
    listen = f"{_bracketed(name)}:{port}"
    client = "127.0.0.1" if name in _EVERYWHERE else name
    return WrittenHost(
        url=f"{scheme}://{_bracketed(client)}:{port}{path}", listen=listen, problems=tuple(reader.problems)
    )


_EVERYWHERE = ("0.0.0.0", "::")

_QUOTES = "\"'`\u2018\u2019\u201c\u201d"


class _Reader:
    """Takes a value apart from the outside to the inside, and notes what is not as it should be."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def read(self, value: str) -> tuple[str, str, int, str]:
        """Scheme, host without brackets, port, and path with its first slash and without its last."""
        text = self._unwrapped(value)
        if re.search(r"\$\{?\w|%\w+%|\{\{?\s*\w|^(none|null|undefined)$", text.rpartition("@")[2], re.I):
            self._note("placeholder", "it holds a name that was to be replaced by its value, and was not")
            return "http", "127.0.0.1", DEFAULT_PORT, ""
        text = self._first(text, blanks=value != value.strip())
        if not text:
            return "http", "127.0.0.1", DEFAULT_PORT, ""
        scheme, text = self._scheme(text)
        authority, path = self._path(text)
        name, port = self._host_and_port(authority, scheme)
        if name == "ollama.com" and not scheme:
            scheme, port = "https", port or SCHEME_PORTS["https"]
            self._note("ollama.com", "ollama.com means https to Ollama's own programs, and http and 11434 to others")
        return scheme or "http", name, DEFAULT_PORT if port is None else port, path

    def _note(self, code: str, text: str) -> None:
        self.problems.append(Problem(code=code, text=text))

    def _unwrapped(self, value: str) -> str:
        text = value.strip()
        if bare := re.fullmatch(r"(?:(?:export|set|setx)\s+|\$env:)?OLLAMA_HOST\s*[=\s]\s*(.*)", text, re.S):
            self._note("assignment", "the value begins with the name of the variable")
            text = bare[1]
        if text.strip(_QUOTES + " \t") != text:
            self._note(
                "quotes", "the quotes are part of the value: Ollama's own programs remove them, and others do not"
            )
            text = text.strip(_QUOTES + " \t")
        return text

    def _first(self, text: str, *, blanks: bool) -> str:
        """The first address, or the one that is every interface. `blanks`: there are some around all of it."""
        joined = re.sub(r"\s*([:/])\s*", r"\1", text)
        if blanks or joined != text:
            self._note("blanks", "the blanks are part of the value: the Python library fails")
        parts = [one for one in re.split(r"[,;\s]+", joined) if one]
        if len(parts) > 1:
            self._note("several", f"it holds {len(parts)} addresses, and every program reads one")
            return next((one for one in parts if _plain_name(one) in _EVERYWHERE), parts[0])
        if joined and parts != [joined]:
            self._note("separator", "a comma or semicolon is part of the value, and every program reads one address")
        return "".join(parts)

    def _scheme(self, text: str) -> tuple[str, str]:
        """The scheme, empty without one, and the rest."""
        found = re.match(r"(?:([a-z][a-z0-9+.-]*)://|(https?):(?!\d+(?:/|$))/?|(https?)?//)", text, re.I)
        if found is None:
            return "", text
        scheme, rest = (found[1] or found[2] or found[3] or "http").lower(), text[found.end() :].lstrip("/")
        if scheme not in SCHEME_PORTS:
            self._note("scheme", f"{scheme}:// is not a scheme for Ollama: it is reached by http:// or https://")
            scheme = "http"
        elif found[0] not in ("http://", "https://"):
            self._note("scheme", f"{found[0]} is not written {scheme}://, so programs read it differently")
        return scheme, rest

    def _path(self, text: str) -> tuple[str, str]:
        if any(sign in text for sign in "?#\\"):
            self._note("query", "what follows ?, # or \\ is not for OLLAMA_HOST: Ollama's own programs lose the port")
            text = re.split(r"[?#\\]", text, maxsplit=1)[0]
        authority, slash, path = text.partition("/")
        path = re.sub(r"/+", "/", path).strip("/")
        if slash and not path:
            self._note("slash", "a slash at the end: programs that append a path ask for //api")
        if path.split("/")[0] in ("api", "v1"):
            self._note("path", f"/{path} is what clients append themselves: they would ask for /{path}/api")
            path = ""
        elif path:
            self._note("path", f"the server does not read the path /{path}: only a gateway before it does")
        return authority, f"/{path}" if path else ""

    def _host_and_port(self, text: str, scheme: str) -> tuple[str, int | None]:
        _, at, text = text.rpartition("@")
        if at:
            self._note("credentials", "a user and password: Go takes them for the host, and Python drops them")
        name, colon, port = self._split(text)
        if not colon and name.isascii() and name.isdigit() and 0 < int(name[:6]) <= 65535:
            self._note("port-alone", f"{name} alone is read as the name of a host: a port has a colon before it")
            name, colon, port = "127.0.0.1", ":", name
        number = self._port(port, colon, scheme)
        return self._name(name), number

    def _split(self, text: str) -> tuple[str, str, str]:
        if (bracketed := re.fullmatch(r"\[([^\[\]]*)\](?:(:)(.*))?", text)) and _is_ipv6(bracketed[1]):
            return bracketed[1], bracketed[2] or "", bracketed[3] or ""
        if "[" in text or "]" in text:
            self._note("brackets", "brackets are for addresses of IPv6 alone")
            text = re.sub(r"[\[\]]", "", text)
        if text.count(":") > 1:
            name, _, port = text.rpartition(":")
            if _is_ipv6(text) and not (_is_ipv6(name) and ipaddress.ip_address(name) in _OF_THIS_MACHINE):
                name, colon, port = text, "", ""
            else:
                name, colon = (name, ":") if _is_ipv6(name) else (text.partition(":")[0], ":")
            self._note("brackets", "an address of IPv6 needs brackets around it")
            return name, colon, port
        return text.partition(":")

    def _port(self, port: str, colon: str, scheme: str) -> int | None:
        if not colon:
            if scheme == "http":
                self._note("port-of-scheme", "http:// without a port means port 80, and Ollama's port is 11434")
            elif scheme == "https":
                self._note("port-of-scheme", "https:// without a port means port 443, and not 11434")
                return SCHEME_PORTS["https"]
            return None
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= 65535 or port != str(int(port)):
            self._note("port", "a port is a number from 1 to 65535: programs replace another one, or fail")
            return int(port) if re.fullmatch(r"0*[1-9][0-9]{0,4}", port) and int(port) <= 65535 else None
        return int(port)

    def _name(self, name: str) -> str:
        plain = _plain_name(name)
        if not plain:
            self._note("no-host", "without a host the server listens on every interface, and Python asks 127.0.0.1")
            return "127.0.0.1"
        if plain in _EVERYWHERE:
            self._note(
                "everywhere",
                f"{name} is a place to listen, not to connect to: clients fail on Windows and work on Linux by luck",
            )
            return plain
        if "%" in plain:
            self._note("zone", "not every program reads a zone (%): use a name or another address")
        try:
            sent = plain if _is_ipv6(plain) else plain.encode("idna").decode()
        except UnicodeError:
            sent = ""
        if not _is_ipv6(sent) and not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", sent):
            self._note("host", "what stands there is no name of a host")
            return "127.0.0.1"
        if sent != plain:
            self._note("ascii", f"the name as it is sent is {sent}")
        return sent


_OF_THIS_MACHINE = (ipaddress.ip_address("::1"), ipaddress.ip_address("::"))


def _plain_name(name: str) -> str:
    """A name in lower case; `*`, `0` and all spellings of no address are 0.0.0.0 or ::."""
    name = name.lower()
    if name in ("*", "0", "0.0.0.0"):
        return "0.0.0.0"
    return str(ipaddress.IPv6Address(name)) if _is_ipv6(name) else name


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _is_ipv6(name: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(name), ipaddress.IPv6Address)
    except ValueError:
        return False
