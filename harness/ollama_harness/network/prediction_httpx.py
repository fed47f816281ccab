"""Predicts the route of a request of httpx, and so of Ollama's clients. `IN_WORDS` summarises the rules.

Sources, as of httpx 0.28: `get_environment_proxies` and `URLPattern` in
https://github.com/encode/httpx/blob/0.28.1/httpx/_utils.py, `Client.__init__` in
https://github.com/encode/httpx/blob/0.28.1/httpx/_client.py, `Proxy` in
https://github.com/encode/httpx/blob/0.28.1/httpx/_config.py, https://www.python-httpx.org/environment_variables/,
`BaseClient` in https://github.com/ollama/ollama-python/blob/main/ollama/_client.py.
URLs are parsed with httpx itself, so that its errors are found as well.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import httpx

from ollama_harness.network.prediction_base import excluded, hidden, no_proxy_found, nowhere, through
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Mac, Registry, Settings, System
from ollama_harness.network.stdlib_proxies import FoundProxy, getproxies, getproxies_environment

__all__ = ["httpx_route"]

#: Its rules, as docs/proxies.md prints them.
IN_WORDS = """\
`httpx.Client().request`, `httpx.AsyncClient`, and Ollama's clients, which are httpx underneath.

1. All settings are read once, when a client is made. A setting that cannot be read raises there, even if no request
   needs it.
2. The proxies are those of `getproxies`, so also those of the registry and of macOS: `http`, `https` and `all`. A proxy
   without a scheme is `http://`. The schemes `http`, `https`, `socks5` and `socks5h` are known; the last two need the
   package socksio.
3. Only NO_PROXY excludes hosts. ProxyOverride on Windows and the exceptions on macOS are never read.
   A `*` anywhere in NO_PROXY means no proxy at all. Each other entry becomes a pattern for URLs:
   - an IPv4 or IPv6 address, or `localhost`: `all://127.0.0.1`, `all://[::1]`, `all://localhost`;
   - an entry with `://` in it: the entry itself, so that `http://` excludes all of http;
   - any other entry: `all://*entry`, which is that name, or any name that ends in a dot and that name. An entry that
     begins with a dot becomes `*.name`: it covers only names below, so `.localhost` does not cover `localhost`.
   A network (`127.0.0.0/8`) becomes the URL of its first address with a path, and covers that one address.
4. Proxies and exclusions are sorted together: patterns with ports first, then longest hosts, then longest schemes.
   The first that matches decides.
