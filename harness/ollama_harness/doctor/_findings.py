"""What the answers, the settings and the routes mean, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ollama_harness.doctor._client_routes import ClientRoute
from ollama_harness.doctor._exclusions import meant_for
from ollama_harness.doctor._server_check import ServerAnswer, ServerKind
from ollama_harness.doctor._written_host import readings, written_host
from ollama_harness.network.required import RequiredRoute
from ollama_harness.network.route import THROUGH_PROXY, Route
from ollama_harness.network.settings import Mac, Registry, Settings, hidden

__all__ = ["Remark", "first", "of_clients", "of_no_proxy", "of_server", "of_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One remark. `code` is for tools, `text` for people. `bad` means that it keeps a client from the server."""

    code: str
    text: str
    bad: bool = True


def first(answers: tuple[ServerAnswer, ...]) -> ServerAnswer | None:
    """The answer that a client gets: that of the first address where a program listens."""
    return next((one for one in answers if one.accepts), None)


def of_server(url: str, answers: tuple[ServerAnswer, ...], beside: tuple[ServerAnswer, ...]) -> Iterator[Remark]:
    top, host = first(answers), urlsplit(url).hostname
    ollama = next((one for one in (*answers, *beside) if one.kind is ServerKind.OLLAMA), None)
    if not answers:
        yield Remark(code="no-such-host", text=f"{host} has no address here; check the name")
    elif top is None and ollama is None:
        places = ", ".join(one.place for one in answers)
        text = f"nothing listens at {places}; start Ollama (ollama serve), or give --host"
        yield Remark(code="not-running", text=text)
    elif top is None and ollama is not None:
        text = f"Ollama {ollama.says} listens on {ollama.place}, and this URL leads elsewhere; write that address"
        yield Remark(code="bound-elsewhere", text=text)
    elif top is not None and top.kind is ServerKind.OLLAMA:
        yield Remark(code="answers", text=f"Ollama {top.says} answers at {top.place}", bad=False)
    elif top is not None and ollama is not None:
        text = (
            f"{host} is {top.place} first, where another program answers ({top.says}); Ollama {ollama.says} "
            f"is at {ollama.place}: write that address into the URL"
        )
        yield Remark(code="other-program", text=text)
    elif top is not None and top.kind is ServerKind.SILENT:
        yield Remark(code="silent", text=f"{top.place} accepts connections and sends {top.says}")
    elif top is not None and top.status is not None and top.status >= 500:
        text = f"{top.place} itself answers {top.says}, and no proxy is in between: look at that program's log"
        yield Remark(code="server-error", text=text)
    elif top is not None:
        yield Remark(code="no-ollama", text=f"the program at {top.place} is not Ollama: {top.says}")


def of_settings(settings: Settings, proxies: Mapping[str, ServerAnswer | None]) -> Iterator[Remark]:
    for proxy, answer in proxies.items():
        if answer is not None and not answer.accepts:
            text = f"nothing listens at the proxy {proxy}: its program is gone, and its setting is still there"
            yield Remark(code="dead-proxy", text=text)
    registry, mac = settings.registry or Registry(), settings.mac or Mac()
    texts = [*settings.variables.items(), ("ProxyServer", registry.server or "")]
    for name in (name for name, text in texts if name.lower() != "no_proxy" and name != "OLLAMA_HOST" and "@" in text):
        text = f"{name} holds a password in plain text, which every program of yours can read (it is hidden here)"
        yield Remark(code="credentials", text=text, bad=False)
    yield from _of_ollama_host(settings.variable("OLLAMA_HOST"))
    if (pac := registry.pac_url or mac.pac_url) is not None:
        text = (
            f"a proxy script is set ({hidden(pac)}): browsers run it; requests, httpx, ollama and urllib do not read it"
        )
        yield Remark(code="pac", text=text, bad=False)


def _of_ollama_host(value: str | None) -> Iterator[Remark]:
    """What programs read differently in OLLAMA_HOST, how each reads it, and the line that all read alike."""
    written = written_host(value)
    for problem in written.problems:
        yield Remark(code=f"ollama-host-{problem.code}", text=f"OLLAMA_HOST: {problem.text}", bad=False)
    if written.problems:
        read = "; ".join(f"{program}: {reading}" for program, reading in readings(hidden(value or "")).items())
        yield Remark(code="ollama-host-readings", text=f"how programs read this OLLAMA_HOST: {read}", bad=False)
        line = f"OLLAMA_HOST={written.url} is read alike by all clients"
        server = f", and OLLAMA_HOST={written.listen} is for ollama serve alone" if written.everywhere else ""
        yield Remark(code="ollama-host-line", text=line + server, bad=False)


def of_clients(routes: tuple[ClientRoute, ...], required: RequiredRoute) -> Iterator[Remark]:
    proxied = [one.client for one in routes if one.asked.route in THROUGH_PROXY]
    lost = any(one.arrives is False for one in routes if one.asked.route in THROUGH_PROXY)
    if proxied and required.route is Route.DIRECT:
        text = f"{', '.join(proxied)} go to the proxy, although {required.because}"
        yield Remark(code="misrouted", text=text)
    elif proxied:
        text = f"{', '.join(proxied)} go to the proxy: {required.because}"
        yield Remark(code="proxied", text=text, bad=lost)
    for one in (each for each in routes if each.asked.answered is False):
        yield Remark(code="client-raises", text=f"{one.client} goes direct and raises {hidden(one.asked.problem)}")
    if unusable := [one.client for one in routes if one.asked.route is Route.NOWHERE]:
        if any("OLLAMA_HOST" in one.causes for one in routes):
            text = f"OLLAMA_HOST is not an address for {', '.join(unusable)}: importing fails"
            yield Remark(code="bad-ollama-host", text=text)
        yield Remark(code="cannot-be-made", text=f"{', '.join(unusable)} cannot be used with these settings at all")


def of_no_proxy(settings: Settings, url: str, routes: tuple[ClientRoute, ...]) -> Iterator[Remark]:
    """Entries that were meant to keep clients from the proxy, to which they go all the same."""
    if proxied := ", ".join(one.client for one in routes if one.asked.route in THROUGH_PROXY):
        for one in meant_for(settings, url):
            text = f"{one.variable} holds {hidden(one.entry)}, but not for {proxied}: {one.why}"
            yield Remark(code="unread-no-proxy", text=text)
