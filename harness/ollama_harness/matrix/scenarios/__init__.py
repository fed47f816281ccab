"""The table of scenarios, with one list for each group. Names, ids, docs and report rows come from it.

A scenario of a group that plays a native stream has a twin over /v1. Twins are in no group: in lists and reports they
are a mark at the other.
"""

from __future__ import annotations

from ollama_harness.errors import UnknownName
from ollama_harness.matrix.scenarios import (
    content,
    disconnects,
    ends,
    events,
    framing,
    head,
    networks,
    picky,
    presets,
    rare_forms,
    recorded,
    sequences,
    timing,
)
from ollama_harness.matrix.scenarios._twins import twin, why_no_twin
from ollama_harness.matrix.scenarios.scenario import Requirement, Scenario, Source

__all__ = ["GROUPS", "SCENARIOS", "Requirement", "Scenario", "Source", "scenario", "twin_of", "why_no_twin"]

#: The groups by title, in the order of the reports.
GROUPS: dict[str, list[Scenario]] = {
    module.TITLE: module.SCENARIOS
    for module in (
        recorded,
        disconnects,
        head,
        picky,
        ends,
        content,
        rare_forms,
        events,
        framing,
        timing,
        sequences,
        presets,
        networks,
    )
}

#: All scenarios by name, in the same order, each twin after the scenario whose twin it is.
SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for group in GROUPS.values()
    for one in group
    for each in ((one,) if why_no_twin(one) else (one, twin(one)))
}


def scenario(name: str) -> Scenario:
    """One scenario.

    Raises: UnknownName.
    """
    if name not in SCENARIOS:
        raise UnknownName("scenario", name, SCENARIOS)
    return SCENARIOS[name]


def twin_of(name: str) -> Scenario | None:
    """The twin of a scenario; None if it has none."""
    return SCENARIOS.get(f"{name}-v1")
