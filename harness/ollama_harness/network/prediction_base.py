"""Helpers of all predictions: routes with their sentences, and the hiding of passwords."""

from __future__ import annotations

import re

from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Mac, Registry, Settings, System
from ollama_harness.network.stdlib_proxies import FoundProxy, getproxies_environment, getproxies_system

__all__ = ["excluded", "hidden", "no_proxy_found", "nowhere", "through"]


def hidden(text: str) -> str:
    """A proxy's URL, or a list of URLs, with everything between `user:` and the last `@` replaced by `***`."""
    head, at, tail = text.rpartition("@")
    if not at:
        return text
    start = re.match(r"((?:[^:/@;=]*=)?(?:[^:/@]*:?//)?)([^:/@]*)(:?)", head)
    assert start is not None  # every part of the pattern is optional
    prefix, user, colon = start.groups()
    return f"{prefix}{user}:***@{tail}" if colon else f"{prefix}***@{tail}"


def through(route: Route, found: FoundProxy, *, proxy: str, rule: str, but: str = "") -> PredictedRoute:
    """The route through a proxy. `but` says why the host was not excluded, if that needs a remark."""
    because = f"{found.name} is {hidden(found.written)}{but}."
    return PredictedRoute(route=route, proxy=hidden(proxy), rule=f"{rule} {found.name}", because=because)


def excluded(host: str, found: FoundProxy, *, rule: str) -> PredictedRoute:
    """The direct route, because an entry of a list covers the host."""
    entry = hidden(found.value)
    because = f"{found.name} has {entry!r}, which covers {host}."
    if found.value == "on":
        because = f"{found.name!r} is on, and {host} has no dot."
    return PredictedRoute(route=Route.DIRECT, rule=f"{rule} {found.name} entry {entry!r}", because=because)


def nowhere(error: str, when: str, found: FoundProxy, what: str, *, rule: str) -> PredictedRoute:
    """No route: the library raises. `error` is the exception, `when` the call that raises it, `what` the defect of
    `found`.
    """
    because = f"{when} raises {error}: {found.name} is {hidden(found.written)!r}, {what}."
    return PredictedRoute(route=Route.NOWHERE, rule=f"{rule} {found.name}", because=because)


def no_proxy_found(settings: Settings, scheme: str, *, rule: str) -> PredictedRoute:
    """The direct route, because there is no proxy for the scheme."""
    return PredictedRoute(
        route=Route.DIRECT, rule=rule, because=f"No proxy is set for {scheme}:// addresses{_unread(settings)}."
    )


def _unread(settings: Settings) -> str:
    """A remark on a proxy setting that the user may expect to count, and that Python ignores."""
    variables = getproxies_environment(settings)
    if variables and getproxies_system(settings):
        name = next(iter(variables.values())).name
        return f", and while {name} is set the proxy settings of the system itself are not read"
    registry, mac = settings.registry or Registry(), settings.mac or Mac()
    if registry.pac_url or mac.pac_url:
        return ", and Python reads no proxy script (PAC)"
    if settings.system is System.WINDOWS and registry.enable and registry.server and not variables:
        return f", or none that Python can read: ProxyServer is {hidden(registry.server)!r}"
    if mac.socks and not variables:
        return ", and Python does not use macOS's SOCKS proxy for them"
    return ""
