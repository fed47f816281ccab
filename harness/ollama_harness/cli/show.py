"""`ollama-harness show`: one cell in full, with what was sent beside what the client yielded."""

from __future__ import annotations

import sys
from itertools import zip_longest
from pathlib import Path

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ollama_harness.cli.own_clients import own_clients_options
from ollama_harness.cli.own_recordings import recordings_option, store_of
from ollama_harness.cli.reports.layout import Hanging
from ollama_harness.cli.tables import console
from ollama_harness.files.printable import json_text, one_line
from ollama_harness.matrix.cells import cell
from ollama_harness.matrix.exchange import Exchange
from ollama_harness.matrix.expectations import assess
from ollama_harness.matrix.known_issues import load_all
from ollama_harness.matrix.run import result
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.oracle.reference import Cause
from ollama_harness.oracle.verdict import (
    ClientEnd,
    Crashed,
    Failed,
    Finished,
    Hung,
    Outcome,
    Raised,
    Stopped,
    Unsupported,
)
from ollama_harness.script.script import ConnectionEnd
from ollama_harness.server.journal import EndedBy, Entry, Protocol

__all__ = ["show"]

#: The least width for two columns.
_LEAST_WIDTH = 72


@click.command(
    help="""
    Run one cell, and show what was sent beside what was yielded.

    CELL is CLIENT/SCENARIO, or CLIENT/SCENARIO/VERSION/RECORDING. An environment may have @HOST after it.

    Exit code 0: the verdict is as expected. 1: it is not. 2: bad input. 3: inconclusive.
    """,
    epilog="Example: ollama-harness show ollama/cut-after-record/0.32.15/chat-stream",
)
@click.argument("cell_id", metavar="CELL")
@own_clients_options
@recordings_option
@click.option(
    "--width",
    type=click.IntRange(20),
    default=70,
    show_default=True,
    help="How many characters of each line are shown.",
)
def show(*, cell_id: str, own: Path | None, width: int) -> None:
    one = cell(store_of(own), cell_id)
    with Runner(jobs=1) as runner:
        cell_run = runner.run_cell(one)
        versions = runner.versions
    parts: list[RenderableType] = [_head(cell_run)]
    for number, exchange in enumerate(cell_run.exchanges, 1):
        title = f"exchange {number}" if len(cell_run.exchanges) > 1 else ""
        parts += [_expected(cell_run, exchange, title), _exchange(exchange, width), _foot(exchange)]
    if len(cell_run.exchanges) > 1:
        parts.append(Text.assemble("\nthe whole cell: ", (str(cell_run.judgement.verdict), "bold")))
    assessed = assess([result(cell_run)], load_all(), full=False, today=None, versions=versions)
    if (issue := assessed.assessments[0].issue) is not None:
        often = issue.flapping or issue.verdict
        parts.append(Hanging(Text(one_line(f"known issue: {often}: {issue.reason} ({issue.link})"))))
    console().print(Group(*parts))
    sys.exit(assessed.exit_code)


def _head(run: CellRun) -> Text:
    scenario = run.cell.scenario
    text = Text.assemble(
        (run.cell.id, "bold"), f"\n{scenario.summary}\n{run.cell.requirement} at the {run.cell.layer} layer"
    )
    if scenario.environment is not None:
        settings, required = scenario.environment.settings(), run.cell.required
        text.append(f"\nsettings: {settings.variables or 'no variable'}, {settings.registry or settings.mac or ''}")
        text.append(f"\nrequired route: {required.route or 'none'}, because {one_line(required.because)}")
        text.append(f"\nroute taken: {run.decisive.route}")
    return text


def _expected(run: CellRun, exchange: Exchange, title: str) -> Text:
    scenario, index = run.cell.scenario, run.exchanges.index(exchange)
    faults = ", ".join(map(str, (scenario.faults, *scenario.then)[index])) or "none"
    end, due = exchange.reference.ends[run.cell.layer], exchange.reference.due[run.cell.layer]
    contract = run.cell.client.contract
    waits = ""
    if end.cause is Cause.SILENCE:
        waits = (
            f"read timeout: {scenario.read_timeout_s:g} s; the client's setting: {contract.read_timeout or 'none'}; "
        )
        waits += f"without it: {contract.default_timeout or 'unknown'}\n"
    either = ", or the opposite" if end.either else ""
    return Text.assemble(
        (f"\n{title}\n" if title else "", "bold"),
        f"faults: {faults}\na perfect client sees {due} records, then {end.kind} ({end.cause}){either} "
        f"{one_line(end.detail)}\n{waits}",
    )


