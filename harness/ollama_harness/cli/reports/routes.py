"""The grid of routes: environments and clients, with one letter for each form of the URL."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from ollama_harness.cli.reports.layout import Flow, Grid
from ollama_harness.matrix.expectations import Assessment
from ollama_harness.network.environments import GROUPS, HOSTS
from ollama_harness.network.route import Route
from ollama_harness.oracle.verdict import Verdict

__all__ = ["LETTERS", "legend", "letters", "table"]

LETTERS = {
    Route.DIRECT: "D",
    Route.PROXIED: "P",
    Route.TUNNEL: "T",
    Route.TLS: "L",
    Route.SOCKS: "S",
    Route.NOWHERE: "-",
}


def table(assessments: Sequence[Assessment]) -> Grid:
    """The grid of routes. Environments have the order of their table."""
    columns = sorted({one.result.client for one in assessments})
    grid = Grid("environment", columns)
    for title, environments in GROUPS.items():
        rows = [one.name for one in environments if any(one.name == each.result.scenario for each in assessments)]
        if rows:
            grid.title(title.partition(":")[0].partition(",")[0].upper())
        for name in rows:
            here = [one for one in assessments if one.result.scenario == name]
            grid.row(name, [letters([one for one in here if one.result.client == client]) for client in columns])
    return grid


def letters(assessments: Sequence[Assessment]) -> Text:
    """A letter for each form of the URL, in their order, with `!` after those that are not as expected."""
    text = Text()
    for one in sorted(assessments, key=lambda each: _order(each.result.host)):
        letter = "?" if one.result.route is None else LETTERS[Route(one.result.route)]
        text.append(letter, _style(one))
        if not one.met:
            text.append("!", "bold red")
    return text


def legend(assessments: Sequence[Assessment]) -> Flow:
    """The meanings of the letters that occur."""
    seen = {one.result.route for one in assessments}
    meanings = [f"one letter each for {', '.join(HOSTS)}:"]
    meanings += [f"{LETTERS[route]} {_MEANINGS[route]}" for route in Route if str(route) in seen]
    if None in seen:
        meanings.append("? not tried here")
    return Flow(Text(one, style="dim") for one in meanings)


_MEANINGS = {
    Route.DIRECT: "direct",
    Route.PROXIED: "through the proxy",
    Route.TUNNEL: "CONNECT",
    Route.TLS: "TLS to the proxy",
    Route.SOCKS: "SOCKS",
    Route.NOWHERE: "raised before it connected",
}


def _order(host: str) -> int:
    return HOSTS.index(host) if host in HOSTS else len(HOSTS)


def _style(one: Assessment) -> str:
    if not one.met:
        return "bold red"
    if not one.result.gating:
        return "dim"
    return "green" if one.result.verdict is Verdict.PASS else "yellow"
