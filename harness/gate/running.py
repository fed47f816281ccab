"""Run a gate: the recordings of two versions in, a decision out; the matrix of both is run on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.compat import Level
from harness.gate import clients, wire
from harness.gate.accepted import Acceptance
from harness.gate.decision import Decision, decide
from harness.library import Library
from harness.matrix import Cell, plan
from harness.results import Results, Writer, fingerprint, result
from harness.runner import CellRun, Runner
from harness.shapes import Version

__all__ = ["JOBS", "gate", "hashes", "planned", "run_matrix"]

#: Cells wait more than they compute; six a core keep the cores busy.
JOBS = min(16, 6 * (os.cpu_count() or 2))


def planned(directory: Path, client_names: Sequence[str] = ()) -> list[Cell]:
    """The cells of one version: all scenarios that play its recordings (environments do not depend on them)."""
    library = Library(directory.parent, only=directory.name)
    cells = plan(library, client_names=client_names, versions=[directory.name])
    return [cell for cell in cells if cell.scenario.environment is None]


def run_matrix(cells: Sequence[Cell], out: Path, done: Callable[[CellRun], None], *, jobs: int = JOBS) -> Results:
    """Run the cells and write their results into a directory. `done` is called as each ends."""
    writer = Writer(
        out,
        planned=len(cells),
        recordings={cell.recording.id: fingerprint(cell.recording.body) for cell in cells},
    )

    def note(run: CellRun) -> None:
        writer.add(result(run))
        done(run)

    try:
        with Runner(jobs=jobs) as runner:
            runner.run(cells, note)
            return writer.finish(clients=runner.versions)
    except BaseException:
        writer.abandon()
        raise


def hashes(version: Version) -> dict[str, str]:
    """The fingerprint of each recording of a version."""
    return {name: fingerprint(shape.recording.body) for name, shape in version.shapes.items()}


def gate(
    takes: Sequence[Version],
    candidate: Version,
    *,
    results: tuple[Results, Results] | None = None,
    acceptances: Sequence[Acceptance] = (),
    fail_on: Level = Level.BREAKING,
) -> Decision:
    """Hold a candidate against the takes of a baseline, and the results of both if there are any.

    Raises: GateError.
    """
    baseline = takes[0]
    problems = [
        f"unequal conditions: the second take of {baseline.name} is of {take.name}"
        for take in takes[1:]
        if take.name != baseline.name
    ]
    platforms = {one.recording.platform for version in (*takes, candidate) for one in version.shapes.values()}
    if len(platforms) > 1:
        problems.append(f"unequal conditions: recorded on {' and '.join(sorted(platforms))}; record on one machine")
    compared = None
    if results is not None:
        old, new = results
        compared = clients.compare(old, new, old_hashes=hashes(baseline), new_hashes=hashes(candidate))
    return decide(
        baseline=baseline.name,
        candidate=candidate.name,
        wire=wire.compare(takes, candidate),
        clients=compared,
        acceptances=acceptances,
        fail_on=fail_on,
        problems=problems,
        today=datetime.now(UTC).date(),
    )
