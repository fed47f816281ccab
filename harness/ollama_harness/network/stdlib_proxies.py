"""How Python itself finds proxies: `IN_WORDS`, and line by line below.

The same in Python 3.11 to 3.14. Sources:
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
How Python itself finds proxies: `urllib.request.getproxies`, which all the clients build on.

Variables named `<scheme>_proxy` in any case, lower case first. *Only if there is not one such variable*, not even
NO_PROXY, the system's own settings: the registry on Windows, System Settings on macOS.
A proxy script (PAC) is never read.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProxy:
    """What a library took from a setting: `value`, from the setting `name`, where `written` stands."""

    name: str
    value: str
    written: str


def getproxies(settings: Settings) -> dict[str, FoundProxy]:
    """Proxies by scheme, `all` and `no` among them. One variable is enough for the system's settings not to be read."""
    return getproxies_environment(settings) or getproxies_system(settings)


def getproxies_environment(settings: Settings) -> dict[str, FoundProxy]:
    """Those of the variables: lower case wins, and an empty variable in lower case removes what upper case set."""
    variables = _as_in_a_process(settings)
    found = {}
    for name, value in variables.items():
        if value and name.lower()[-6:] == "_proxy":
            found[name.lower()[:-6]] = FoundProxy(name=name, value=value, written=value)
    # A CGI server passes a request's own "Proxy:" header as HTTP_PROXY: https://httpoxy.org, CVE-2016-1000110.
    if "REQUEST_METHOD" in variables:
        found.pop("http", None)
    for name, value in variables.items():
        if name[-6:] == "_proxy":  # never on Windows, where all names are upper case: http_proxy is no exception there
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
    """`host:port` for all schemes, or `http=host:port;https=…;socks=…`. A part without a `=` ends the reading."""
    found: dict[str, FoundProxy] = {}
    if not registry.enable or registry.server is None:  # the text "0" is not empty: it enables
        return found

    def take(scheme: str, address: str) -> None:
        found[scheme] = FoundProxy(name="ProxyServer", value=address, written=registry.server or "")

    server = registry.server
    if "=" not in server and ";" not in server:
        server = f"http={server};https={server};ftp={server}"
    for part in server.split(";"):
        scheme, equals, address = part.partition("=")
        if not equals:  # "proxy:8080;", or a ";" at the end: a ValueError that urllib swallows, and socks= is not used
            return found
        if not re.match("(?:[^/:]+)://", address):
            if scheme in ("http", "https", "ftp"):
                address = "http://" + address
            elif scheme == "socks":
                address = "socks://" + address
        take(scheme, address)
    if "socks" in found and found["socks"].value:
        address = re.sub(r"^socks://", "socks4://", found["socks"].value)
        for scheme in ("http", "https"):
            if scheme not in found or not found[scheme].value:
                take(scheme, address)
    return found
