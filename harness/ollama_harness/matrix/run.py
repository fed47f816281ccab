"""A run of the matrix: cells in, a whole file of results out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ollama_harness.matrix.cells import Cell
from ollama_harness.matrix.results import Results, Writer, fingerprint, result
from ollama_harness.matrix.runner import CellRun, Runner, allow_open_files

__all__ = ["JOBS", "run_cells"]

#: Cells wait more than they compute; six a core keep the cores busy.
JOBS = min(16, 6 * (os.cpu_count() or 2))


def run_cells(
    cells: Sequence[Cell],
    out: Path,
    *,
    done: Callable[[CellRun], None] = lambda _: None,
    jobs: int = JOBS,
    touch_registry: bool = False,
) -> Results:
    """Run cells and write their results into a directory; `done` is called as each ends.

    A run that is interrupted leaves what was run so far in `results.partial.ndjson`, and no `results.ndjson`.

    Raises: DirectoryError (another run writes there), ResultsError, HarnessError (too few files may be open at a time).
    """
    allow_open_files(cells, jobs=jobs)
    recordings = {cell.recording.id: fingerprint(cell.recording.body) for cell in cells}
    with (
        Writer(out, planned=len(cells), recordings=recordings) as writer,
        Runner(jobs=jobs, touch_registry=touch_registry) as runner,
    ):

        def note(run: CellRun) -> None:
            writer.add(result(run))
            done(run)

        runner.run(cells, note)
        return writer.finish(clients=runner.versions)