"""

READ = "httpx.get_environment_proxies:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """The proxy for the URLs of a pattern, or None for a direct connection."""

    found: FoundProxy
    proxy: str | None


def httpx_route(settings: Settings, url: str, *, client: str, installed: frozenset[str]) -> PredictedRoute:
    mounts = _environment_mounts(getproxies(settings))
    if isinstance(mounts, FoundProxy):
        return excluded(httpx.URL(url).host, mounts, rule=f"{READ} no proxies, for")
    if (failure := _failure(mounts, client, installed)) is not None:
        return failure
    target = httpx.URL(url)
    for pattern, mount in sorted(mounts.items(), key=lambda item: _priority(httpx.URL(item[0]))):
        if not _matches(httpx.URL(pattern), target):
            continue
        if mount.proxy is None:
            return excluded(target.host, mount.found, rule=f"httpx.URLPattern: {hidden(pattern)!r} for")
        return _connected(settings, client, target, mount.proxy, mount.found)
    return no_proxy_found(settings, target.scheme, rule=f"{READ} no proxy of this scheme, and no `all`")


def _environment_mounts(proxies: dict[str, FoundProxy]) -> dict[str, Mount] | FoundProxy:
    """Proxies and exclusions by pattern; or the entry `*` of NO_PROXY, which disables all proxies."""
    mounts = {}
    for scheme in ("http", "https", "all"):
        found = proxies.get(scheme)
        if found is not None and found.value:
            proxy = found.value if "://" in found.value else f"http://{found.value}"
            mounts[f"{scheme}://"] = Mount(found=found, proxy=proxy)
    no_proxy = proxies.get("no")
    for entry in no_proxy.value.split(",") if no_proxy else ():
        assert no_proxy is not None
        found = FoundProxy(name=no_proxy.name, value=entry.strip(), written=no_proxy.written)
        if found.value == "*":
            return found
        if found.value:
            mounts[_pattern(found.value)] = Mount(found=found, proxy=None)
    return mounts


def _pattern(entry: str) -> str:
    if "://" in entry:
        return entry
    if _is_address(ipaddress.IPv4Address, entry) or entry.lower() == "localhost":
        return f"all://{entry}"
    if _is_address(ipaddress.IPv6Address, entry):
        return f"all://[{entry}]"
    return f"all://*{entry}"


def _failure(mounts: dict[str, Mount], client: str, installed: frozenset[str]) -> PredictedRoute | None:
    """The error that making the client raises: first for any proxy, then for any pattern, or SOCKS without socksio."""
    made = MADE[client]
    for mount in mounts.values():
        if mount.proxy is None:
            continue
        try:
            scheme = _parsed(mount.proxy).scheme
        except _NO_URL as error:
            return nowhere(_called(error), made, mount.found, "which is not a URL", rule="httpx.Proxy: refuses")
        if scheme not in ("http", "https", "socks5", "socks5h"):
            what = f"and {scheme}:// is not a kind of proxy that httpx knows"
            return nowhere("ValueError", made, mount.found, what, rule="httpx.Proxy: refuses")
    for pattern, mount in mounts.items():
        try:
            _parsed(pattern)
        except _NO_URL as error:
            what = f"and httpx cannot read its entry {hidden(mount.found.value)!r}"
            return nowhere(_called(error), made, mount.found, what, rule="httpx.URLPattern: refuses")
        if mount.proxy is not None and httpx.URL(mount.proxy).scheme.startswith("socks") and "socksio" not in installed:
            what = "which needs the package socksio"
            return nowhere("ImportError", made, mount.found, what, rule="httpx.HTTPTransport: refuses")
    return None


#: The exceptions of `httpx.URL`. UnicodeError is for a name that IDNA does not allow, or half a surrogate pair.
_NO_URL = (httpx.InvalidURL, UnicodeError)


def _parsed(url: str) -> httpx.URL:
    """A URL whose host has been decoded. httpx decodes the host only when it is read."""
    parsed = httpx.URL(url)
    _ = parsed.host
    return parsed


def _called(error: Exception) -> str:
    return "httpx.InvalidURL" if isinstance(error, httpx.InvalidURL) else type(error).__name__


def _priority(pattern: httpx.URL) -> tuple[int, int, int]:
    return (0 if pattern.port is not None else 1, -len(_host(pattern)), -len(_scheme(pattern)))


def _matches(pattern: httpx.URL, url: httpx.URL) -> bool:
    if _scheme(pattern) not in ("", url.scheme) or pattern.port not in (None, url.port):
        return False
    host = _host(pattern)
    if host.startswith("*."):
        return re.match(rf"^.+\.{re.escape(host[2:])}$", url.host) is not None
    if host.startswith("*"):
        return re.match(rf"^(.+\.)?{re.escape(host[1:])}$", url.host) is not None
    return not host or re.match(f"^{re.escape(host)}$", url.host) is not None


def _scheme(pattern: httpx.URL) -> str:
    return "" if pattern.scheme == "all" else pattern.scheme


def _host(pattern: httpx.URL) -> str:
    return "" if pattern.host == "*" else pattern.host


def _connected(settings: Settings, client: str, target: httpx.URL, proxy: str, found: FoundProxy) -> PredictedRoute:
    url = httpx.URL(proxy)
    if not url.host:
        called = MADE[client].replace("Making", "A request of")
        return nowhere("httpx.ConnectError", called, found, "which names no host", rule=f"{READ} takes")
    if url.scheme.startswith("socks"):
        route = Route.SOCKS
    elif url.scheme == "https":
        route = Route.TLS
    else:
        route = Route.TUNNEL if target.scheme == "https" else Route.PROXIED
    unread, but = _unread_exclusions(settings)
    return through(route, found, proxy=str(url), rule=f"{READ}{unread} takes", but=but)


def _unread_exclusions(settings: Settings) -> tuple[str, str]:
    """Remarks on the system's own exclusions, if the proxy is the system's: one for the rule, and one for people."""
    if getproxies_environment(settings):
        return "", ""
    registry, mac = settings.registry or Registry(), settings.mac or Mac()
    if settings.system is System.WINDOWS and registry.override:
        return " never reads ProxyOverride,", f", and httpx does not read ProxyOverride ({hidden(registry.override)})"
    if settings.system is System.MACOS and (mac.exceptions or mac.exclude_simple):
        return " never reads macOS's exceptions,", ", and httpx does not read macOS's exceptions"
    return "", ""


def _is_address(kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address], entry: str) -> bool:
    try:
        kind(entry.split("/")[0])
    except ValueError:
        return False
    return True


MADE = {
    "httpx": "Making httpx.Client",
    "httpx-async": "Making httpx.AsyncClient",
    "ollama": "Making ollama.Client",
    "ollama-async": "Making ollama.AsyncClient",
}
