"""docs/proxies-other-clients.md: the measured route of the clients that docs/proxies.md does not have.

ollama-harness run --environments --all-clients --out DIR
python -m pages proxies-other-clients --routes DIR

The page is compared only with results of the same clients in the same versions.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ollama_harness.cli.reports.routes import LETTERS
from ollama_harness.clients import Client
from ollama_harness.clients.installed import of_packages
from ollama_harness.matrix.results import Results
from ollama_harness.network.environments import ENVIRONMENTS, HOSTS, Environment
from pages.page import NotComparable, Page, Sources, table
from pages.proxies_page import CLIENTS, IN_WORDS, escaped, required_letters, routes_taken, settings_of, system_of

__all__ = ["page"]

_RUN = "ollama-harness run --environments --all-clients --out DIR"

_HEAD = """\
# Proxies: which route other clients take to an Ollama on this machine

[proxies.md](proxies.md) has the error messages and what to set, and the routes of httpx, ollama, requests and urllib.
This page has those of all other clients. It is made from a run of all clients in all environments with {made_with}.

A letter for each of {hosts}: {letters}. `.` under *must* means that no document decides, and `!` marks a known issue.
"""

_OWN = """\
## Clients that read settings by code of their own

Each ran in a process of its own that started with these variables. What only a process in Python can be given (the
Windows registry, macOS, names of hosts) is left out; there the cell of a program is empty.
"""

_FEW = """\
## All others

They read their settings by the code of another client, or read none. So they are asked in a few environments only,
which prove that. An empty cell is an environment of another runtime.
"""


def page(results: Results) -> str:
    """The whole page, in Markdown."""
    others = [one for one in _others() if one.name in results.header.clients]
    own = [one for one in others if _reads_by_itself(one)]
    few = [one for one in others if one not in own]
    shown = [replace(one, system=one.system or system_of(results.header)) for one in ENVIRONMENTS.values()]
    letters = ", ".join(f"{letter} {IN_WORDS[route]}" for route, letter in LETTERS.items())
    head = _HEAD.format(made_with=_made_with(results), hosts=", ".join(HOSTS), letters=letters)
    wrapped = "\n\n".join(_filled(part) for part in head.rstrip("\n").split("\n\n"))
    rules = (one.contract.proxy_rules for one in others if one.contract.proxy_rules)
    parts = [
        wrapped,
        "",
        "## In words\n",
        *(f"{_filled(escaped(text))}\n" for text in rules),
        _OWN,
        *_by_environment(own, shown, results),
        _FEW,
        *_by_client(few, shown, results),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _filled(part: str) -> str:
    return part if part.startswith("#") else textwrap.fill(part, 120, break_long_words=False, break_on_hyphens=False)


def _others() -> list[Client]:
    """The clients that docs/proxies.md does not have, without those that differ from another only by asyncio."""
    found = {one.name: one for one in of_packages() if one.name.removesuffix("-async") not in CLIENTS}
    return [
        one for name, one in found.items() if not (name.endswith("-async") and name.removesuffix("-async") in found)
    ]


def _names() -> set[str]:
    return {one.name for one in _others()}


def _reads_by_itself(one: Client) -> bool:
    """Whether a client is tried in more environments than those that every client is tried in."""
    return not one.contract.reads_through and one.contract.reads_any(["HTTP_PROXY"])


def _made_with(results: Results) -> str:
    versions = [f"{name} {version}" for name, version in results.header.clients.items() if name in _names()]
    return f"{', '.join(versions)} on {results.header.os.partition(' ')[0]}"


def _by_environment(own: Sequence[Client], shown: Sequence[Environment], results: Results) -> Iterator[str]:
    rows = ((one, [_tried(routes_taken(one, client.name, results)) for client in own]) for one in shown)
    yield from table(
        ("environment", "settings", "must", *(client.name for client in own)),
        ((f"`{one.name}`", settings_of(one), required_letters(one), *taken) for one, taken in rows if any(taken)),
    )


def _tried(letters: str) -> str:
    """The letters of a client, without those that mean that it cannot be asked."""
    return letters if letters.strip("?") else ""


def _by_client(few: Sequence[Client], shown: Sequence[Environment], results: Results) -> Iterator[str]:
    asked = [one for one in shown if one.for_all or one.switch]
    yield from table(
        ("", "reads", *(f"`{one.name}`" for one in asked)),
        ((one.name, _reads(one), *(routes_taken(each, one.name, results) for each in asked)) for one in few),
    )
    yield from table(("environment", "settings"), ((f"`{one.name}`", settings_of(one)) for one in asked))


def _reads(one: Client) -> str:
    contract = one.contract
    return (
        f"as {contract.reads_through}"
        if contract.reads_through
        else ", ".join(sorted(contract.variables or ())) or "none"
    )


def _made(sources: Sources) -> str:
    if sources.routes is None:
        raise NotComparable(f"give the results of all clients: {_RUN}, and --routes DIR")
    results = Results.load(sources.routes)
    if absent := sorted(_names() - results.header.clients.keys()):
        raise NotComparable(f"these results have no {', '.join(absent)}; run: {_RUN}")
    text = page(results)
    if sources.checking and _made_with(results) not in " ".join(sources.there.split()):
        raise NotComparable(f"the page was not made with {_made_with(results)}")
    return text


PAGE = Page(name="proxies-other-clients", make=_made)
