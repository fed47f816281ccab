"""The diagnosis: what was found, which way each client goes and whether it arrives, and what fixes it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ollama_harness.doctor._server_check import ServerAnswer, ServerKind, addresses, ask, ask_through, knock
from ollama_harness.doctor.fixes import LOCAL, Fix, fixes
from ollama_harness.errors import HarnessError
from ollama_harness.network.ollama_host import ollama_server_address, ollama_url
from ollama_harness.network.prediction import predicted
from ollama_harness.network.prediction_base import hidden
from ollama_harness.network.required import RequiredRoute, required
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Mac, Registry, Settings

__all__ = ["Diagnosis", "Remark", "RouteForecast", "diagnose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing to know. `code` is for tools, `text` for people; `bad` if it keeps a client from the server."""

    code: str
    text: str
    bad: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteForecast:
    """Which way a client goes, and whether it arrives (None: nobody can tell without asking the proxy).

    `misrouted`: it asks a proxy that the settings exclude.
    """

    client: str
    version: str
    prediction: PredictedRoute
    arrives: bool | None
    why: str
    misrouted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that the doctor has found. `answers` are those of the host's addresses, in the order of clients; `beside` of
    this machine's other addresses. `server_listens_on` is what OLLAMA_HOST would mean to a server, and `by_ollama_host`
    whether the URL is what it means to a client.
    """

    url: str
    settings: Settings
    server_listens_on: str
    addresses: tuple[str, ...]
    answers: tuple[ServerAnswer, ...]
    beside: tuple[ServerAnswer, ...]
    required: RequiredRoute
    prognoses: tuple[RouteForecast, ...]
    findings: tuple[Remark, ...]
    fixes: tuple[Fix, ...]
    by_ollama_host: bool = False

    @property
    def exit_code(self) -> int:
        """0 all clients reach it; 1 some do not, or not by the way that the settings ask; 3 cannot tell."""
        arrive = [one.arrives for one in self.prognoses]
        if False in arrive or any(one.misrouted and not one.arrives for one in self.prognoses):
            return 1
        return 3 if None in arrive or not arrive else 0


def diagnose(
    settings: Settings,
    clients: Mapping[str, str],
    *,
    url: str | None,
    extras: frozenset[str],
    through_proxy: bool,
    resolve: Callable[[str], tuple[str, ...]] = addresses,
) -> Diagnosis:
    """Examine the way from here to a server. `url` None is what OLLAMA_HOST says; `clients` have their versions,
    and `resolve` gives the addresses of a URL's host.

    Asks the host's addresses, and proxies only with `through_proxy`; else one on this machine is knocked at, and
    nothing is sent. Raises: HarnessError, if the URL is none.
    """
    host = settings.variable("OLLAMA_HOST")
    told = _url(url) if url is not None else _told(host)
    found = resolve(told)
    answers = tuple(ask(told, address) for address in found)
    beside = tuple(ask(told, address) for address in _other_loopback(told, found))
    ways = {name: predicted(name, settings, told, installed=extras) for name in clients}
    named = dict.fromkeys(
        prediction.proxy for prediction in ways.values() if prediction.route is Route.PROXIED and prediction.proxy
    )
    proxies = {proxy: _at_proxy(proxy, told, through_proxy=through_proxy) for proxy in named}
    asked = required(settings, told)
    prognoses = tuple(
        _prognosis(name, version, ways[name], asked, _first(answers), proxies) for name, version in clients.items()
    )
    lost = [one for one in prognoses if not one.arrives and one.prediction.route is not Route.DIRECT]
    answering = {one.address for one in (*answers, *beside) if one.kind is ServerKind.OLLAMA}
    offered = fixes(settings, told, list(clients), extras, answering=answering)
    return Diagnosis(
        url=told,
        settings=settings,
        server_listens_on=ollama_server_address(hidden(host or "").rpartition("***@")[2]),
        addresses=found,
        answers=answers,
        beside=beside,
        required=asked,
        prognoses=prognoses,
        findings=(*_of_server(told, answers, beside), *_of_settings(settings, proxies), *_of_clients(prognoses, asked)),
        by_ollama_host=url is None,
        fixes=tuple(offered) if lost and asked.route is not Route.PROXIED else (),
    )


def _url(text: str) -> str:
    """A URL that a user gave.

    Raises: HarnessError.
    """
    try:
        url = _asked(text)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"[^\s/]+", parts.hostname or ""):
            raise ValueError("it is neither http nor https, or has no host")
        if text.partition("://")[1] and not text.partition("://")[2].strip("/"):
            raise ValueError("it has no host")
    except ValueError as error:
        mend = "write http://127.0.0.1:11434"
        raise HarnessError(f"--host is {hidden(text)!r}, which is no address: {error}; {mend}") from None
    return url


def _told(ollama_host: str | None) -> str:
    """What OLLAMA_HOST says to a client; what is no address says nothing, and is a finding of its own."""
    try:
        return _asked(ollama_host)
    except ValueError:
        return ollama_url(None)


def _asked(host: str | None) -> str:
    """The URL that the Python client makes of a host.

    Raises: ValueError, if the library or httpx, which it uses, cannot read it.
    """
    import httpx

    url = ollama_url(host)
    try:
        _ = httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    return url


def _first(answers: tuple[ServerAnswer, ...]) -> ServerAnswer | None:
    """Who answers a client: the first address where anybody listens."""
    return next((one for one in answers if one.accepts), None)


def _other_loopback(url: str, found: tuple[str, ...]) -> list[str]:
    host = urlsplit(url).hostname or ""
    return [one for one in ("127.0.0.1", "::1") if host in LOCAL and one not in found]


def _at_proxy(proxy: str, url: str, *, through_proxy: bool) -> ServerAnswer | None:
    if through_proxy:
        return ask_through(proxy, url)
    return knock(proxy) if _on_this_machine(proxy) else None


def _on_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _prognosis(
    name: str,
    version: str,
    prediction: PredictedRoute,
    asked: RequiredRoute,
    server: ServerAnswer | None,
    proxies: Mapping[str, ServerAnswer | None],
) -> RouteForecast:
    arrives: bool | None = None
    match prediction.route:
        case Route.NOWHERE:
            arrives, why = False, "it raises before it connects to anything"
        case Route.DIRECT:
            arrives = server is not None and server.kind is ServerKind.OLLAMA
            why = "nobody listens there" if server is None else _said(server)
        case _ if (
            (answer := proxies.get(prediction.proxy or "")) is not None
            and answer.status == 407
            and "***@" in (prediction.proxy or "")
        ):
            why = "the proxy wants its password, which the doctor keeps to itself"
        case _ if answer is not None and answer.kind is not ServerKind.OPEN:
            arrives, why = answer.kind is ServerKind.OLLAMA, f"by the proxy: {_said(answer)}"
        case _ if asked.route is Route.DIRECT:
            why = f"it asks the proxy, although {asked.because}"
        case _:
            why = "it asks the proxy, which may let it through: see --through-proxy"
    misrouted = prediction.route.through_proxy and asked.route is Route.DIRECT
    return RouteForecast(
        client=name, version=version, prediction=prediction, arrives=arrives, why=why, misrouted=misrouted
    )


def _said(answer: ServerAnswer) -> str:
    return f"Ollama {answer.says} answers" if answer.kind is ServerKind.OLLAMA else f"{answer.place}: {answer.says}"


def _of_server(url: str, answers: tuple[ServerAnswer, ...], beside: tuple[ServerAnswer, ...]) -> Iterator[Remark]:
    first, host = _first(answers), urlsplit(url).hostname
    ollama = next((one for one in (*answers, *beside) if one.kind is ServerKind.OLLAMA), None)
    if not answers:
        yield Remark(code="no-such-host", text=f"{host} has no address here; check the name")
    elif first is None and ollama is None:
        places = ", ".join(one.place for one in answers)
        text = f"nobody listens at {places}; start Ollama (ollama serve), or give --host"
        yield Remark(code="not-running", text=text)
    elif first is None and ollama is not None:
        text = f"Ollama {ollama.says} listens on {ollama.place}, and not where this URL leads; write that address"
        yield Remark(code="bound-elsewhere", text=text)
    elif first is not None and first.kind is ServerKind.OLLAMA:
        yield Remark(code="answers", text=f"Ollama {first.says} answers at {first.place}", bad=False)
    elif first is not None and ollama is not None:
        text = (
            f"{host} is {first.place} first, where another program answers ({first.says}); Ollama {ollama.says} "
            f"is at {ollama.place}: write that address into the URL"
        )
        yield Remark(code="other-program", text=text)
    elif first is not None and first.kind is ServerKind.SILENT:
        yield Remark(code="silent", text=f"{first.place} takes connections and says {first.says}")
    elif first is not None and first.status is not None and first.status >= 500:
        text = f"{first.place} answers {first.says} itself, with no proxy between: look at that program's log"
        yield Remark(code="server-error", text=text)
    elif first is not None:
        yield Remark(code="no-ollama", text=f"at {first.place} is no Ollama: {first.says}")


def _of_settings(settings: Settings, proxies: Mapping[str, ServerAnswer | None]) -> Iterator[Remark]:
    for proxy, answer in proxies.items():
        if answer is not None and not answer.accepts:
            text = f"nobody listens at the proxy {proxy}: its program has gone, and its setting is left"
            yield Remark(code="dead-proxy", text=text)
    registry, mac = settings.registry or Registry(), settings.mac or Mac()
    texts = [*settings.variables.items(), ("ProxyServer", registry.server or "")]
    for name in (name for name, text in texts if name.lower() != "no_proxy" and name != "OLLAMA_HOST" and "@" in text):
        text = f"{name} holds a password in plain text, which every program of yours can read (it is hidden here)"
        yield Remark(code="credentials", text=text, bad=False)
    try:
        _asked(settings.variable("OLLAMA_HOST"))
    except ValueError as error:
        text = f"OLLAMA_HOST is no address to the Python library ({hidden(str(error))}): import ollama fails"
        yield Remark(code="bad-ollama-host", text=text)
    if (pac := registry.pac_url or mac.pac_url) is not None:
        text = (
            f"a proxy script is set ({hidden(pac)}): browsers run it; requests, httpx, ollama and urllib do not read it"
        )
        yield Remark(code="pac", text=text, bad=False)


def _of_clients(prognoses: tuple[RouteForecast, ...], asked: RequiredRoute) -> Iterator[Remark]:
    astray = [one.client for one in prognoses if one.prediction.route.through_proxy]
    if astray and asked.route is Route.DIRECT:
        text = f"{', '.join(astray)} go to the proxy, although {asked.because}"
        yield Remark(code="misrouted", text=text)
    elif astray:
        text = f"{', '.join(astray)} go to the proxy: {asked.because}"
        yield Remark(code="proxied", text=text, bad=False)
    if unmade := [one.client for one in prognoses if one.prediction.route is Route.NOWHERE]:
        yield Remark(code="cannot-be-made", text=f"{', '.join(unmade)} cannot be used with these settings at all")
