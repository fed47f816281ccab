"""`ollama-harness prove`: what the fake server does on this machine, as a plain socket sees it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from ollama_harness.cli.output import json_option
from ollama_harness.cli.own_recordings import recordings_option, store_of
from ollama_harness.cli.reports.layout import Blocks
from ollama_harness.cli.tables import console, table
from ollama_harness.clients import client
from ollama_harness.errors import HarnessError
from ollama_harness.files.printable import one_line
from ollama_harness.matrix.cells import Cell, planned_scenarios
from ollama_harness.matrix.scenarios import SCENARIOS, scenario
from ollama_harness.matrix.wire_proof import WireProof, prove

__all__ = ["prove_"]


@click.command(
    "prove",
    help="""
    Check with a plain socket what the fake server really sends. Every scenario is played to it, and what it receives
    is compared with the plan: bytes, segments, pauses, and how the connection ends.

    No HTTP library is used. Run this on a new system to see how that system handles FIN and RST.

    Exit code 0: everything was as planned. 1: something was not.
    """,
    epilog="Example: ollama-harness prove --scenario reset-after-record",
)
@click.option("--scenario", "names", multiple=True, metavar="NAME", help="Play only this scenario (repeatable).")
@recordings_option
@json_option
def prove_(*, names: tuple[str, ...], own: Path | None, as_json: bool) -> None:
    store = store_of(own)
    chosen = [scenario(name) for name in names] or [one for one in SCENARIOS.values() if one.environment is None]
    planned = (next(planned_scenarios(store, store.newest, one), None) for one in chosen)
    cells = [Cell(client("canary-perfect"), one) for one in planned if one is not None]
    if not cells:
        raise HarnessError("nothing to prove: none of these scenarios plays one of these recordings")
    with ThreadPoolExecutor(8) as pool:
        proofs = [proof for each in pool.map(prove, cells) for proof in each]
    if as_json:
        table([asdict(proof) for proof in proofs], as_json=True)
    else:
        console().print(_table(proofs), _summary(proofs))
    sys.exit(1 if any(proof.problem for proof in proofs) else 0)


def _table(proofs: list[WireProof]) -> Blocks:
    names = ("scenario", "exchange", "bytes", "segments", "longest pause", "planned", "seen", "")
    rows = []
    several = {proof.scenario for proof in proofs if proof.exchange > 1}
    for proof in proofs:
        exchange = str(proof.exchange) if proof.scenario in several else ""
        pause = f"{proof.pause_s:.2f} s" if proof.pause_s else ""
        remark = Text(one_line(proof.problem or proof.differs), style="bold red" if proof.problem else "yellow")
        numbers = (str(proof.size_bytes), str(proof.segments), pause)
        plain = (proof.scenario, exchange, *numbers, proof.planned, proof.seen)
        rows.append([*(Text(one_line(text)) for text in plain), remark])
    return Blocks(names, rows, right=(2, 3, 4))


def _summary(proofs: list[WireProof]) -> Text:
    failed = sum(bool(proof.problem) for proof in proofs)
    differ = sum(bool(proof.differs) for proof in proofs)
    note = f", {differ} with a known difference of this system" if differ else ""
    return Text(f"\n{len(proofs)} exchanges, {len(proofs) - failed} proven{note}, {failed} not as planned")