def _exchange(exchange: Exchange, width: int) -> RenderableType:
    """Segments, in seconds from the request's arrival, and beside them records, in seconds from the client's start."""
    sent: list[tuple[float, str]] = []
    for entry in exchange.entries:
        at = "connection" if entry.protocol is Protocol.HTTP else f"{entry.protocol} to the proxy, connection"
        sent.append((0.0, f"[{at} {entry.connection}, request {entry.index}: {entry.request_line}]"))
        sent += [(at_s, _escaped(data, width)) for at_s, data in entry.sent]
        if entry.buffered:
            sent.append((entry.sent[-1][0], f"[the client kept back record {entry.buffered}, so the rest was sent]"))
        sent.append((entry.sent[-1][0] if entry.sent else 0.0, f"[{_end(entry)}]"))
    got = [(f"{at_s:.3f}", _cut(json_text(one), width)) for at_s, one in exchange.reported.yielded]
    got.append(("", f"[{_ending(exchange.reported.ending)}]"))
    return _Beside([(f"{at_s:.3f}", text) for at_s, text in sent], got)


class _Beside:
    """What was sent and what was yielded: in two columns, or one below the other if the terminal is narrow."""

    def __init__(self, sent: list[tuple[str, str]], got: list[tuple[str, str]]) -> None:
        self._sides = {"the server sent": sent, "the client yielded": got}

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width < _LEAST_WIDTH:
            for name, rows in self._sides.items():
                yield Text(name, style="bold")
                yield from (Hanging(Text(one_line(f"{at:>6}  {text}")), by=4) for at, text in rows)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in self._sides:
            table.add_column("s", no_wrap=True)
            table.add_column(name, no_wrap=True)
        for pairs in zip_longest(*self._sides.values(), fillvalue=("", "")):
            table.add_row(*(Text(one_line(text)) for pair in pairs for text in pair))
        yield table


def _end(entry: Entry) -> str:
    """How the exchange ended, as the server saw it."""
    match entry.ended_by, entry.ended:
        case None, _:
            return "unfinished"
        case EndedBy.SERVER, ConnectionEnd.KEEP_OPEN:
            return "the connection is kept open"
        case EndedBy.SERVER, ConnectionEnd.HOLD:
            return "nothing more, until the client left"
        case by, how:
            return f"{how} by the {by}"


def _foot(exchange: Exchange) -> RenderableType:
    """What the server saw besides, what the client's process logged, what the client raised, and the verdict."""
    verdict, why = exchange.judgement.verdict, exchange.judgement.why
    message, where = "", ""
    if isinstance(exchange.reported.ending, Raised):
        message, where = exchange.reported.ending.message, exchange.reported.ending.where
    lines = [*message.split("\n"), where and f"raised at {where}", *(f"log: {line}" for line in exchange.reported.logs)]
    quoted = [Hanging(Text(one_line(line)), indent=2) for line in lines if line]
    last = Hanging(Text.assemble((str(verdict), "bold"), one_line(f": {why}")))
    return Group(Text(), _seen(exchange.outcome), *quoted, last)


def _seen(outcome: Outcome) -> RenderableType:
    """What the server saw of the client, besides the answer."""
    parts = [f"requests: {outcome.requests}", f"connections: {outcome.connections}"]
    if outcome.repeated:
        parts.append(f"the same request again: {outcome.repeated}")
    if outcome.side_requests:
        parts.append(f"other requests: {', '.join(outcome.side_requests)}")
    if outcome.abandoned:
        parts.append("the client left before the end")
    return Hanging(Text(one_line(", ".join(parts))))


def _escaped(data: bytes, width: int) -> str:
    return _cut(repr(data)[2:-1], width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width // 2]} … {text[-(width // 2) + 3 :]}"


def _ending(ending: ClientEnd) -> str:
    match ending:
        case Finished():
            return "ended normally"
        case Stopped():
            return "the user stopped reading"
        case Raised(types, _):
            return f"raised {types[0]}"
        case Hung(deadline_s):
            return f"no end after {deadline_s:g} s, so it was killed"
        case Crashed(exit_code):
            return f"the process died with exit code {exit_code}"
        case Unsupported(reason) | Failed(reason):
            return reason
