"""The diagnosis: what was found, the route of each client, whether it arrives, and what fixes it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ollama_harness.doctor._server_check import ServerAnswer, ServerKind, addresses, ask, ask_through, connect
from ollama_harness.doctor.fixes import LOCAL, Fix, fixes
from ollama_harness.errors import HarnessError
from ollama_harness.network.ollama_host import ollama_server_address, ollama_url
from ollama_harness.network.prediction import CLIENTS, predicted
from ollama_harness.network.prediction_base import hidden
from ollama_harness.network.required import RequiredRoute, required
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Mac, Registry, Settings

__all__ = ["Diagnosis", "Remark", "RouteForecast", "diagnose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One remark. `code` is for tools, `text` for people. `bad` means that it keeps a client from the server."""

    code: str
    text: str
    bad: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteForecast:
    """The route of a client, and whether it arrives (None: unknown, because the proxy was not tried).

    `misrouted`: it uses a proxy although the settings exclude this host.
    """

    client: str
    version: str
    prediction: PredictedRoute
    arrives: bool | None
    why: str
    misrouted: bool = False


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
    forecasts: tuple[RouteForecast, ...]
    findings: tuple[Remark, ...]
    fixes: tuple[Fix, ...]
    by_ollama_host: bool = False

    @property
    def exit_code(self) -> int:
        """0: all clients reach the server. 1: some do not, or not by the required route. 3: cannot tell."""
        arrive = [one.arrives for one in self.forecasts]
        if False in arrive or any(one.misrouted and not one.arrives for one in self.forecasts):
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
    """Examine the routes from this machine to a server. Without `url` it is OLLAMA_HOST. `clients` are names with
    versions; those whose route is not predicted are left out. `resolve` returns the addresses of a URL's host.

    Sends a request to each address of the host, and through proxies only with `through_proxy`. Without, a proxy on this
    machine only gets a connection, and no request.

    Raises: HarnessError, if the URL is not valid.
    """
    host = settings.variable("OLLAMA_HOST")
    target = _url(url) if url is not None else _ollama_host_url(host)
    found = resolve(target)
    answers = tuple(ask(target, address) for address in found)
    beside = tuple(ask(target, address) for address in _other_loopback(target, found))
    clients = {name: version for name, version in clients.items() if name in CLIENTS}
    predictions = {name: predicted(name, settings, target, installed=extras) for name in clients}
    named = dict.fromkeys(
        prediction.proxy
        for prediction in predictions.values()
        if prediction.route is Route.PROXIED and prediction.proxy
    )
    proxies = {proxy: _at_proxy(proxy, target, through_proxy=through_proxy) for proxy in named}
    route = required(settings, target)
    forecasts = tuple(
        _forecast(name, version, predictions[name], route, _first(answers), proxies)
        for name, version in clients.items()
    )
    lost = [one for one in forecasts if not one.arrives and one.prediction.route is not Route.DIRECT]
    answering = {one.address for one in (*answers, *beside) if one.kind is ServerKind.OLLAMA}
    offered = fixes(settings, target, list(clients), extras, answering=answering)
    return Diagnosis(
        url=target,
        settings=settings,
        server_listens_on=ollama_server_address(hidden(host or "").rpartition("***@")[2]),
        addresses=found,
        answers=answers,
        beside=beside,
        required=route,
        forecasts=forecasts,
        findings=(
            *_of_server(target, answers, beside),
            *_of_settings(settings, proxies),
            *_of_clients(forecasts, route),
        ),
        by_ollama_host=url is None,
        fixes=tuple(offered) if lost and route.route is not Route.PROXIED else (),
    )


def _url(text: str) -> str:
    """The URL of the option --host.

    Raises: HarnessError.
    """
    try:
        url = _client_url(text)
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
    """The URL that a client gets from OLLAMA_HOST, or the default if it is not an address (which is a finding)."""
    try:
        return _client_url(ollama_host)
    except ValueError:
        return ollama_url(None)


