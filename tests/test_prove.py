"""Scenarios are proven on the wire by a plain socket; and the proof fails when the server plays something else.

The first of each group is proven here; `ollama-harness prove` proves all of them in CI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import pytest

from ollama_harness.clients import client
from ollama_harness.faults import FAULTS, Fault, after_record, close_at, delay_first_byte
from ollama_harness.matrix.cells import Cell, PlannedScenario
from ollama_harness.matrix.scenarios import GROUPS, Scenario, twin_of
from ollama_harness.matrix.wire_proof import prove
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

LIBRARY = packaged_store()
PERFECT = client("canary-perfect")
T = TypeVar("T")


#: What lasts longer is played so much faster that it lasts only so long: it is the same but for its times.
LONGEST_S = 1.0


def cell(scenario: Scenario) -> Cell:
    name = scenario.names_in(LIBRARY, LIBRARY.newest)[0]
    planned = PlannedScenario.of(scenario, LIBRARY.get(f"{LIBRARY.newest}/{name}"))
    speed = max(1.0, *(script.ending.at_s / LONGEST_S for script in (planned.plain, *planned.scripts)))
    faster = tuple(script.at_speed(speed) for script in planned.scripts)
    return Cell(PERFECT, replace(planned, plain=planned.plain.at_speed(speed), scripts=faster))


def with_faults(id_: str, *faults: Fault) -> Cell:
    scenario = Scenario(name=str(faults), summary="", recordings=(), faults=faults)
    return Cell(PERFECT, PlannedScenario.of(scenario, LIBRARY.get(id_)))


def wrong(check: Callable[[T], str], things: Iterable[T]) -> list[str]:
    """What is wrong with any of them; many at once, for a proof mostly waits."""
    with ThreadPoolExecutor(8) as pool:
        return list(filter(None, pool.map(check, things)))


def not_proven(one: Cell) -> str:
    problems = [proof.problem for proof in prove(one) if proof.problem]
    return f"{one.id}: {problems}" if problems else ""


def proven_by_mistake(one: Cell) -> str:
    """The server plays what the plain script sends: each exchange that a fault changes must fail."""
    planned = one.scripts
    proofs = prove(one, played=[one.plain] * len(planned), patience_s=0.2)
    failed = [bool(proof.problem) for proof in proofs]
    return "" if failed == [script != one.plain for script in planned] else f"{one.id}: {failed}"


def test_the_wire_shows_what_the_script_says() -> None:
    first = [group[0] for group in GROUPS.values()]
    twins = filter(None, (twin_of(one.name) for one in first))
    assert wrong(not_proven, map(cell, [*first, *twins])) == []


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_the_proof_fails_when_the_server_plays_what_the_plain_script_sends(group: Sequence[Scenario]) -> None:
    assert wrong(proven_by_mistake, [cell(one) for one in group if one.faults or any(one.then)]) == []


@pytest.mark.parametrize("version", ["0.5.7", LIBRARY.newest])
def test_every_recording_comes_back_byte_for_byte(version: str) -> None:
    names = LIBRARY.names(version, ["*"])
    assert wrong(not_proven, [with_faults(f"{version}/{name}") for name in names]) == []


def test_every_fault_strikes_on_the_wire() -> None:
    faults = [(kind.plays or "chat-stream", kind.make(*kind.example)) for kind in FAULTS.values()]
    assert wrong(not_proven, [with_faults(f"{LIBRARY.newest}/{name}", fault) for name, fault in faults]) == []


def test_faults_compose_on_the_wire() -> None:
    one = with_faults(f"{LIBRARY.newest}/chat-stream", delay_first_byte(0.05), close_at(after_record(2)))
    assert not_proven(one) == ""
