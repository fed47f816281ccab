"""docs/proxies.md: what an error message means, what to set, and the measured route of each client.

python -m pages proxies                  runs all environments for it
python -m pages proxies --routes DIR     uses the results of `ollama-harness run --environments --out DIR`

Python before 3.11.9 and 3.12.3 reads some lists differently. So a page is compared only with results of the same
system, minor version and side of that change. Another version of a library is compared: if it takes another route,
that must show.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ollama_harness.cli.reports.routes import LETTERS
from ollama_harness.clients import client
from ollama_harness.errors import ResultsError
from ollama_harness.matrix.cells import plan
from ollama_harness.matrix.results import Result, Results, ResultsHeader
from ollama_harness.matrix.run import run_cells
from ollama_harness.network.environments import GROUPS, HOSTS, Environment
from ollama_harness.network.required import required
from ollama_harness.network.route import Route
from ollama_harness.network.settings import System
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import RecordingStore
from pages.page import NotComparable, Page, Sources, table
from pages.proxy_messages import HEAD, LIMITS, MESSAGES, TABLE, ProxyMessage

__all__ = [
    "CLIENTS",
    "IN_WORDS",
    "escaped",
    "made_with",
    "page",
    "required_letters",
    "routes_taken",
    "settings_of",
    "system_of",
]

_RUN = "ollama-harness run --environments --out DIR"
CLIENTS = ("httpx", "ollama", "requests", "urllib")


def page(results: Results) -> str:
    """The whole page, in Markdown."""
    cells = _routes(results)
    letters = ", ".join(f"{letter} {IN_WORDS[route]}" for route, letter in LETTERS.items())
    parts = [
        HEAD.format(made_with=made_with(results.header)),
        *(line for one in MESSAGES for line in _message(one, cells)),
        "## How each library decides\n",
        *(f"{textwrap.fill(escaped(client(name).contract.proxy_rules), 120)}\n" for name in CLIENTS),
        TABLE.format(hosts=", ".join(f"`{host}`" for host in HOSTS), letters=letters),
        *(line for title, group in GROUPS.items() if not group[0].switch for line in _group(title, group, results)),
        LIMITS,
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _routes(results: Results) -> list[Result]:
    """The cells of environments, without the canaries."""
    return [one for one in results.cells if one.host and one.client.removesuffix("-async") in CLIENTS]


IN_WORDS = {
    Route.DIRECT: "direct",
    Route.PROXIED: "to the proxy",
    Route.TUNNEL: "to the proxy with CONNECT",
    Route.TLS: "to the proxy with TLS",
    Route.SOCKS: "to the proxy with SOCKS",
    Route.NOWHERE: "raised before it connected",
}


def made_with(header: ResultsHeader) -> str:
    """The system, Python and libraries of a page, without details that make no difference."""
    libraries = ", ".join(f"{name} {header.clients[name]}" for name in CLIENTS[:3] if name in header.clients)
    numbers = _version(header.python)
    change = "before" if _resolves(numbers) else "from"
    side = f" ({change} 3.{numbers[1]}.{ {11: 9, 12: 3}[numbers[1]] })" if numbers[1] in (11, 12) else ""
    return f"{header.os.partition(' ')[0]} with Python {numbers[0]}.{numbers[1]}{side}, {libraries}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _resolves(numbers: tuple[int, ...]) -> bool:
    """Whether this Python resolves names for the system's lists."""
    return numbers < (3, 11, 9) or (3, 12) <= numbers < (3, 12, 3)


def _message(one: ProxyMessage, cells: Sequence[Result]) -> Iterator[str]:
    found = [
        each for each in cells if each.raised and re.search(one.pattern, f"{each.raised}: {each.message}", re.DOTALL)
    ]
    clients = sorted({each.client.removesuffix("-async") for each in found})
    where = list(dict.fromkeys(name for name in _names() if any(each.scenario == name for each in found)))
    means = textwrap.fill(one.means, 120, break_long_words=False, break_on_hyphens=False)
    yield f"### {one.title}\n\n{means}\n\n```text\n{one.fix}```\n"
    shown = ", ".join(f"`{name}`" for name in where[:6]) + (f" and {len(where) - 6} more" if len(where) > 6 else "")
    yield f"Measured with {', '.join(clients)}: {shown}.\n" if found else "Not measured in this run.\n"


def _names() -> Iterator[str]:
    return (one.name for group in GROUPS.values() for one in group if not one.switch)