def _client_url(host: str | None) -> str:
    """The URL that the Python client makes from a host.

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
    """The answer that a client gets: that of the first address where a program listens."""
    return next((one for one in answers if one.accepts), None)


def _other_loopback(url: str, found: tuple[str, ...]) -> list[str]:
    host = urlsplit(url).hostname or ""
    return [one for one in ("127.0.0.1", "::1") if host in LOCAL and one not in found]


def _at_proxy(proxy: str, url: str, *, through_proxy: bool) -> ServerAnswer | None:
    if through_proxy:
        return ask_through(proxy, url)
    return connect(proxy) if _on_this_machine(proxy) else None


def _on_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _forecast(
    name: str,
    version: str,
    prediction: PredictedRoute,
    required: RequiredRoute,
    server: ServerAnswer | None,
    proxies: Mapping[str, ServerAnswer | None],
) -> RouteForecast:
    arrives: bool | None = None
    match prediction.route:
        case Route.NOWHERE:
            arrives, why = False, "it raises before it connects to anything"
        case Route.DIRECT:
            arrives = server is not None and server.kind is ServerKind.OLLAMA
            why = "nothing listens there" if server is None else _description(server)
        case _ if (
            (answer := proxies.get(prediction.proxy or "")) is not None
            and answer.status == 407
            and "***@" in (prediction.proxy or "")
        ):
            why = "the proxy needs its password, which the doctor does not send"
        case _ if answer is not None and answer.kind is not ServerKind.OPEN:
            arrives, why = answer.kind is ServerKind.OLLAMA, f"through the proxy: {_description(answer)}"
        case _ if required.route is Route.DIRECT:
            why = f"it uses the proxy, although {required.because}"
        case _:
            why = "it uses the proxy, which may forward it: try --through-proxy"
    misrouted = prediction.route.through_proxy and required.route is Route.DIRECT
    return RouteForecast(
        client=name, version=version, prediction=prediction, arrives=arrives, why=why, misrouted=misrouted
    )


def _description(answer: ServerAnswer) -> str:
    return f"Ollama {answer.says} answers" if answer.kind is ServerKind.OLLAMA else f"{answer.place}: {answer.says}"


def _of_server(url: str, answers: tuple[ServerAnswer, ...], beside: tuple[ServerAnswer, ...]) -> Iterator[Remark]:
    first, host = _first(answers), urlsplit(url).hostname
    ollama = next((one for one in (*answers, *beside) if one.kind is ServerKind.OLLAMA), None)
    if not answers:
        yield Remark(code="no-such-host", text=f"{host} has no address here; check the name")
    elif first is None and ollama is None:
        places = ", ".join(one.place for one in answers)
        text = f"nothing listens at {places}; start Ollama (ollama serve), or give --host"
        yield Remark(code="not-running", text=text)
    elif first is None and ollama is not None:
        text = f"Ollama {ollama.says} listens on {ollama.place}, and this URL leads elsewhere; write that address"
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
        yield Remark(code="silent", text=f"{first.place} accepts connections and sends {first.says}")
    elif first is not None and first.status is not None and first.status >= 500:
        text = f"{first.place} itself answers {first.says}, and no proxy is in between: look at that program's log"
        yield Remark(code="server-error", text=text)
    elif first is not None:
        yield Remark(code="no-ollama", text=f"the program at {first.place} is not Ollama: {first.says}")


def _of_settings(settings: Settings, proxies: Mapping[str, ServerAnswer | None]) -> Iterator[Remark]:
    for proxy, answer in proxies.items():
        if answer is not None and not answer.accepts:
            text = f"nothing listens at the proxy {proxy}: its program is gone, and its setting is still there"
            yield Remark(code="dead-proxy", text=text)
    registry, mac = settings.registry or Registry(), settings.mac or Mac()
    texts = [*settings.variables.items(), ("ProxyServer", registry.server or "")]
    for name in (name for name, text in texts if name.lower() != "no_proxy" and name != "OLLAMA_HOST" and "@" in text):
        text = f"{name} holds a password in plain text, which every program of yours can read (it is hidden here)"
        yield Remark(code="credentials", text=text, bad=False)
    try:
        _client_url(settings.variable("OLLAMA_HOST"))
    except ValueError as error:
        text = f"OLLAMA_HOST is not an address for the Python library ({hidden(str(error))}): import ollama fails"
        yield Remark(code="bad-ollama-host", text=text)
    if (pac := registry.pac_url or mac.pac_url) is not None:
        text = (
            f"a proxy script is set ({hidden(pac)}): browsers run it; requests, httpx, ollama and urllib do not read it"
        )
        yield Remark(code="pac", text=text, bad=False)


def _of_clients(forecasts: tuple[RouteForecast, ...], required: RequiredRoute) -> Iterator[Remark]:
    proxied = [one.client for one in forecasts if one.prediction.route.through_proxy]
    if proxied and required.route is Route.DIRECT:
        text = f"{', '.join(proxied)} go to the proxy, although {required.because}"
        yield Remark(code="misrouted", text=text)
    elif proxied:
        text = f"{', '.join(proxied)} go to the proxy: {required.because}"
        yield Remark(code="proxied", text=text, bad=False)
    if unusable := [one.client for one in forecasts if one.prediction.route is Route.NOWHERE]:
        yield Remark(code="cannot-be-made", text=f"{', '.join(unusable)} cannot be used with these settings at all")
