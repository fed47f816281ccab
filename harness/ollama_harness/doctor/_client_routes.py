"""The route of each client as it was asked: what decided it, and whether it arrives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ollama_harness.clients import Client
from ollama_harness.doctor._server_check import ServerAnswer, ServerKind
from ollama_harness.doctor.asking import AskedRoute
from ollama_harness.network.named_proxies import named_proxies
from ollama_harness.network.required import RequiredRoute
from ollama_harness.network.route import THROUGH_PROXY, Route
from ollama_harness.network.settings import Settings, hidden

__all__ = ["ClientRoute", "client_route", "exit_code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRoute:
    """The route of a client, and whether it arrives (None: unknown, because it or the proxy could not be asked).

    `causes` are the settings that decided: without each of them the client took another route when it was asked again.
    `because` says the same in words, and `why` what happens at the end of the route. `rules` is how it finds its proxy.
    `misrouted`: it uses a proxy although the settings exclude this host.
    """

    client: str
    version: str
    asked: AskedRoute
    causes: tuple[str, ...]
    because: str
    rules: str
    arrives: bool | None
    why: str
    misrouted: bool = False

    @property
    def fate(self) -> str:
        """Where its request goes and what becomes of it, after the name of one client."""
        match self.asked.route:
            case None:
                return "could not be asked"
            case Route.NOWHERE:
                return f"cannot be used because of {self.causes[0]}" if self.causes else "cannot be used"
            case Route.DIRECT:
                return "goes direct" if self.arrives else f"goes direct ({self.why})"
            case _:
                return f"goes to the proxy {self.proxy}" + ("" if self.arrives is None else f" ({self.why})")

    @property
    def proxy(self) -> str | None:
        """The URL of the proxy that it uses, without its password."""
        return None if self.asked.proxy is None else hidden(self.asked.proxy.url)


def exit_code(routes: Sequence[ClientRoute]) -> int:
    """0: all clients arrive. 1: some do not, or not by the required route. 3: that is not known."""
    arrive = [one.arrives for one in routes]
    if False in arrive or any(one.misrouted and not one.arrives for one in routes):
        return 1
    return 3 if None in arrive or not arrive else 0


def client_route(
    client: Client,
    version: str,
    asked: AskedRoute,
    *,
    causes: Sequence[str],
    settings: Settings,
    required: RequiredRoute,
    server: ServerAnswer | None,
    proxies: Mapping[str, ServerAnswer | None],
) -> ClientRoute:
    arrives: bool | None = None
    proxy = "" if asked.proxy is None else hidden(asked.proxy.url)
    match asked.route:
        case None:
            why = "whether it arrives is not known"
        case Route.NOWHERE:
            arrives, why = False, "it raises before it connects to anything"
        case Route.DIRECT if asked.answered is not None:
            arrives = asked.answered
            why = "Ollama answers" if arrives else f"it raises {hidden(asked.problem)}"
        case Route.DIRECT:
            arrives = server is not None and server.kind is ServerKind.OLLAMA
            why = "nothing listens there" if server is None else _description(server)
        case _ if (answer := proxies.get(proxy)) is not None and answer.status == 407 and "***@" in proxy:
            why = "the proxy needs its password, which the doctor does not send"
        case _ if answer is not None and answer.kind is not ServerKind.OPEN:
            arrives, why = answer.kind is ServerKind.OLLAMA, _description(answer)
        case _ if required.route is Route.DIRECT:
            why = f"it uses the proxy, although {required.because}"
        case _:
            why = "it uses the proxy, which may forward it: try --through-proxy"
    return ClientRoute(
        client=client.name,
        version=version,
        asked=asked,
        causes=tuple(causes),
        because=_because(asked, causes, settings),
        rules=client.contract.proxy_rules,
        arrives=arrives,
        why=why,
        misrouted=asked.route in THROUGH_PROXY and required.route is Route.DIRECT,
    )


def _because(asked: AskedRoute, causes: Sequence[str], settings: Settings) -> str:
    match asked.route:
        case None:
            return f"it could not be asked: {asked.problem}"
        case Route.NOWHERE:
            return f"it raises {hidden(asked.problem)}" + (f", because of {causes[0]}" if causes else "")
        case Route.DIRECT if causes:
            return f"without {causes[0]} it would use the proxy"
        case Route.DIRECT:
            return "it uses none of the proxies that are set" if named_proxies(settings) else "no setting names a proxy"
        case _:
            assert asked.proxy is not None
            return f"{asked.proxy.setting} is {hidden(asked.proxy.url)}"


def _description(answer: ServerAnswer) -> str:
    match answer.kind:
        case ServerKind.OLLAMA:
            return f"Ollama {answer.says} answers"
        case ServerKind.OTHER:
            return f"{answer.place} answers {answer.says}"
        case ServerKind.REFUSED:
            return f"nothing listens at {answer.place}"
        case _:
            return f"{answer.place}: {answer.says}"
