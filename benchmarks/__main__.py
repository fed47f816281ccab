"""Measures everything in one run of a few minutes: `python benchmarks/run.py`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import (
    connections,
    in_front,
    lateness,
    memory,
    programmes,
    refusals,
    report,
    startup,
    throughput,
    uploads,
)
from benchmarks.client_process import ClientProcess
from benchmarks.machine import this_machine
from ollama_harness import RecordingStore

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--markdown", is_flag=True, help="Also put the tables into docs/performance.md.")
@click.option("--quick", is_flag=True, help="A third of everything: to see that it works.")
def main(as_json: bool, markdown: bool, quick: bool) -> None:  # noqa: FBT001 - click's options
    """Measure the fake server: streams per second, rules, lateness of records, TLS, starting and stopping, memory."""
    machine, store = this_machine(), RecordingStore()
    part = 3 if quick else 1
    with ClientProcess() as client:
        sections = [
            throughput.measure(client, store, rounds=24 // part),
            refusals.measure(store, rounds=30 // part),
            programmes.measure(client, store, rounds=12 // part),
            lateness.measure(client, store, alone=9 // part),
            in_front.measure(client, store, rounds=3 // part),
            uploads.measure(client, store, rounds=3 // part),
            startup.measure(store, rounds=30 // part),
            connections.measure(count=5000 // part),
            memory.measure(long_mb=100 // part),
        ]
    if as_json:
        click.echo(report.to_json(machine, sections))
    else:
        report.show(machine, sections)
    if markdown:
        report.insert(report.markdown(machine, sections), DOCUMENT)


if __name__ == "__main__":
    main()
