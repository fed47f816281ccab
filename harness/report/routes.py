"""The routes: environment x client, one letter for each form of URL, and what each letter is worth."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from harness.environments import GROUPS, HOSTS
from harness.expectations import Assessment
from harness.routing.way import Way
from harness.verdict import Verdict

__all__ = ["LETTERS", "legend", "letters", "table"]

LETTERS = {
    Way.DIRECT: "D",
    Way.PROXIED: "P",
    Way.TUNNEL: "T",
    Way.TLS: "L",
    Way.SOCKS: "S",
    Way.NOWHERE: "-",
}


def table(assessments: Sequence[Assessment]) -> Table:
    """The grid of routes, environments in the order of their table."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("environment")
    columns = sorted({one.result.client for one in assessments})
    for name in columns:
        grid.add_column(name, justify="center")
    for title, environments in GROUPS.items():
        rows = [one.name for one in environments if any(one.name == each.result.scenario for each in assessments)]
        if rows:
            grid.add_row(Text(title.partition(":")[0].partition(",")[0].upper(), style="dim"))
        for name in rows:
            here = [one for one in assessments if one.result.scenario == name]
            grid.add_row(name, *(letters([one for one in here if one.result.client == client]) for client in columns))
    return grid


def letters(assessments: Sequence[Assessment]) -> Text:
    """A letter for each form of URL, in their order; `!` after what is not as expected."""
    text = Text()
    for one in sorted(assessments, key=lambda each: _order(each.result.host)):
        letter = "?" if one.result.way is None else LETTERS[Way(one.result.way)]
        text.append(letter, _style(one))
        if not one.met:
            text.append("!", "bold red")
    return text


def legend(assessments: Sequence[Assessment]) -> Text:
    """What the letters that occur mean."""
    seen = {one.result.way for one in assessments}
    meanings = [f"{LETTERS[way]} {_MEANINGS[way]}" for way in Way if str(way) in seen]
    if None in seen:
        meanings.append("? not tried here")
    return Text(f"\none letter each for {', '.join(HOSTS)}:  " + "   ".join(meanings), style="dim")


_MEANINGS = {
    Way.DIRECT: "direct",
    Way.PROXIED: "through the proxy",
    Way.TUNNEL: "CONNECT",
    Way.TLS: "TLS to the proxy",
    Way.SOCKS: "SOCKS",
    Way.NOWHERE: "raised before it connected",
}


def _order(host: str) -> int:
    return HOSTS.index(host) if host in HOSTS else len(HOSTS)


def _style(one: Assessment) -> str:
    if not one.met:
        return "bold red"
    if not one.result.gating:
        return "dim"
    return "green" if one.result.verdict is Verdict.PASS else "yellow"
