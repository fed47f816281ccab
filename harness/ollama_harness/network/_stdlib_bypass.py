r"""Which hosts Python itself sends past the proxies: `urllib.request.proxy_bypass`.

NO_PROXY if there is any `<scheme>_proxy` variable, else the system's own list: ProxyOverride on Windows, the exceptions
on macOS. urllib asks for the host of the URL *with its port*, requests without; httpx never asks, it reads NO_PROXY
by itself and the system's lists not at all.

Before Python 3.11.9 and 3.12.3 the system's lists were compared with the host's name *and* its addresses, and on
Windows by other rules: see `_registry_bypass_with_names`. Since then by name alone. Sources:
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
    """What name resolution says where urllib asks it: `gethostbyname` and `getfqdn`. Other names do not resolve.

    A Windows machine may call 127.0.0.1 by its own name: then it is that which old Pythons hold against the list.
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
    """What sends `host` past the proxies; None if nothing does. `host` may carry a port.

    Raises:
        re.error: as `proxy_bypass` did on Windows before 3.11.9 and 3.12.3, for an entry that is no regular expression.
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
    """NO_PROXY as urllib reads it: names and their ends, dots in front ignored. No `*` but alone, no networks."""
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
    """ProxyOverride since 3.11.9 and 3.12.3: patterns for the whole name; `<local>` is any name without a dot."""
    host, _ = _splitport(host)
    for entry in (part.strip() for part in override.split(";")):
        if entry == "<local>":
            if "." not in host:
                return FoundProxy(name="ProxyOverride", value=entry, written=override)
        elif fnmatch.fnmatchcase(ntpath.normcase(host), ntpath.normcase(entry)):
            return FoundProxy(name="ProxyOverride", value=entry, written=override)
    return None


def _registry_bypass_with_names(host: str, override: str, names: NameResolution) -> FoundProxy | None:
    """ProxyOverride before: regular expressions that match the *beginning* of the name, of its address, or full name.

    So `127` covers 127.0.0.1, a `;` at the end covers everything, and a blank after `;` makes an entry cover nothing.
    """
    hostonly, _ = _splitport(host)
    address, full = names.gethostbyname(hostonly), names.getfqdn(hostonly)
    candidates = [hostonly, *(other for other in (address, full) if other is not None and other != hostonly)]
    for entry, pattern in registry_patterns(override):
        if (entry == "<local>" and "." not in hostonly) or any(re.match(pattern, name, re.I) for name in candidates):
            return FoundProxy(name="ProxyOverride", value=entry, written=override)
    return None


def registry_patterns(override: str) -> Iterator[tuple[str, str]]:
    """Entries of ProxyOverride, each with its regular expression. requests still reads them so."""
    for entry in override.split(";"):
        yield entry, entry.replace(".", r"\.").replace("*", r".*").replace("?", r".")


def _mac_bypass(host: str, mac: Mac, names: NameResolution | None) -> FoundProxy | None:
    """macOS's list: `169.254/16` and `127` are networks, all else patterns that match the host, *with its port*.

    `names` is None since 3.11.9 and 3.12.3: a name is then no longer compared with networks by its address.
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
    """`host:port` taken apart at its last colon, where digits follow: of `::1` too, which so becomes `:` and 1."""
    found = re.fullmatch("(.*):([0-9]+)", host, re.DOTALL)
    if found:
        return found[1], found[2]
    return (host[:-1] if host.endswith(":") else host), None
