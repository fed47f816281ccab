"""Predicts the route of a request of urllib. `IN_WORDS` summarises the rules.

Sources: `ProxyHandler`, `OpenerDirector` and `_parse_proxy` in
https://github.com/python/cpython/blob/v3.13.0/Lib/urllib/request.py. They are the same in 3.11 to 3.14.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from ollama_harness.network._stdlib_bypass import NameResolution, proxy_bypass
from ollama_harness.network.prediction_base import excluded, no_proxy_found, nowhere, through
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Settings
from ollama_harness.network.stdlib_proxies import FoundProxy, getproxies

__all__ = ["urllib_route"]

#: Its rules, as docs/proxies.md prints them.
IN_WORDS = """\
`urllib.request.urlopen`: its opener calls a ProxyHandler first, which changes the request and may open it again.

1. The proxies are those of `getproxies`, read at a process's first `urlopen` and kept. NO_PROXY is read at every call.
   ALL_PROXY is not used. The proxy in DEFAULT_PROXY is used for every URL.
2. The proxy's URL is parsed before the exclusions are read. A URL without an authority raises even if the host is
   excluded.
3. `proxy_bypass` gets the host *with its port*, `localhost:11434`. The rules for NO_PROXY split it, those for macOS do
   not.
4. If the proxy has the scheme of the request, urllib connects to it. If it has another scheme, the request gets that
   scheme and is opened again. So an `https://` proxy of an `http://` URL is used over TLS, or through HTTPS_PROXY if
   there is one; and a `socks5://` proxy is an unknown kind of URL.
5. An `https://` URL always goes through a tunnel, by a plain connection to the proxy, whatever the proxy's scheme.
"""

CALL = "urllib.request.urlopen"
OPEN = "urllib.request.ProxyHandler:"


def urllib_route(settings: Settings, url: str, *, python: tuple[int, ...], names: NameResolution) -> PredictedRoute:
    proxies = getproxies(settings)
    kind, rest = _splittype(url)
    target, kind = unquote(re.match("(?://)?([^/#?]*)", rest)[1]), kind or ""  # type: ignore[index]
    scheme, host = kind, target
    tunnelled, via, covered = False, None, None
    seen: set[tuple[str, str]] = set()
    while (kind, host) not in seen:
        seen.add((kind, host))
        if via is not None and not host and kind in ("http", "https"):
            return _connected(settings, scheme, target, kind, host, via, covered, tunnelled=tunnelled)
        for first in (True, False):
            chain = "default" if first else kind
            found = proxies.get(chain)
            if found is None:
                continue
            try:
                proxy_kind, authority = _parse_proxy(found.value)
            except ValueError:
                return nowhere("ValueError", CALL, found, "a URL that names no host after //", rule=f"{OPEN} refuses")
            try:
                covered = proxy_bypass(host, settings, python=python, names=names) if host else None
            except re.error as error:
                return _bad_override(settings, error)
            if covered is not None:
                continue
            asked, via, host = kind, found, unquote(authority)
            proxy_kind = proxy_kind or kind
            if kind == "https" and not tunnelled:
                tunnelled = True
            else:
                kind = proxy_kind
            if asked not in (proxy_kind, "https"):
                break  # open it again, as a request of the proxy's scheme
        else:
            return _connected(settings, scheme, target, chain, host, via, covered, tunnelled=tunnelled)
    assert via is not None
    return nowhere(
        "RecursionError",
        CALL,
        via,
        "and a URL of its own scheme has a proxy again",
        rule=f"{OPEN} runs in circles because of",
    )


def _connected(
    settings: Settings,
    scheme: str,
    target: str,
    kind: str,
    host: str,
    via: FoundProxy | None,
    covered: FoundProxy | None,
    *,
    tunnelled: bool,
) -> PredictedRoute:
    """The result of the handler for the last `kind` with the last `host`."""
    if via is None:
        if covered is not None:
            return excluded(target, covered, rule="urllib.request.proxy_bypass:")
        return no_proxy_found(settings, scheme, rule="urllib.request.getproxies: no proxy of this scheme")
    if kind not in ("http", "https"):
        what = f"and urllib knows no proxies of the kind {kind}://"
        error = "ValueError" if kind == "data" else "urllib.error.URLError"
        return nowhere(error, CALL, via, what, rule=f"{OPEN} opens the URL in")
    if problem := _unconnectable(host):
        error, what = problem
        return nowhere(error, CALL, via, what, rule=f"{OPEN} takes")
    route = Route.TUNNEL if tunnelled else Route.TLS if kind == "https" else Route.PROXIED
    proxy = via.value if "://" in via.value else f"{kind}://{via.value}"
    return through(route, via, proxy=proxy, rule=f"{OPEN} takes")


def _unconnectable(host: str) -> tuple[str, str] | None:
    """The error of http.client for a host that it cannot parse, or None."""
    if not host:
        return "urllib.error.URLError", "which names no host"
    name, colon, port = host.rpartition(":")
    if colon and "]" not in port:
        try:
            if port:
                int(port)
        except ValueError:
            return "http.client.InvalidURL", "whose port is not a number"
    else:
        name = host
    if not name:
        return "urllib.error.URLError", "which names no host"
    if re.search("[\x00-\x20\x7f]", name):
        return "http.client.InvalidURL", "which has a blank in it"
    return None


def _bad_override(settings: Settings, error: re.error) -> PredictedRoute:
    override = settings.registry.override if settings.registry else None
    found = FoundProxy(name="ProxyOverride", value="", written=override or "")
    return nowhere(
        "re.error", CALL, found, f"which is not a pattern ({error})", rule="urllib.request.proxy_bypass_registry:"
    )


def _parse_proxy(proxy: str) -> tuple[str | None, str]:
    """Scheme and `host:port`. `proxy:8080` has no scheme, because no slash follows its first colon."""
    scheme, rest = _splittype(proxy)
    if not rest.startswith("/"):
        return None, proxy.rpartition("@")[2]
    if not rest.startswith("//"):
        raise ValueError(proxy)
    end = rest.find("/", max(rest.find("@"), 2))
    return scheme, rest[2 : end if end != -1 else None].rpartition("@")[2]


def _splittype(url: str) -> tuple[str | None, str]:
    found = re.match("([^/:]+):(.*)", url, re.DOTALL)
    return (found[1].lower(), found[2]) if found else (None, url)
