"""The table of scenarios, with one list for each group. Names, ids, docs and report rows come from it."""

from __future__ import annotations

from ollama_harness.errors import UnknownName
from ollama_harness.matrix.scenarios import (
    content,
    disconnects,
    ends,
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
from ollama_harness.matrix.scenarios.scenario import Requirement, Scenario, Source

__all__ = ["GROUPS", "SCENARIOS", "Requirement", "Scenario", "Source", "scenario"]

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
        framing,
        timing,
        sequences,
        presets,
        networks,
    )
}

#: All scenarios by name, in the same order.
SCENARIOS: dict[str, Scenario] = {one.name: one for group in GROUPS.values() for one in group}


def scenario(name: str) -> Scenario:
    """One scenario.

    Raises: UnknownName.
    """
    if name not in SCENARIOS:
        raise UnknownName("scenario", name, SCENARIOS)
    return SCENARIOS[name]
