"""Every scenario is proven on the wire by a plain socket; and the proof fails when the server plays something else."""

from __future__ import annotations

import pytest

from harness.clients import client
from harness.library import Library
from harness.matrix import Cell
from harness.prove import prove
from harness.scenarios import SCENARIOS, Scenario

LIBRARY = Library()
BROKEN = [one for one in SCENARIOS.values() if one.faults or any(one.then)]


def cell(scenario: Scenario) -> Cell:
    name = LIBRARY.names(LIBRARY.newest, scenario.recordings)[0]
    return Cell(client("canary-perfect"), scenario, LIBRARY.get(f"{LIBRARY.newest}/{name}"))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda one: one.name)
def test_the_wire_shows_what_the_script_says(scenario: Scenario) -> None:
    proofs = prove(cell(scenario))
    assert [proof.problem for proof in proofs] == [""] * (1 + len(scenario.then))


@pytest.mark.parametrize("scenario", BROKEN, ids=lambda one: one.name)
def test_the_proof_fails_when_the_server_plays_what_the_plain_script_sends(scenario: Scenario) -> None:
    one = cell(scenario)
    planned = one.scripts()
    proofs = prove(one, played=[one.plain()] * len(planned), patience_s=0.2)
    assert [bool(proof.problem) for proof in proofs] == [script != one.plain() for script in planned]
