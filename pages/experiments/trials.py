"""Runs experiments in the runner of the matrix. Conditions that several trials share are run once."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ollama_harness.clients import client
from ollama_harness.errors import HarnessError
from ollama_harness.matrix.cells import Cell, PlannedScenario
from ollama_harness.matrix.exchange import Exchange
from ollama_harness.matrix.routed_exchange import LiveEnvironment
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.matrix.scenarios import Scenario
from ollama_harness.network.environments import Environment
from ollama_harness.oracle.verdict import Crashed, Failed, Finished, Hung, Raised, Stopped, Unsupported
from ollama_harness.recordings.store import RecordingStore
from pages.experiments.conclusions import Measured, TrialResult
from pages.experiments.experiment import Conditions, Experiment

__all__ = ["cells", "fresh_python", "measured", "run"]

_PORT = re.compile(r"(?<=:)\d+(?=/)")


def run(experiments: Iterable[Experiment], *, jobs: int = 4) -> dict[str, tuple[TrialResult, ...]]:
    """The results of the trials of each experiment, by its name.

    Raises: HarnessError, if a trial could not be measured here.
    """
    wanted, store = list(experiments), RecordingStore()
    conditions: list[Conditions] = []
    for trial in (trial for one in wanted for trial in one.trials):
        if trial.conditions not in conditions:
            conditions.append(trial.conditions)
    environments: list[Environment] = []
    planned: list[list[Cell]] = []
    for one in conditions:
        if one.environment not in environments:
            environments.append(one.environment)
        # Cells of one environment and one scenario name share a process.
        planned.append(cells(one, store, name=f"experiment-{environments.index(one.environment)}"))
    exchanges: dict[int, Exchange] = {}

    def done(cell_run: CellRun) -> None:
        exchanges[id(cell_run.cell)] = cell_run.decisive

    usual = [one for one, each in zip(planned, conditions, strict=True) if not each.fresh]
    with Runner(jobs=jobs) as runner:
        runner.run([cell for one in usual for cell in one], done)
    fresh = [one for one, each in zip(planned, conditions, strict=True) if each.fresh]
    if fresh:
        _run_fresh(fresh, exchanges)
    found = [tuple(measured(cell, exchanges[id(cell)]) for cell in one) for one in planned]
    return {
        one.name: tuple(TrialResult(trial, found[conditions.index(trial.conditions)]) for trial in one.trials)
        for one in wanted
    }


def cells(conditions: Conditions, store: RecordingStore, *, name: str) -> list[Cell]:
    """The cells of one set of conditions: each client, `times` times."""
    recording = store.get(conditions.recording)
    if conditions.headers:
        recording = replace(recording, request=replace(recording.request, headers=conditions.headers))
    scenario = Scenario(
        name=name,
        summary=conditions.environment.summary,
        recordings=(recording.name,),
        faults=conditions.faults,
        environment=conditions.environment,
        read_timeout_s=conditions.read_timeout_s,
    )
    planned = PlannedScenario.of(scenario, recording)
    return [Cell(client(one), planned, conditions.host) for one in conditions.clients for _ in range(conditions.times)]


def _run_fresh(planned: Sequence[list[Cell]], exchanges: dict[int, Exchange]) -> None:
    with fresh_python() as python, tempfile.TemporaryDirectory() as home:
        for one in planned:
            environment = one[0].scenario.environment
            assert environment is not None
            names = sorted({cell.client.name for cell in one})
            with LiveEnvironment(environment, names, home=Path(home), touch=False, python=python) as live:
                exchanges |= {id(cell): live.exchange(cell) for cell in one}


@contextmanager
def fresh_python() -> Iterator[str]:
    """The interpreter of a new virtual environment that finds the installed libraries."""
    with tempfile.TemporaryDirectory(prefix="ollama-harness-") as folder:
        venv.EnvBuilder(symlinks=os.name != "nt").create(folder)
        where = {"base": folder, "platbase": folder}
        packages = Path(sysconfig.get_path("purelib", scheme="venv", vars=where))
        installed = [one for one in sys.path if Path(one).name in ("site-packages", "dist-packages")]
        (packages / "installed.pth").write_text("\n".join(installed) + "\n")
        scripts = Path(sysconfig.get_path("scripts", scheme="venv", vars=where))
        yield str(scripts / ("python.exe" if os.name == "nt" else "python"))


def measured(cell: Cell, exchange: Exchange) -> Measured:
    """The measurement of one exchange.

    Raises: HarnessError, if it could not be measured.
    """
    ending, head = exchange.outcome.ending, exchange.script.head
    name, status = cell.client.name, None
    match ending:
        case Finished() | Stopped():
            told = cell.view.records_told(exchange.reference, exchange.outcome.yielded)
            whole = told == exchange.reference.due[cell.layer]
            status, end = (head.status if head else None), "whole answer" if whole else "part of the answer"
        case Raised(types, message, made):
            whole, end = False, types[0].rpartition(".")[2] + ("" if made else " when it is made")
            if head is not None and str(head.status) in message:
                status, end = head.status, f"{head.status} {head.reason}"
        case Hung():
            whole, end = False, "no end"
        case Crashed(exit_code):
            raise HarnessError(f"{cell.id}: the client's process died with exit code {exit_code}; run it again")
        case Failed(reason) | Unsupported(reason):
            raise HarnessError(f"{cell.id} could not be measured here: {reason}")
    if exchange.route is None:
        raise HarnessError(f"{cell.id} could not be measured here: its route is unknown")
    line = exchange.entries[0].request_line if exchange.entries else ""
    return Measured(
        client=name, route=exchange.route, status=status, whole=whole, end=end, asked=_PORT.sub("PORT", line)
    )
