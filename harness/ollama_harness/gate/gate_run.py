"""A gate, from start to end: from the recordings of two versions, and the results of both, to a decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ollama_harness.gate import _client_comparison, wire_comparison
from ollama_harness.gate.accepted import Acceptance
from ollama_harness.gate.decision import Decision, decide
from ollama_harness.gate.rules import Level
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.matrix.cells import Cell, plan
from ollama_harness.matrix.results import Results, fingerprint
from ollama_harness.recordings.store import RecordingStore

__all__ = ["gate", "planned"]


def planned(directory: Path, client_names: Sequence[str] = ()) -> list[Cell]:
    """The cells of one version: all scenarios that play its recordings. Environments do not depend on them."""
    directory = directory.resolve()  # `.` has no name
    store = RecordingStore(directory.parent, only=directory.name)
    cells = plan(store, client_names=client_names, versions=[directory.name], applicable=True)
    return [cell for cell in cells if cell.scenario.environment is None]


def _hashes(version: VersionShapes) -> dict[str, str]:
    """The fingerprint of each recording of a version."""
    return {name: fingerprint(shape.recording.body) for name, shape in version.shapes.items()}


def gate(
    baselines: Sequence[VersionShapes],
    candidate: VersionShapes,
    *,
    results: tuple[Results, Results] | None = None,
    acceptances: Sequence[Acceptance] = (),
    fail_on: Level = Level.BREAKING,
) -> Decision:
    """Compare a candidate with the sessions of a baseline, and the results of both if there are any.

    Raises: GateError.
    """
    baseline = baselines[0]
    problems = [
        f"unequal conditions: --again holds recordings of {again.name}, and the baseline is {baseline.name}"
        for again in baselines[1:]
        if again.name != baseline.name
    ]
    platforms = {one.recording.platform for version in (*baselines, candidate) for one in version.shapes.values()}
    if len(platforms) > 1:
        problems.append(f"unequal conditions: recorded on {' and '.join(sorted(platforms))}; record on one machine")
    compared = None
    if results is not None:
        old, new = results
        compared = _client_comparison.compare(old, new, old_hashes=_hashes(baseline), new_hashes=_hashes(candidate))
    return decide(
        baseline=baseline.name,
        candidate=candidate.name,
        wire=wire_comparison.compare(baselines, candidate),
        clients=compared,
        acceptances=acceptances,
        fail_on=fail_on,
        problems=problems,
        today=datetime.now(UTC).date(),
    )
