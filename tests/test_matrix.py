"""The matrix as a test suite: every client in the scenarios of `ollama-harness run`, through the same runner.

`pytest tests/test_matrix.py --matrix` plays all scenarios, each on its first recording, with every client that is
installed. Without the option each real client is in the first scenario of each kind, and that says whether the suite
works: the command plays all of them in CI, and canaries are in tests/test_runner.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from ollama_harness.matrix import known_issues
from ollama_harness.matrix.cells import Cell, plan
from ollama_harness.matrix.expectations import expected_verdicts
from ollama_harness.matrix.results import Result, Results, Writer
from ollama_harness.matrix.run import result
from ollama_harness.matrix.runner import Runner
from ollama_harness.matrix.scenarios import SCENARIOS, Requirement, Scenario
from ollama_harness.oracle.reference import Layer
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import packaged_store

STORE = packaged_store()
ISSUES = known_issues.load_all()


class KnownVerdict(Exception):
    """The cell shows exactly a verdict that known_issues.toml expects. Nothing else counts as an xfail."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        whole = metafunc.config.getoption("matrix")
        names = [one.name for one in SCENARIOS.values() if one.by_default and (whole or _is_of_each_kind(one))]
        planned = filter(_is_first, plan(STORE, scenario_names=names))
        cells = [one for one in planned if whole or not one.client.is_canary]
        metafunc.parametrize("cell", [pytest.param(cell, id=cell.id, marks=_marks(cell)) for cell in cells])


def _is_first(cell: Cell) -> bool:
    return cell.recording.name == cell.scenario.names_in(STORE, STORE.newest)[0]


def _is_of_each_kind(one: Scenario) -> bool:
    """Whether it is the first in its layer that requires as much and plays such streams."""
    return one == next(each for each in SCENARIOS.values() if _kind(each) == _kind(one))


def _kind(one: Scenario) -> tuple[Layer, Requirement, bool]:
    return one.layer, one.requirement, one.events


def _marks(cell: Cell) -> list[pytest.MarkDecorator]:
    one = known_issues.covering(ISSUES, cell.client.name, cell.scenario.name, cell.host, gating=cell.gating)
    if one is None:
        return []
    return [
        pytest.mark.xfail(
            raises=KnownVerdict, strict=True, reason=f"{one.flapping or one.verdict}: {one.reason} ({one.link})"
        )
    ]


@pytest.fixture(scope="session")
def lines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The results of all the cells that are asked for, run at once: most of a cell's time is waiting.

    Of several workers of pytest-xdist the first runs them, and the others read what it has written.
    """
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "matrix"
    with FileLock(f"{directory}.lock"):
        if not (directory / "results.ndjson").exists():
            functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
            _run([item.callspec.params["cell"] for item in functions if item.originalname == "test_cell"], directory)
    return {line.cell: line for line in Results.load(directory / "results.ndjson").cells}


def _run(cells: list[Cell], directory: Path) -> None:
    with Writer(directory, planned=len(cells), recordings={}) as writer:
        with Runner(jobs=6 * (os.cpu_count() or 2)) as runner:
            runner.run(cells, lambda run: writer.add(result(run)))
        writer.finish(clients={})


def test_cell(cell: Cell, lines: dict[str, Result]) -> None:
    line = lines[cell.id]
    if line.verdict is Verdict.UNSUPPORTED:
        pytest.skip(line.why)
    expected, issue = expected_verdicts(line, ISSUES)
    assert line.verdict in expected or (not expected and line.verdict is not Verdict.INCONCLUSIVE), (
        f"{line.why}\n{line.message or ''}\nrepeat with: ollama-harness show {cell.id}"
    )
    if issue is not None:
        raise KnownVerdict(line.why)
