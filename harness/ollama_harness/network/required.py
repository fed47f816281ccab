"""The route that the settings require of a request, by the documents that define them.

A route is required if a setting clearly names or excludes the host, so that all documents agree. If documents disagree,
or none covers the case, no route is required, and the routes of clients are only observed. This code does not depend on
any library.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ollama_harness.network.route import Route
from ollama_harness.network.settings import Mac, Registry, Settings, System

__all__ = ["RequiredRoute", "required"]

_CURL = "https://curl.se/libcurl/c/CURLOPT_NOPROXY.html"
_GO = "https://pkg.go.dev/golang.org/x/net/http/httpproxy"
_PYTHON = "https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies"
_CHROMIUM = "https://chromium.googlesource.com/chromium/src/+/HEAD/net/docs/proxy.md"
_WININET = "https://learn.microsoft.com/en-us/windows/win32/api/wininet/nf-wininet-internetopena"
_HTTPOXY = "https://httpoxy.org/"


@dataclass(frozen=True, slots=True)
class RequiredRoute:
    """The required route (None: no route is required), the reason, and the document that says so."""

    route: Route | None
    because: str
    source: str


def required(settings: Settings, url: str) -> RequiredRoute:
    """The route that the settings require for this URL. For other schemes than http, no route is required."""
    if urlsplit(url).scheme != "http":
        return RequiredRoute(None, "only http is covered", _PYTHON)
    host = (urlsplit(url).hostname or "").lower()
    variables = _proxy_variables(settings)
    if not variables:
        return _by_system(settings, host)
    if len(set(_values(settings, "no_proxy"))) > 1:
        return RequiredRoute(
            None, "NO_PROXY and no_proxy differ: lower case wins in Python and curl by habit only", _CURL
        )
    if (entry := _excluding(settings, host)) is not None:
        return RequiredRoute(Route.DIRECT, f"NO_PROXY holds {entry!r}, which is this host", _CURL)
    if not variables.keys() & {"http_proxy", "all_proxy"}:
        names = ", ".join(sorted(variables))
        if (system := _by_system(settings, host)).route is not Route.DIRECT:
            return RequiredRoute(
                None, f"{names} does not concern http, and Python then ignores the system's proxy", _PYTHON
            )
        return RequiredRoute(Route.DIRECT, f"{names} does not concern http; {system.because}", system.source)
    if settings.variable("REQUEST_METHOD") is not None and set(variables.values()) == {"HTTP_PROXY"}:
        return RequiredRoute(
            Route.DIRECT, "HTTP_PROXY may come from a request's head while REQUEST_METHOD is set", _HTTPOXY
        )
    if any("" in _values(settings, name) for name in ("http_proxy", "all_proxy")):
        return RequiredRoute(None, "one variable is empty and another is not: no document says which counts", _PYTHON)
    if _loopback(host):
        return RequiredRoute(
            None,
            "a proxy is named, and no entry clearly excludes this host: Go uses none for loopback, curl and Python do",
            _GO,
        )
    if "no_proxy" in variables:
        return RequiredRoute(None, "documents disagree on whether NO_PROXY excludes this host", _GO)
    return RequiredRoute(Route.PROXIED, "a proxy is named for http, and nothing excludes this host", _CURL)


def _proxy_variables(settings: Settings) -> dict[str, str]:
    """The proxy variables that have a value: the name in lower case, and as it is spelt."""
    found = {name.lower(): name for name in settings.variables if name.lower().endswith("_proxy")}
    found.pop("node_use_env_proxy", None)  # it switches the others on
    return {key: name for key, name in found.items() if any(_values(settings, key))}


def _values(settings: Settings, lower: str) -> Iterator[str]:
    return (value for name, value in settings.variables.items() if name.lower() == lower)


def _excluding(settings: Settings, host: str) -> str | None:
    """The entry of NO_PROXY that clearly excludes this host: a lone `*`, or its name or address."""
    for listed in _values(settings, "no_proxy"):
        if listed.strip() == "*":
            return "*"
        for entry in filter(None, (one.strip() for one in listed.split(","))):
            if entry.lower() == host and (host != "" and not set("/;<>") & set(entry)):
                return entry
            if entry.startswith(".") and not _address(host) and host.endswith(entry.lower()):
                return entry
    return None


def _by_system(settings: Settings, host: str) -> RequiredRoute:
    match settings.system:
        case System.WINDOWS:
            return _by_registry(settings.registry or Registry(), host)
        case System.MACOS:
            return _by_mac(settings.mac or Mac(), host)
        case System.POSIX:
            return RequiredRoute(Route.DIRECT, "nothing names a proxy", _CURL)


def _by_registry(registry: Registry, host: str) -> RequiredRoute:
    if registry.enable not in (1, "1") or not registry.server:
        if registry.pac_url:
            return RequiredRoute(None, "a PAC file decides, which no Python library reads", _CHROMIUM)
        return RequiredRoute(Route.DIRECT, "ProxyEnable is off", _WININET)
    protocols = dict(part.split("=", 1) for part in registry.server.split(";") if "=" in part)
    if protocols and not protocols.keys() & {"http", "socks"}:
        return RequiredRoute(Route.DIRECT, "ProxyServer names no proxy for http", _WININET)
    for entry in re.split(r"[;\s]+", registry.override or ""):
        if entry.lower() == "<local>" and "." not in host and ":" not in host:
            return RequiredRoute(Route.DIRECT, "ProxyOverride holds <local>, and the name has no dot", _WININET)
        if entry and not set("<>/[") & set(entry) and fnmatch.fnmatchcase(host, entry.lower()):
            return RequiredRoute(Route.DIRECT, f"ProxyOverride holds {entry}", _WININET)
    if _loopback(host):
        return RequiredRoute(
            None,
            "ProxyOverride does not name this host; WinINET still connects to loopback directly, Python does not",
            _WININET,
        )
    return RequiredRoute(Route.PROXIED, "ProxyServer is on, and ProxyOverride does not name this host", _WININET)


def _by_mac(mac: Mac, host: str) -> RequiredRoute:
    if mac.http is None and mac.socks is None:
        if mac.pac_url:
            return RequiredRoute(None, "a PAC file decides, which no Python library reads", _CHROMIUM)
        return RequiredRoute(Route.DIRECT, "no proxy is on for http", _PYTHON)
    if mac.exclude_simple and "." not in host and ":" not in host:
        return RequiredRoute(Route.DIRECT, "simple host names are excluded", _CHROMIUM)
    for entry in mac.exceptions:
        if fnmatch.fnmatchcase(host, entry.lower()) or _in_network(host, entry):
            return RequiredRoute(Route.DIRECT, f"the exceptions hold {entry}", _CHROMIUM)
    if _loopback(host):
        return RequiredRoute(
            None, "the exceptions do not name loopback: browsers still connect to it directly", _CHROMIUM
        )
    return RequiredRoute(Route.PROXIED, "a proxy is on for http, and the exceptions do not name this host", _CHROMIUM)


def _in_network(host: str, entry: str) -> bool:
    """Whether a host is in a network. macOS abbreviates networks: 169.254/16."""
    base, slash, bits = entry.partition("/")
    padded = ".".join([*base.split("."), "0", "0", "0"][:4])
    try:
        return bool(slash) and ipaddress.ip_address(host) in ipaddress.ip_network(f"{padded}/{bits}", strict=False)
    except ValueError:
        return False


def _address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _loopback(host: str) -> bool:
    """Whether a host is loopback: RFC 6761 section 6.3, RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _address(host) and ipaddress.ip_address(host).is_loopback
