r"""The hosts that Python itself excludes from proxies: `urllib.request.proxy_bypass`.

If there is any `<scheme>_proxy` variable, NO_PROXY decides. Otherwise the system's own list does: ProxyOverride on
Windows, the exceptions on macOS. urllib passes the host of the URL *with its port*, requests without it. httpx does not
call this function: it reads NO_PROXY itself, and ignores the system's lists.

Before Python 3.11.9 and 3.12.3 the system's lists were compared with the host's name *and* its addresses, and on
Windows by other rules: see `_registry_bypass_with_names`. Since then only the name is compared. Sources:
https://github.com/python/cpython/pull/115210,
https://github.com/python/cpython/blob/v3.11.8/Lib/urllib/request.py, `proxy_bypass_environment` and below,
https://github.com/python/cpython/blob/v3.13.0/Lib/urllib/request.py.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import ntpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ollama_harness.network.settings import Mac, Registry, Settings, System
from ollama_harness.network.stdlib_proxies import FoundProxy, getproxies_environment

__all__ = ["NameResolution", "proxy_bypass", "proxy_bypass_environment", "registry_patterns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameResolution:
    """The answers of name resolution, as urllib uses it: `gethostbyname` and `getfqdn`. Other names do not resolve.

    On a Windows machine, 127.0.0.1 may resolve to the machine's own name. Then old Pythons compare that name with the
    list.
    """

    addresses: Mapping[str, str] = field(default_factory=lambda: {"localhost": "127.0.0.1"})
    names: Mapping[str, str] = field(default_factory=lambda: {"127.0.0.1": "localhost"})

    def gethostbyname(self, host: str) -> str | None:
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            return self.addresses.get(host.lower())

    def getfqdn(self, host: str) -> str:
        return self.names.get(host.lower(), host)


def proxy_bypass(host: str, settings: Settings, *, python: tuple[int, ...], names: NameResolution) -> FoundProxy | None:
    """The setting that excludes `host` from the proxies, or None. `host` may have a port.

    Raises:
        re.error: for an entry that is not a regular expression, on Windows before 3.11.9 and 3.12.3.
    """
    variables = getproxies_environment(settings)
    if variables:
        return proxy_bypass_environment(host, variables)
    with_names = python < (3, 11, 9) or (3, 12) <= python < (3, 12, 3)
    match settings.system:
        case System.WINDOWS:
            registry = settings.registry or Registry()
            if registry.enable is None or not registry.enable or not registry.override:
                return None
            if with_names:
                return _registry_bypass_with_names(host, registry.override, names)
            return _registry_bypass(host, registry.override)
        case System.MACOS:
            return _mac_bypass(host, settings.mac or Mac(), names if with_names else None)
        case System.POSIX:
            return None


def proxy_bypass_environment(host: str, variables: Mapping[str, FoundProxy]) -> FoundProxy | None:
    """NO_PROXY as urllib reads it: names and their ends, without leading dots; no networks; `*` only alone."""
    no_proxy = variables.get("no")
    if no_proxy is None:
        return None
    if no_proxy.value == "*":
        return no_proxy
    host = host.lower()
    hostonly, _ = _splitport(host)
    for entry in no_proxy.value.split(","):
        name = entry.strip()
        if not name:
            continue
        name = name.lstrip(".").lower()
        if name in (hostonly, host) or hostonly.endswith("." + name) or host.endswith("." + name):
            return FoundProxy(name=no_proxy.name, value=entry.strip(), written=no_proxy.value)
    return None


def _registry_bypass(host: str, override: str) -> FoundProxy | None:
    """ProxyOverride since 3.11.9 and 3.12.3: patterns for the whole name. `<local>` is any name without a dot."""
    host, _ = _splitport(host)
    for entry in (part.strip() for part in override.split(";")):
        if entry == "<local>":
            if "." not in host:
                return FoundProxy(name="ProxyOverride", value=entry, written=override)
        elif fnmatch.fnmatchcase(ntpath.normcase(host), ntpath.normcase(entry)):
            return FoundProxy(name="ProxyOverride", value=entry, written=override)
    return None


def _registry_bypass_with_names(host: str, override: str, names: NameResolution) -> FoundProxy | None:
    """ProxyOverride before: regular expressions for the *beginning* of the name, of its address, or of its full name.

    So `127` covers 127.0.0.1, a `;` at the end covers everything, and an entry with a blank before it covers nothing.
    """
    hostonly, _ = _splitport(host)
    address, full = names.gethostbyname(hostonly), names.getfqdn(hostonly)
    candidates = [hostonly, *(other for other in (address, full) if other is not None and other != hostonly)]
    for entry, pattern in registry_patterns(override):
        if (entry == "<local>" and "." not in hostonly) or any(re.match(pattern, name, re.I) for name in candidates):
            return FoundProxy(name="ProxyOverride", value=entry, written=override)
    return None


def registry_patterns(override: str) -> Iterator[tuple[str, str]]:
    """Entries of ProxyOverride, each with its regular expression. requests still reads them in this way."""
    for entry in override.split(";"):
        yield entry, entry.replace(".", r"\.").replace("*", r".*").replace("?", r".")


def _mac_bypass(host: str, mac: Mac, names: NameResolution | None) -> FoundProxy | None:
    """macOS's list: `169.254/16` and `127` are networks; other entries are patterns for the host *with its port*.

    `names` is None since 3.11.9 and 3.12.3: the address of a name is no longer compared with networks.
    """
    hostonly, _ = _splitport(host)
    if "." not in host and mac.exclude_simple:
        return FoundProxy(name="Exclude simple hostnames", value="on", written="on")
    address = hostonly if _is_ipv4(hostonly) else names.gethostbyname(hostonly) if names else None
    for entry in filter(None, mac.exceptions):
        network = re.match(r"(\d+(?:\.\d+)*)(/\d+)?", entry)
        if network is not None and address is not None:
            bits = int(network[2][1:]) if network[2] else 8 * (network[1].count(".") + 1)
            if 0 <= bits <= 32 and _number(address) >> (32 - bits) == _number(network[1]) >> (32 - bits):
                return FoundProxy(name="macOS's exceptions", value=entry, written=", ".join(mac.exceptions))
        elif network is not None and names is not None:
            continue
        elif fnmatch.fnmatchcase(host, entry):
            return FoundProxy(name="macOS's exceptions", value=entry, written=", ".join(mac.exceptions))
    return None


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _number(dotted: str) -> int:
    parts = [int(part) for part in dotted.split(".")]
    if len(parts) != 4:
        parts = [*parts, 0, 0, 0, 0][:4]
    return (parts[0] << 24) | (parts[1] << 16) | (parts[2] << 8) | parts[3]


def _splitport(host: str) -> tuple[str, str | None]:
    """Split `host:port` at the last colon, if digits follow it. Thus `::1` becomes `:` and 1, as in Python."""
    found = re.fullmatch("(.*):([0-9]+)", host, re.DOTALL)
    if found:
        return found[1], found[2]
    return (host[:-1] if host.endswith(":") else host), None
