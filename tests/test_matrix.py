"""The matrix as a test suite: the cells of `ollama-harness run`, through the same runner."""

from __future__ import annotations

import pytest

from harness import expectations
from harness.library import Library, fixtures
from harness.matrix import Cell, plan
from harness.results import result
from harness.runner import Runner
from harness.verdict import Verdict

ISSUES = expectations.load(fixtures() / expectations.FILE)


class KnownVerdict(Exception):
    """The cell shows exactly the verdict that known_issues.toml expects. Nothing else counts as an xfail."""


def _parameters() -> list[object]:
    return [pytest.param(cell, id=cell.id, marks=_marks(cell)) for cell in plan(Library())]


def _marks(cell: Cell) -> list[pytest.MarkDecorator]:
    covering = [one for one in ISSUES if one.covers(cell.client.name, cell.scenario.name, gating=cell.gating)]
    return [
        pytest.mark.xfail(raises=KnownVerdict, strict=True, reason=f"{one.verdict}: {one.reason} ({one.link})")
        for one in covering[:1]
    ]


@pytest.mark.parametrize("cell", _parameters())
def test_cell(cell: Cell, runner: Runner) -> None:
    line = result(runner.run_cell(cell))
    if line.verdict is Verdict.UNSUPPORTED:
        pytest.skip(line.why)
    expected, issue = expectations.expected_verdict(line, ISSUES)
    assert line.verdict == expected or (expected is None and line.verdict is not Verdict.INCONCLUSIVE), (
        f"{line.why}\n{line.message or ''}\nrepeat with: ollama-harness show {cell.id}"
    )
    if issue is not None:
        raise KnownVerdict(line.why)
