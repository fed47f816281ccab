"""`ollama-harness gate --history`: all recorded versions, one after the other."""

from __future__ import annotations

from pathlib import Path

import click

from ollama_harness.cli.run import run_with_progress
from ollama_harness.errors import GateError
from ollama_harness.gate.gate_run import planned
from ollama_harness.matrix.results import Results
from ollama_harness.recordings.store import RecordingStore
from pages.wire_history import HistoryStep, pairs, step
from pages.wire_history_page import CLIENTS, render

__all__ = ["history"]


def history(recordings: Path | None, page: Path, *, wire_only: bool, check: bool, out: Path) -> int:
    """Write the page, or `check` that it is current but for what clients make of it; returns the exit code.

    With `wire_only` what clients make of it stays as the page says.

    Raises: HarnessError.
    """
    store = RecordingStore(recordings)
    steps = [step(store, pair) for pair in pairs(store)]
    if not steps:
        raise GateError(f"{store.root} holds one version only, which has no history; record another")
    for one in steps:
        click.echo(one.decision.last_line)
    clients = _clients_of(page) if check or wire_only else _with_clients(store, steps, out)
    text = render(steps, clients)
    if check:
        current = page.is_file() and page.read_text(encoding="utf-8") == text
        click.echo(
            f"{page} is {'current' if current else 'not what the recordings say; run: ollama-harness gate --history'}"
        )
        return 0 if current else 1
    page.write_text(text, encoding="utf-8", newline="\n")
    click.echo(f"written: {page}")
    return 0


def _with_clients(store: RecordingStore, steps: list[HistoryStep], out: Path) -> list[str]:
    """The last lines of the gates with all clients; the matrix is run once for each version."""
    results: dict[str, Results] = {}
    lines = []
    for one in steps:
        old, new = one.pair.takes[0], one.pair.candidate
        for name in (old, new):
            if name not in results:
                results[name] = run_with_progress(planned(store.root / name), out / name)
        lines.append(step(store, one.pair, (results[old], results[new])).decision.last_line)
        click.echo(lines[-1])
    return lines


def _clients_of(page: Path) -> list[str]:
    """What the page says that clients make of it."""
    try:
        lines = page.read_text(encoding="utf-8").split("\n")
        return lines[lines.index(CLIENTS[0]) + 2 : lines.index(CLIENTS[1]) - 1]
    except (OSError, ValueError):
        raise GateError(f"{page} has no part on clients yet; leave out --wire-only once") from None
