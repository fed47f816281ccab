"""docs/faults.md: the catalogue of faults, places and scenarios, made from their tables.

python -m pages faults
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ollama_harness.faults import FAULTS, INTERMEDIARIES, PLACES, FaultKind
from ollama_harness.matrix.scenarios import GROUPS, SCENARIOS, Scenario, why_no_twin
from pages.page import Page, table

__all__ = ["catalogue"]

_INTRODUCTION = """\
# Faults

This page lists how a stream can go wrong here: {faults} faults, {places} places, {scenarios} scenarios, of which
{twins} have a twin over /v1. It is made from the tables in `ollama_harness/faults/` and
`ollama_harness/matrix/scenarios/`, and a test keeps it current. Network settings are not faults: see
[proxies.md](proxies.md).

A **fault** is what happens; a **place** is where. They are written as calls, in Python and on the command line:

```python
from ollama_harness import FakeOllama
from ollama_harness.faults import after_record, delay_first_byte, reset_at

with FakeOllama() as server:
    server.play("chat-stream", delay_first_byte(0.5), reset_at(after_record(3)))
```

```sh
ollama-harness serve --fault "delay_first_byte(0.5)" --fault "reset_at(after_record(3))"
ollama-harness run --scenario reset-after-record     # how each client handles a scenario
ollama-harness prove --scenario reset-after-record   # what a plain socket sees, on this machine
```

Faults compose: they are applied one after the other. A fault that does not apply, or that would change nothing,
raises `FaultDoesNotApply`; it never silently does nothing. Times are in seconds, sizes in bytes. Records count from 1
(from the end: -1). Random faults have a seed. Change the content of a stream first, then its framing, then its end.

`replace_with` sends one of these answers: {answers}.
"""


def catalogue() -> str:
    """The whole page, in Markdown."""
    answers = ", ".join(f"`{name}`" for name in INTERMEDIARIES)
    scenarios = sum(one.environment is None and not one.twin_of for one in SCENARIOS.values())
    twins = sum(bool(one.twin_of) for one in SCENARIOS.values())
    head = _INTRODUCTION.format(
        faults=len(FAULTS), places=len(PLACES), scenarios=scenarios, twins=twins, answers=answers
    )
    return "\n".join([head, *_faults(), *_scenarios()])


def _faults() -> Iterator[str]:
    kinds: list[FaultKind[Any]] = [*PLACES.values(), *FAULTS.values()]
    for group, members in groupby(kinds, key=lambda kind: kind.group):
        title = "Places" if group == "places" else f"Faults: {group}"
        yield f"## {title}\n"
        yield from table(
            ("call", "what it does"), ((f"`{kind.name}({kind.parameters})`", kind.summary) for kind in members)
        )


def _scenarios() -> Iterator[str]:
    yield "## Scenarios\n"
    yield (
        "*Asks* is the requirement of a scenario, and its layer. An HTTP library must meet the requirements of HTTP, "
        "an Ollama\nclient those of Ollama as well. OBSERVE is shown and never gates. A `;` separates the exchanges "
        "of a sequence.\n\n"
        "A scenario that plays a stream of Ollama's own API has a *twin* `NAME-v1`, which does the same to the event "
        "streams of\n/v1/chat/completions, /v1/messages and /v1/responses. Its records and chunks are three later, "
        "because the text begins\nlater there. `list scenarios --json` and `show` say more. *v1* has a ✓ for a twin, "
        "or says why there is none.\n"
    )
    for title, scenarios in GROUPS.items():
        if any(one.environment is not None for one in scenarios):
            continue  # environments have their own page
        yield f"### {title}\n"
        rows = (
            (
                one.name,
                one.summary,
                _written(one),
                f"{one.requirement} {one.layer}",
                _source(one),
                why_no_twin(one) or "✓",
            )
            for one in scenarios
        )
        yield from table(("scenario", "what is played", "faults", "asks", "source", "v1"), rows)


def _written(one: Scenario) -> str:
    exchanges = [", ".join(f"`{fault}`" for fault in faults) or "none" for faults in (one.faults, *one.then)]
    return "; ".join(exchanges) if one.then or one.faults else ""


def _source(one: Scenario) -> str:
    return "" if one.source is None else f"[{one.source.says.rstrip('.')}]({one.source.url})"


PAGE = Page(name="faults", make=lambda _: catalogue())
