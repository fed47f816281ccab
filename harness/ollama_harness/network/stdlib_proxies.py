"""How Python itself finds proxies. `IN_WORDS` summarises the rules, which are the same in Python 3.11 to 3.14.

Sources:
https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies,
https://github.com/python/cpython/blob/v3.13.0/Lib/urllib/request.py, `getproxies_environment` and below,
https://github.com/python/cpython/blob/v3.13.0/Modules/_scproxy.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ollama_harness.network.settings import Mac, Registry, Settings, System

__all__ = ["FoundProxy", "getproxies", "getproxies_environment", "getproxies_system"]

#: Its rules, as docs/proxies.md prints them.
IN_WORDS = """\
How Python itself finds proxies: `urllib.request.getproxies`, which all these clients use.

It reads variables named `<scheme>_proxy` in upper or lower case; lower case wins. *Only if there is no such variable*,
not even NO_PROXY, it reads the system's own settings: the registry on Windows, System Settings on macOS.
It never reads a proxy script (PAC).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProxy:
    """A value that a library read: `value`, from the setting `name`, whose whole text is `written`."""

    name: str
    value: str
    written: str


def getproxies(settings: Settings) -> dict[str, FoundProxy]:
    """Proxies by scheme, `all` and `no` among them. If there is one variable, the system's settings are not read."""
    return getproxies_environment(settings) or getproxies_system(settings)


def getproxies_environment(settings: Settings) -> dict[str, FoundProxy]:
    """The proxies in variables. Lower case wins, and an empty variable in lower case removes the one in upper case."""
    variables = _as_in_a_process(settings)
    found = {}
    for name, value in variables.items():
        if value and name.lower()[-6:] == "_proxy":
            found[name.lower()[:-6]] = FoundProxy(name=name, value=value, written=value)
    # A CGI server passes a request's "Proxy:" header as HTTP_PROXY: https://httpoxy.org, CVE-2016-1000110.
    if "REQUEST_METHOD" in variables:
        found.pop("http", None)
    for name, value in variables.items():
        if name[-6:] == "_proxy":  # never true on Windows, where all names are upper case
            if value:
                found[name.lower()[:-6]] = FoundProxy(name=name, value=value, written=value)
            else:
                found.pop(name.lower()[:-6], None)
    return found


def _as_in_a_process(settings: Settings) -> dict[str, str]:
    if settings.system is not System.WINDOWS:
        return dict(settings.variables)
    found: dict[str, str] = {}
    for name, value in settings.variables.items():
        found.setdefault(name.upper(), value)
    return found


def getproxies_system(settings: Settings) -> dict[str, FoundProxy]:
    match settings.system:
        case System.WINDOWS:
            return _getproxies_registry(settings.registry or Registry())
        case System.MACOS:
            mac = settings.mac or Mac()
            kinds = {"http": mac.http, "https": mac.https, "socks": mac.socks}
            return {
                kind: FoundProxy(name=f"macOS's {kind.upper()} proxy", value=f"http://{value}", written=value)
                for kind, value in kinds.items()
                if value
            }
        case System.POSIX:
            return {}


def _getproxies_registry(registry: Registry) -> dict[str, FoundProxy]:
    """`host:port` for all schemes, or `http=host:port;https=…;socks=…`. Reading stops at a part without `=`."""
    found: dict[str, FoundProxy] = {}
    if not registry.enable or registry.server is None:  # the text "0" is not empty, so it means on
        return found

    def add(scheme: str, address: str) -> None:
        found[scheme] = FoundProxy(name="ProxyServer", value=address, written=registry.server or "")

    server = registry.server
    if "=" not in server and ";" not in server:
        server = f"http={server};https={server};ftp={server}"
    for part in server.split(";"):
        scheme, equals, address = part.partition("=")
        if not equals:  # "proxy:8080;", or a ";" at the end: urllib swallows a ValueError here, and ignores socks=
            return found
        if not re.match("(?:[^/:]+)://", address):
            if scheme in ("http", "https", "ftp"):
                address = "http://" + address
            elif scheme == "socks":
                address = "socks://" + address
        add(scheme, address)
    if "socks" in found and found["socks"].value:
        address = re.sub(r"^socks://", "socks4://", found["socks"].value)
        for scheme in ("http", "https"):
            if scheme not in found or not found[scheme].value:
                add(scheme, address)
    return found
