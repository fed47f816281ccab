"""Predicts the route of a request of requests. `IN_WORDS` summarises the rules.

Sources, as of requests 2.34: `should_bypass_proxies`, `proxy_bypass_registry` and `select_proxy` in
https://github.com/psf/requests/blob/main/src/requests/utils.py, `get_connection_with_tls_context` in
https://github.com/psf/requests/blob/main/src/requests/adapters.py,
https://requests.readthedocs.io/en/latest/user/advanced/#proxies.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping
from urllib.parse import urlsplit

import urllib3
from requests.utils import prepend_scheme_if_needed

from ollama_harness.network._stdlib_bypass import (
    NameResolution,
    proxy_bypass,
    proxy_bypass_environment,
    registry_patterns,
)
from ollama_harness.network.prediction_base import excluded, no_proxy_found, nowhere, through
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Registry, Settings, System
from ollama_harness.network.stdlib_proxies import FoundProxy, getproxies, getproxies_environment

__all__ = ["requests_route"]

#: Its rules, as docs/proxies.md prints them.
IN_WORDS = """\
`requests.Session().request`: NO_PROXY by its own rules *and* by urllib's; then the first proxy that matches.

1. NO_PROXY (`no_proxy`, or if that is empty `NO_PROXY`, without blanks) is compared with the host without its port:
   - for an IPv4 address, entries are addresses or networks (`127.0.0.0/8`), without ports: `127.0.0.1:11434` covers
     nothing;
   - for any other host, entries are names or ends of names, with or without the port. Leading dots are ignored.
2. If no entry covers the host, urllib's `proxy_bypass` is called, with the host *without its port*. So a lone `*` is
   read, and macOS's exceptions. On Windows, requests has its own function. It reads the entries of ProxyOverride as
   regular expressions for the *beginning* of the name, blanks included, and never compares them with addresses. It
   reads ProxyEnable "0" as off.
3. The proxies are those of `getproxies`, the first of: `http://host`, `http`, `all://host`, `all`.
4. A proxy without a scheme is `http://`. The connection to an `https://` proxy uses TLS. `socks4`, `4a`, `5` and `5h`
   need PySocks.
