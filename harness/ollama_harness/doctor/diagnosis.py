"""The diagnosis: what was found, the route of each client, whether it arrives, and what fixes it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ollama_harness.doctor._changes import SettingChange, alternatives, removals, repairs
from ollama_harness.doctor._client_routes import ClientRoute, client_route, exit_code
from ollama_harness.doctor._exclusions import LOCAL
from ollama_harness.doctor._findings import Remark, first, of_clients, of_no_proxy, of_server, of_settings
from ollama_harness.doctor._server_check import ServerAnswer, ServerKind, addresses, ask, ask_through, connect
from ollama_harness.doctor._written_host import written_host
from ollama_harness.doctor.asking import AskedRoute, Asker, Question
from ollama_harness.errors import HarnessError
from ollama_harness.network.named_proxies import named_proxies
from ollama_harness.network.ollama_host import ollama_server_address, ollama_url
from ollama_harness.network.required import RequiredRoute, required
from ollama_harness.network.route import Route
from ollama_harness.network.settings import Settings, hidden

__all__ = ["ClientRoute", "Diagnosis", "Fix", "Remark", "diagnose"]

#: Settings that exclude hosts from a proxy, as `removals` names them.
_EXCLUSIONS = frozenset({"NO_PROXY", "no_proxy", "ProxyOverride", "the exceptions of macOS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change with which more clients go direct, and the clients that do, as they were asked again with it."""

    change: SettingChange
    helps: tuple[str, ...]

    @property
    def lines(self) -> dict[str, str]:
        """What to type, by shell, and what to write in Python for the clients that it helps."""
        codes = dict.fromkeys(self.change.codes[name] for name in self.helps if name in self.change.codes)
        return {**self.change.lines, **({"Python": "\n".join(codes)} if codes else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that the doctor has found. `answers` are those of the host's addresses, in their order,
    and `beside` those of this machine's other loopback address. `server_listens_on` is the address at which a
    server with this OLLAMA_HOST would listen. `by_ollama_host` is whether the URL comes from OLLAMA_HOST.
    """

    url: str
    settings: Settings
    server_listens_on: str
    addresses: tuple[str, ...]
    answers: tuple[ServerAnswer, ...]
    beside: tuple[ServerAnswer, ...]
    required: RequiredRoute
    routes: tuple[ClientRoute, ...]
    findings: tuple[Remark, ...]
    fixes: tuple[Fix, ...]
    by_ollama_host: bool = False

    @property
    def exit_code(self) -> int:
        """0: all clients reach the server. 1: some do not, or not by the required route. 3: cannot tell."""
        return exit_code(self.routes)

    @property
    def headline(self) -> str:
        """Who arrives, and where the others go, in one sentence."""
        if self.exit_code == 0:
            return "all clients reach it"
        together: dict[str, list[str]] = {}
        for one in self.routes:
            together.setdefault(one.fate, []).append(one.client)
        return "; ".join(_sentence(names, fate) for fate, names in together.items()) or "no client was asked"


def diagnose(
    settings: Settings,
    asker: Asker,
    *,
    url: str | None,
    through_proxy: bool,
    resolve: Callable[[str], tuple[str, ...]] = addresses,
) -> Diagnosis:
    """Examine the routes from this machine to a server. Without `url` it is OLLAMA_HOST. `asker` has the clients.
    `resolve` returns the addresses of a URL's host.

    Sends a request to each address of the host. A proxy gets one only with `through_proxy`, or if it and the server are
    on this machine; another proxy on this machine only gets a connection, and no request.

    Raises: HarnessError, if the URL is not valid.
    """
    host = settings.variable("OLLAMA_HOST")
    target = _url(url) if url is not None else _ollama_host_url(host)
    found = resolve(target)
    answers = tuple(ask(target, address) for address in found)
    beside = tuple(ask(target, address) for address in _other_loopback(target, found))
    answering = {one.address for one in (*answers, *beside) if one.kind is ServerKind.OLLAMA}
    question = Question(settings=settings, url=target)
    asked, changed = _asked(question, asker, answering)
    if urlsplit(target).scheme == "https" and any(one.route is Route.DIRECT for one in asked.values()):
        (shaken,) = asker.ask([replace(question, really=True)])  # each client has its own rules for certificates
        asked |= {name: one for name, one in shaken.items() if asked[name].route is one.route is Route.DIRECT}
    named = dict.fromkeys(
        hidden(one.proxy.url) for one in asked.values() if one.proxy is not None and one.proxy.scheme == "http"
    )
    proxies = {proxy: _at_proxy(proxy, target, through_proxy=through_proxy) for proxy in named}
    route = required(settings, target)
    routes = tuple(
        client_route(
            one,
            asker.versions.get(one.name, ""),
            asked[one.name],
            causes=[change.removes for change, then in changed if change.removes and _differs(one.name, asked, then)],
            settings=settings,
            required=route,
            server=first(answers),
            proxies=proxies,
        )
        for one in asker.clients
    )
    lost = any(not one.arrives and one.asked.route is not Route.DIRECT for one in routes)
    return Diagnosis(
        url=target,
        settings=settings,
        server_listens_on=ollama_server_address(hidden(host or "").rpartition("***@")[2]),
        addresses=found,
        answers=answers,
        beside=beside,
        required=route,
        routes=routes,
        findings=tuple(
            replace(one, bad=one.bad and exit_code(routes) == 1)
            for one in (
                *of_server(target, answers, beside),
                *of_settings(settings, proxies),
                *of_clients(routes, route),
                *of_no_proxy(settings, target, routes),
            )
        ),
        by_ollama_host=url is None,
        fixes=_fixes(asked, changed) if lost and route.route is not Route.PROXIED else (),
    )


def _asked(
    question: Question, asker: Asker, answering: Collection[str]
) -> tuple[dict[str, AskedRoute], list[tuple[SettingChange, dict[str, AskedRoute]]]]:
    """The routes of the clients, and each change that was tried with the routes that it brings.

    Without a proxy and with a sound OLLAMA_HOST there is nothing to change. A setting is taken away only where that may
    show a cause: of a client that raises, of a proxy, or of none although there is one.
    """
    changes = list(alternatives(question, asker.clients, answering=answering)) if question.settings.decides else []
    exclusions = list(removals(question, _EXCLUSIONS)) if named_proxies(question.settings) else []
    asked, *tried = asker.ask([question, *(one.question for one in (*changes, *exclusions))])
    if any(one.route is Route.NOWHERE for one in asked.values()):
        more = [*repairs(question), *(one for one in removals(question) if one not in exclusions)]
    else:
        more = list(removals(question, {one.proxy.setting for one in asked.values() if one.proxy is not None}))
    tried += asker.ask([one.question for one in more])
    return asked, list(zip((*changes, *exclusions, *more), tried, strict=True))


def _fixes(
    asked: Mapping[str, AskedRoute], changed: Sequence[tuple[SettingChange, Mapping[str, AskedRoute]]]
) -> tuple[Fix, ...]:
    """The changes with which more clients go direct, and none that did no longer. The most helpful comes first."""
    before = _direct(asked)
    helpful = [Fix(change=one, helps=tuple(_direct(routes))) for one, routes in changed if one.lines or one.codes]
    return tuple(sorted((one for one in helpful if before < set(one.helps)), key=lambda one: -len(one.helps)))


def _direct(asked: Mapping[str, AskedRoute]) -> Set[str]:
    return {name: None for name, one in asked.items() if one.route is Route.DIRECT}.keys()


def _differs(client: str, asked: Mapping[str, AskedRoute], then: Mapping[str, AskedRoute]) -> bool:
    return then[client].route is not asked[client].route


def _sentence(names: Sequence[str], fate: str) -> str:
    if len(names) == 1:
        return f"{names[0]} {fate}"
    return f"{', '.join(names[:-1])} and {names[-1]} {re.sub('^goes', 'go', fate)}"


def _url(text: str) -> str:
    """The URL of the option --host.

    Raises: HarnessError.
    """
    try:
        url = ollama_url(text)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"[^\s/]+", parts.hostname or ""):
            raise ValueError("it is neither http nor https, or has no host")
        if text.partition("://")[1] and not text.partition("://")[2].strip("/"):
            raise ValueError("it has no host")
    except ValueError as error:
        fix = "write http://127.0.0.1:11434"
        raise HarnessError(f"--host is {hidden(text)!r}, which is not an address: {error}; {fix}") from None
    return url


def _ollama_host_url(ollama_host: str | None) -> str:
    """The URL that Python gets from OLLAMA_HOST, or what was meant if it cannot read it (which is a finding)."""
    try:
        return ollama_url(ollama_host)
    except ValueError:
        return written_host(ollama_host).url


def _other_loopback(url: str, found: tuple[str, ...]) -> list[str]:
    host = urlsplit(url).hostname or ""
    return [one for one in ("127.0.0.1", "::1") if host in LOCAL and one not in found]


def _at_proxy(proxy: str, url: str, *, through_proxy: bool) -> ServerAnswer | None:
    if through_proxy or (_on_this_machine(proxy) and _on_this_machine(url)):
        return ask_through(proxy, url)
    return connect(proxy) if _on_this_machine(proxy) else None


def _on_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
