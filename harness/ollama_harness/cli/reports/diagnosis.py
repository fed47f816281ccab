"""The doctor's diagnosis for a terminal: settings, server, routes of the clients, and fixes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ollama_harness.cli.reports.layout import Hanging
from ollama_harness.doctor.diagnosis import ClientRoute, Diagnosis, Fix
from ollama_harness.files.printable import one_line
from ollama_harness.network.route import Route
from ollama_harness.network.settings import System, hidden

__all__ = ["render", "to_json"]

#: How many characters of a setting are shown.
_LONGEST = 70

_SHELLS = {
    System.WINDOWS: ("cmd", "PowerShell", "Python", "URL"),
    System.POSIX: ("sh", "fish", "Python", "URL"),
    System.MACOS: ("sh", "fish", "Python", "URL"),
}

#: Where a setting can be kept, on each system.
_KEPT = {
    System.WINDOWS: ("Windows", "compose"),
    System.POSIX: ("~/.profile", "fish", "compose"),
    System.MACOS: ("~/.profile", "fish", "compose"),
}


def render(diagnosis: Diagnosis) -> RenderableType:
    """The whole diagnosis for people, with the verdict first."""
    parts: list[RenderableType] = [Hanging(_verdict(diagnosis)), Text("\nSETTINGS", style="dim"), *_settings(diagnosis)]
    parts += [Text("\nTHE SERVER", style="dim"), *_server(diagnosis)]
    parts += [Text("\nTHE ROUTE OF EACH CLIENT", style="dim"), *_clients(diagnosis)]
    parts += [Text("\nWHAT THAT MEANS", style="dim")]
    parts += [Hanging(_line(f"- {one.text}", style="yellow" if one.bad else "")) for one in diagnosis.findings]
    if diagnosis.fixes:
        parts += [Text("\nWHAT FIXES IT", style="dim")]
        parts += [_fix(one, diagnosis) for one in diagnosis.fixes]
    return Group(*parts)


def _verdict(diagnosis: Diagnosis) -> Text:
    style = {0: "bold green", 1: "bold red"}.get(diagnosis.exit_code, "bold yellow")
    return _line(f"{diagnosis.url}: ", style="bold").append(one_line(diagnosis.headline), style)


def _settings(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    settings = diagnosis.settings
    rows = [(name, value) for name, value in sorted(settings.variables.items())]
    if settings.registry is not None:
        registry = settings.registry
        rows += [
            (f"registry {name}", str(value))
            for name, value in (
                ("ProxyEnable", registry.enable),
                ("ProxyServer", registry.server),
                ("ProxyOverride", registry.override),
                ("AutoConfigURL", registry.pac_url),
            )
            if value is not None
        ]
    if settings.mac is not None:
        mac = settings.mac
        proxies = (("http", mac.http), ("https", mac.https), ("socks", mac.socks))
        rows += [(f"macOS {name} proxy", proxy) for name, proxy in proxies if proxy]
        rows += [("macOS exceptions", ", ".join(mac.exceptions))] if mac.exceptions else []
    if not rows:
        yield Text("no proxy variable, no system proxy, and OLLAMA_HOST is not set")
    for name, value in rows:
        yield Hanging(_line(f"{name} = {_cut(hidden(value))}"))
    if settings.variable("OLLAMA_HOST") is not None and diagnosis.by_ollama_host:
        yield Hanging(
            _line(f"so clients connect to {diagnosis.url}, and a server would listen on {diagnosis.server_listens_on}")
        )


def _cut(value: str) -> str:
    """A long list of hosts without its middle. --json has all of it."""
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 21]}…{value[-20:]}"


def _server(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    yield Hanging(_line(f"{diagnosis.url} is {', '.join(diagnosis.addresses) or 'no address'}, tried in this order"))
    for answer in (*diagnosis.answers, *diagnosis.beside):
        style = "green" if answer.kind == "ollama" else ""
        yield Hanging(_line(f"{answer.place}  {answer.kind}  {answer.says}", style=style), indent=2)


def _clients(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """The clients, grouped by route and reason. Of those that do not arrive, the rules are shown as well."""
    together: dict[tuple[str, ...], list[ClientRoute]] = {}
    for one in diagnosis.routes:
        together.setdefault((_route(one), one.because, one.why), []).append(one)
    for (route, because, why), several in together.items():
        style = {True: "green", False: "red", None: "yellow"}[several[0].arrives]
        names = ", ".join(f"{one.client} {one.version}".rstrip() for one in several)
        yield Hanging(Text.assemble((one_line(names), "bold"), ": ", (one_line(route), style)))
        yield _indented(_line(f"{because[0].upper()}{because[1:]}; {why}."))
        if sent := ", ".join(dict.fromkeys(one.asked.sent for one in several if one.asked.sent)):
            yield _indented(_line(f"It cannot be stopped before it connects, and sent {sent}.", style="dim"))
        if not several[0].arrives and several[0].asked.route is not Route.DIRECT:
            for rules in dict.fromkeys(one.rules for one in several if one.rules):
                yield _indented(_line(rules, style="dim"))


def _route(one: ClientRoute) -> str:
    match one.asked.route:
        case None:
            return "could not be asked"
        case Route.DIRECT:
            return "direct"
        case Route.NOWHERE:
            return "cannot be used"
        case _:
            return f"to {one.proxy}"


def _fix(fix: Fix, diagnosis: Diagnosis) -> RenderableType:
    wanted, change = _SHELLS[diagnosis.settings.system], fix.change
    clients = {one.client for one in diagnosis.routes}
    helped = "all clients" if clients == set(fix.helps) else ", ".join(fix.helps)
    lines = [
        Text.assemble(f"    {'' if number else shell:<12}", (one_line(each), "bold"), no_wrap=True, overflow="ignore")
        for shell, line in fix.lines.items()
        if shell in wanted
        for number, each in enumerate(line.split("\n"))
    ]
    return Group(
        Hanging(Text.assemble("- ", (one_line(change.title), "bold"), f": then {helped} go direct")),
        *lines,
        *(_kept(shell, line) for shell, line in change.lasting.items() if shell in _KEPT[diagnosis.settings.system]),
        _indented(_line(f"What else it changes: {change.also}.", style="dim")),
    )


def _kept(place: str, line: str) -> Text:
    """A line for later programs, too. Nobody can try it here."""
    heading = (f"    to keep it (untried), {place}: ", "dim")
    return Text.assemble(heading, one_line(line), no_wrap=True, overflow="ignore")


def _line(text: str, style: str = "") -> Text:
    return Text(one_line(text), style=style)


def _indented(text: Text) -> Hanging:
    return Hanging(text, indent=4, by=0)


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis for tools."""
    return {
        "schema": "ollama-harness doctor",
        "version": 1,
        "url": diagnosis.url,
        "headline": diagnosis.headline,
        "exit_code": diagnosis.exit_code,
        "settings": {
            **{name: hidden(value) for name, value in sorted(diagnosis.settings.variables.items())},
            "system": diagnosis.settings.system,
            "registry": _hidden(diagnosis.settings.to_json()["registry"]),
            "mac": _hidden(diagnosis.settings.to_json()["mac"]),
        },
        "ollama_host": {"clients": diagnosis.url, "server": diagnosis.server_listens_on},
        "answers": [_answer(one) for one in (*diagnosis.answers, *diagnosis.beside)],
        "required": {"route": diagnosis.required.route, "because": diagnosis.required.because},
        "clients": [
            {
                "client": one.client,
                "version": one.version,
                "route": one.asked.route,
                "proxy": one.proxy,
                "setting": one.asked.proxy and one.asked.proxy.setting,
                "because": one.because,
                "sent": one.asked.sent or None,
                "arrives": one.arrives,
                "why": one.why,
            }
            for one in diagnosis.routes
        ],
        "findings": [{"code": one.code, "bad": one.bad, "text": one.text} for one in diagnosis.findings],
        "fixes": [
            {
                "title": one.change.title,
                "lines": one.lines,
                "lasting": dict(one.change.lasting),
                "helps": list(one.helps),
                "changes": one.change.also,
            }
            for one in diagnosis.fixes
        ],
    }


def _answer(answer: Any) -> dict[str, Any]:
    return {"place": answer.place, "kind": answer.kind, "says": answer.says, "status": answer.status}


def _hidden(values: dict[str, Any] | None) -> dict[str, Any] | None:
    return values and {name: hidden(value) if isinstance(value, str) else value for name, value in values.items()}