"""

CALL = "requests.Session.request"
SELECT = "requests.utils.select_proxy:"


def requests_route(
    settings: Settings, url: str, *, installed: frozenset[str], python: tuple[int, ...], names: NameResolution
) -> PredictedRoute:
    parts = urlsplit(url)
    scheme, host = parts.scheme, parts.hostname or ""
    try:
        covered = _should_bypass_proxies(host, parts.port, settings, python, names)
    except re.error as error:
        override = (settings.registry or Registry()).override or ""
        found = FoundProxy(name="ProxyOverride", value=override, written=override)
        rule = "requests.utils.proxy_bypass_registry:"
        return nowhere("re.error", CALL, found, f"which is not a pattern ({error})", rule=rule)
    if covered is not None:
        rule, entry = covered
        return excluded(host, entry, rule=rule)
    proxy = _select_proxy(scheme, host, getproxies(settings))
    if proxy is None:
        return no_proxy_found(settings, scheme, rule=f"{SELECT} no proxy of this scheme, and no `all`")
    return _connected(scheme, proxy, installed)


def _should_bypass_proxies(
    host: str, port: int | None, settings: Settings, python: tuple[int, ...], names: NameResolution
) -> tuple[str, FoundProxy] | None:
    """The rule and the entry that cover the host."""
    if entry := _own_no_proxy(host, port, settings):
        return "requests.utils.should_bypass_proxies:", entry
    if settings.system is not System.WINDOWS:
        entry = proxy_bypass(host, settings, python=python, names=names)
        return ("urllib.request.proxy_bypass:", entry) if entry else None
    if variables := getproxies_environment(settings):
        entry = proxy_bypass_environment(host, variables)
        return ("urllib.request.proxy_bypass_environment:", entry) if entry else None
    entry = _registry_bypass(host, settings.registry or Registry())
    return ("requests.utils.proxy_bypass_registry:", entry) if entry else None


def _own_no_proxy(host: str, port: int | None, settings: Settings) -> FoundProxy | None:
    name = next((name for name in ("no_proxy", "NO_PROXY") if settings.variable(name)), None)
    if name is None:
        return None
    no_proxy = settings.variable(name) or ""
    for entry in filter(None, no_proxy.replace(" ", "").split(",")):
        if _is_ipv4(host):
            covers = _in_network(host, entry) if _is_network(entry) else host == entry
        else:
            ends = entry.lstrip(".")
            spellings = (host, f"{host}:{port}") if port else (host,)
            covers = any(spelling == ends or spelling.endswith("." + ends) for spelling in spellings)
        if covers:
            return FoundProxy(name=name, value=entry, written=no_proxy)
    return None


def _registry_bypass(host: str, registry: Registry) -> FoundProxy | None:
    try:
        enabled = int(registry.enable or 0)
    except ValueError:
        return None
    if not enabled or not registry.override:
        return None
    for entry, pattern in registry_patterns(registry.override):
        if entry and ((entry == "<local>" and "." not in host) or re.match(pattern, host, re.I)):
            return FoundProxy(name="ProxyOverride", value=entry, written=registry.override)
    return None


def _select_proxy(scheme: str, host: str, proxies: Mapping[str, FoundProxy]) -> FoundProxy | None:
    for key in (f"{scheme}://{host}", scheme, f"all://{host}", "all"):
        if key in proxies:
            return proxies[key] if proxies[key].value else None
    return None


def _connected(scheme: str, found: FoundProxy, installed: frozenset[str]) -> PredictedRoute:
    try:
        proxy: str = prepend_scheme_if_needed(found.value, "http")  # type: ignore[no-untyped-call]
        parsed = urllib3.util.parse_url(proxy)
    except urllib3.exceptions.LocationParseError:
        return nowhere("requests.exceptions.InvalidURL", CALL, found, "which is not a URL", rule=f"{SELECT} takes")
    except TypeError:  # urlunparse raises it, because the host is None
        return nowhere("TypeError", CALL, found, "which names no host", rule=f"{SELECT} takes")
    if not parsed.host:
        error = "requests.exceptions.InvalidProxyURL"
        return nowhere(error, CALL, found, "which names no host", rule=f"{SELECT} takes")
    if proxy.lower().startswith("socks"):
        if "PySocks" not in installed:
            what = "which needs the package PySocks"
            return nowhere("requests.exceptions.InvalidSchema", CALL, found, what, rule=f"{SELECT} takes")
        if parsed.scheme not in ("socks4", "socks4a", "socks5", "socks5h"):
            what = "and only socks4, socks4a, socks5 and socks5h are known"
            return nowhere("ValueError", CALL, found, what, rule=f"{SELECT} takes")
        route = Route.SOCKS
    elif parsed.scheme == "https":
        route = Route.TLS
    elif parsed.scheme == "http":
        route = Route.TUNNEL if scheme == "https" else Route.PROXIED
    else:
        what = f"and {parsed.scheme}:// is not a kind of proxy that requests knows"
        return nowhere("requests.exceptions.InvalidURL", CALL, found, what, rule=f"{SELECT} takes")
    return through(route, found, proxy=proxy, rule=f"{SELECT} takes")


def _is_ipv4(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except (OSError, UnicodeError):  # UnicodeError for a byte of a variable that is not UTF-8
        return False
    return True


def _is_network(entry: str) -> bool:
    address, slash, bits = entry.partition("/")
    try:
        return bool(slash) and 1 <= int(bits) <= 32 and _is_ipv4(address)
    except ValueError:
        return False


def _in_network(host: str, network: str) -> bool:
    """`127/8` is 0.0.0.127/8 here, because inet_aton reads a single number as the last one."""
    address, _, bits = network.partition("/")
    (here,), (there,) = (struct.unpack("!L", socket.inet_aton(text)) for text in (host, address))
    return bool(here >> (32 - int(bits)) == there >> (32 - int(bits)))