def _group(title: str, group: Sequence[Environment], results: Results) -> Iterator[str]:
    heading, _, rest = re.sub(r"[;,] https?://.*", "", title).partition(": ")
    yield f"### {heading.rstrip('.')}\n"
    if rest:
        yield f"{rest[0].upper()}{rest[1:]}\n"
    yield from table(
        ("environment", "settings", "must", *CLIENTS),
        (
            (
                f"`{one.name}`",
                settings_of(one),
                required_letters(one),
                *(routes_taken(one, client, results) for client in CLIENTS),
            )
            for one in (replace(each, system=each.system or system_of(results.header)) for each in group)
        ),
    )


def settings_of(one: Environment) -> str:
    """An environment in words, and as a user would type it."""
    settings = one.settings()
    written = [f"{name}={value}" for name, value in settings.variables.items()]
    if (registry := settings.registry) is not None:
        override = registry.override and _shortened(registry.override)
        values = {"ProxyEnable": registry.enable, "ProxyServer": registry.server, "ProxyOverride": override}
        values |= {"AutoConfigURL": registry.pac_url}
        written += [f"{name}={value}" for name, value in values.items() if value is not None]
    if (mac := settings.mac) is not None:
        values = {"HTTP": mac.http, "HTTPS": mac.https, "SOCKS": mac.socks, "exceptions": ", ".join(mac.exceptions)}
        written += [f"{name} {value}" for name, value in values.items() if value]
        written += ["exclude simple host names"] if mac.exclude_simple else []
    written += [f"later {name}={value.replace('{proxy}', '127.0.0.1:7890')}" for name, value in one.later.items()]
    written += [] if one.trust_env else ["trust_env=False"]
    return " ".join([escaped(one.summary), *(f"<br>`{text}`" for text in written)])


def escaped(text: str) -> str:
    """A text in which Markdown finds no mark-up."""
    return re.sub(r"([*<])", r"\\\1", text)


def _shortened(entries: str) -> str:
    """A list of exclusions without its many private networks."""
    return re.sub(r"(;(10|172|192\.168)[\d.]*\*){3,}", ";…", entries)


def required_letters(one: Environment) -> str:
    if one.disputed:
        return "." * len(one.hosts)
    routes = (required(one.settings(), one.url(host) or "http://127.0.0.1:11434").route for host in one.hosts)
    return "".join("." if route is None else LETTERS[route] for route in routes)


def routes_taken(one: Environment, client: str, results: Results) -> str:
    """The letters of a library's two clients, once if they are the same."""
    halves = (_letters(one, name, results) for name in (client, f"{client}-async"))
    return " / ".join(dict.fromkeys(filter(None, halves)))


def _letters(one: Environment, client: str, results: Results) -> str:
    found = {each.host: each for each in results.cells if (each.client, each.scenario) == (client, one.name)}
    return "".join(_letter(found[host]) for host in one.hosts if host in found)


def _letter(one: Result) -> str:
    missed = one.gating and one.verdict in (Verdict.MISROUTED, Verdict.CRASH)
    return ("?" if one.route is None else LETTERS[Route(one.route)]) + "!" * missed


def system_of(header: ResultsHeader) -> System:
    return {"Windows": System.WINDOWS, "Darwin": System.MACOS}.get(header.os.partition(" ")[0], System.POSIX)


def _made(sources: Sources) -> str:
    results = Results.load(sources.routes) if sources.routes else _measured(sources.scratch)
    absent = set(_names()) - {one.scenario for one in results.cells}
    if absent:
        raise ResultsError(f"{sources.routes} has no {', '.join(sorted(absent))}; run again: {_RUN}")
    made, there = made_with(results.header), sources.there
    if sources.checking and there:
        system = re.escape(made.partition(", ")[0])
        if (written := re.search(rf"^{system}, .*(?=\.$)", there, re.MULTILINE)) is None:
            raise NotComparable(f"the page was not made on {made}, as these results were")
        there = written[0]
    if sources.checking and any(one.verdict is Verdict.UNSUPPORTED for one in _routes(results)):
        raise NotComparable("some environments cannot be made on this machine")
    return page(results).replace(made, there) if sources.checking and there else page(results)


def _measured(out: Path) -> Results:
    return run_cells(plan(RecordingStore(), environments=True), out)


PAGE = Page(name="proxies", make=_made)
