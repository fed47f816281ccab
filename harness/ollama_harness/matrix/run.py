"""A run of the matrix: cells in, a whole file of results out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ollama_harness.matrix.cells import Cell
from ollama_harness.matrix.results import Result, Results, Writer, fingerprint
from ollama_harness.matrix.runner import CellRun, Runner, allow_open_files
from ollama_harness.oracle.reference import Cause
from ollama_harness.oracle.verdict import Hung, Raised

__all__ = ["JOBS", "repeated", "result", "run_cells"]

#: Cells wait more than they compute. Six for each core keep the cores busy.
JOBS = min(16, 6 * (os.cpu_count() or 2))

#: Parts of messages that differ from run to run, with their replacements.
_NOISE = (
    (re.compile(r"((?:127\.0\.0\.1|localhost|\[::1\]|ollama\.test)[:/]|port=)\d+"), r"\1PORT"),
    (re.compile(r"(integer value as \W*)\d+"), r"\1PORT"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}"), "0x…"),
)


def run_cells(
    cells: Sequence[Cell],
    out: Path,
    *,
    done: Callable[[CellRun], None] = lambda _: None,
    jobs: int = JOBS,
    touch_registry: bool = False,
) -> Results:
    """Run cells and write their results into a directory. `done` is called when a cell ends. A cell may be
    there more than once; its results are numbered.

    An interrupted run leaves its results so far in `results.partial.ndjson`, and no `results.ndjson`.

    Raises: DirectoryError (another run writes there), ResultsError, HarnessError (too few open files are allowed).
    """
    allow_open_files(cells, jobs=jobs)
    recordings = {cell.recording.id: fingerprint(cell.recording.body) for cell in cells}
    with (
        Writer(out, planned=len(cells), recordings=recordings) as writer,
        Runner(jobs=jobs, touch_registry=touch_registry) as runner,
    ):
        runs = Counter[str]()

        def note(run: CellRun) -> None:
            runs[run.cell.id] += 1
            writer.add(replace(result(run), run=runs[run.cell.id]))
            done(run)

        runner.run(cells, note)
        return writer.finish(clients=runner.versions)


def repeated(cells: Sequence[Cell], repeat: int) -> list[Cell]:
    """Each cell as often as it runs: `repeat` times, and that of a canary once. Canaries prove the judge, and do not
    flap.
    """
    return [cell for cell in cells for _ in range(1 if cell.client.is_canary else repeat)]


def result(run: CellRun) -> Result:
    """The line of a cell in the results. It holds only facts that are the same each time."""
    cell, decisive = run.cell, run.decisive
    ending, end = decisive.outcome.ending, decisive.reference.ends[cell.layer]
    raised = ending if isinstance(ending, Raised) else None
    told = cell.view.records_told(decisive.reference, decisive.outcome.yielded)
    return Result(
        client=cell.client.name,
        scenario=cell.scenario.name,
        recording=cell.recording.id,
        requirement=str(cell.requirement),
        layer=str(cell.layer),
        verdict=run.judgement.verdict,
        why=_without_noise(run.judgement.why),
        end=f"{end.kind} ({end.cause})",
        due=decisive.reference.due[cell.layer],
        got=None if end.cause is Cause.RST or isinstance(ending, Hung) else told,
        requests=sum(one.outcome.requests for one in run.exchanges),
        connections=len({entry.connection for one in run.exchanges for entry in one.entries}),
        raised=raised.types[0] if raised else None,
        message=_without_noise(raised.message) if raised else None,
        host=cell.host,
        route=decisive.route,
    )


def _without_noise(text: str) -> str:
    for pattern, replacement in _NOISE:
        text = pattern.sub(replacement, text)
    return text
