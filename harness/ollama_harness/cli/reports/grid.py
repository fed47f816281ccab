"""The report of a run: the grid of scenarios and clients, the canaries, and each cell that is not as expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.text import Text

from ollama_harness.cli.reports import routes
from ollama_harness.cli.reports.layout import Flow, Grid, Hanging
from ollama_harness.clients import clients, is_canary
from ollama_harness.files.printable import one_line
from ollama_harness.matrix.expectations import Assessment, ExpectationReport
from ollama_harness.matrix.scenarios import GROUPS, SCENARIOS
from ollama_harness.oracle.verdict import Verdict

__all__ = ["Symbols", "render"]

#: Wide enough for three columns of canaries.
_CANARIES_WIDTH = 120

_LETTERS = {
    Verdict.INCONCLUSIVE: "?",
    Verdict.MISROUTED: "M",
    Verdict.CRASH: "X",
    Verdict.HANG: "H",
    Verdict.SILENT_LOSS: "S",
    Verdict.CORRUPT: "C",
    Verdict.FALSE_ALARM: "F",
    Verdict.BUFFERED: "B",
    Verdict.UNDOCUMENTED: "U",
    Verdict.UNSAFE_RETRY: "R",
    Verdict.LEAK: "K",
}


class Symbols:
    """The symbols for pass and unsupported: ✓ and · if the terminal can show them, otherwise ASCII."""

    def __init__(self, encoding: str) -> None:
        try:
            "✓·".encode(encoding)
            self.passed, self.unsupported = "✓", "·"
        except (UnicodeEncodeError, LookupError):
            self.passed, self.unsupported = "+", "."

    def of(self, verdict: Verdict) -> str:
        return {Verdict.PASS: self.passed, Verdict.UNSUPPORTED: self.unsupported}.get(verdict) or _LETTERS[verdict]


def render(report: ExpectationReport, console: Console) -> RenderableType:
    """The whole report of a run."""
    symbols = Symbols(console.encoding)
    parts: list[RenderableType] = []
    real = [one for one in report.assessments if not _is_canary(one)]
    if answers := [one for one in real if not one.result.host]:
        parts += [_grid(answers, symbols), Text(), _legend(answers, symbols)]
    if routed := [one for one in real if one.result.host]:
        parts += [Text(), routes.table(routed), Text(), routes.legend(routed)]
    parts += [Text("canaries, and in how many of its cells each earned its verdict:", style="dim")]
    parts += [_canaries(report.assessments), *_absent(report.assessments)]
    parts += _unexpected(report)
    for line in report.stale:
        parts += [Text(), Hanging(Text(one_line(f"known issues: {line}"), style="red"))]
    parts += [Text(), Hanging(_summary(report))]
    return Group(*parts)


def _grid(real: Sequence[Assessment], symbols: Symbols) -> Grid:
    columns = sorted({one.result.client for one in real})
    grid = Grid("scenario", columns)
    rows: dict[str, list[Assessment]] = {}
    for one in real:
        rows.setdefault(SCENARIOS[one.result.scenario].twin_of or one.result.scenario, []).append(one)
    for title, scenarios in GROUPS.items():
        present = [one.name for one in scenarios if one.name in rows]
        if present and len(rows) > len(present):
            grid.title(title.partition(":")[0].upper())
        for name in present:
            squares = [_squares([one for one in rows[name] if one.result.client == c], symbols) for c in columns]
            names = {one.result.scenario for one in rows[name]}
            grid.row(name if name in names else min(names), squares)
    return grid


def _squares(assessments: Sequence[Assessment], symbols: Symbols) -> Text:
    """The square of a scenario, and after it that of its twin over /v1, if it is another."""
    twins = [one for one in assessments if SCENARIOS[one.result.scenario].twin_of]
    native, events = (_square(some, symbols) for some in ([one for one in assessments if one not in twins], twins))
    if not native.plain or not events.plain or native.plain == events.plain:
        return native if native.plain else events
    return Text.assemble(native, " v1 ", events)


def _square(assessments: Sequence[Assessment], symbols: Symbols) -> Text:
    """One square of the grid: the worst verdict, how often, and whether it is known, observed only, or unexpected."""
    if not assessments:
        return Text("")
    able = [one for one in assessments if one.result.verdict is not Verdict.UNSUPPORTED] or list(assessments)
    worst = max(able, key=lambda one: (not one.met, one.result.verdict.severity))
    verdict = worst.result.verdict
    letter = symbols.of(verdict)
    if verdict is Verdict.UNSUPPORTED:
        return Text(letter, style="dim")
    count = sum(one.result.verdict is verdict for one in able)
    text = letter if count == len(able) else f"{letter} {count}/{len(able)}"
    if len(able) < len(assessments):
        text += symbols.unsupported  # the client does not support the rest
    if not worst.met:
        return Text(f"{text}!", style="bold red")
    if verdict is Verdict.PASS:
        return Text(text, style="green" if worst.result.gating else "dim green")
    return Text(text, style="yellow") if worst.issue else Text(f"({text})", style="dim")


def _legend(assessments: Sequence[Assessment], symbols: Symbols) -> Flow:
    seen = {one.result.verdict for one in assessments}
    order = sorted(seen, key=lambda verdict: verdict.severity)
    meanings = [f"{symbols.of(verdict)} {verdict}" for verdict in order]
    meanings.append("( ) observed, not required")
    if any(SCENARIOS[one.result.scenario].twin_of for one in assessments):
        meanings.append("v1 over /v1, where it is another")
    if any(not one.met for one in assessments):
        meanings.append("! not as expected")
    return Flow(Text(one, style="dim") for one in meanings)


def _canaries(assessments: Iterable[Assessment]) -> RenderableType:
    """The verdicts of the canaries. The harness can be trusted only if each has earned its own."""
    canaries = sorted((one for one in assessments if _is_canary(one)), key=lambda one: one.result.client)
    shown = []
    for name, group in groupby(canaries, key=lambda one: one.result.client):
        mine = list(group)
        wrong = [one for one in mine if not one.met]
        verdicts = sorted({str(one.result.verdict) for one in wrong or mine}, key=lambda v: (v == "pass", v))
        text = f"{name} {'/'.join(verdicts)} {len(mine) - len(wrong)}/{len(mine)}"
        shown.append(Text(text, style="bold red" if wrong else "dim"))
    return Constrain(Columns(shown, padding=(0, 3)), _CANARIES_WIDTH)


def _absent(assessments: Iterable[Assessment]) -> Iterator[RenderableType]:
    """A line for each client that was unsupported in all cells, because its library is not installed."""
    by_client: dict[str, list[Assessment]] = {}
    for one in assessments:
        by_client.setdefault(one.result.client, []).append(one)
    for mine in by_client.values():
        if len(mine) > 1 and {one.result.verdict for one in mine} == {Verdict.UNSUPPORTED}:
            yield Hanging(Text(one_line(mine[0].result.why), style="yellow"))


def _summary(report: ExpectationReport) -> Text:
    known = sum(one.issue is not None and one.met for one in report.assessments)
    counts = f"{len(report.assessments)} cells, {len(report.unexpected)} not as expected, {known} known issues seen"
    return Text(counts)


def _unexpected(report: ExpectationReport) -> Iterator[RenderableType]:
    """A block for each cell that is not as expected; one for all of its runs with the same verdict."""
    runs = Counter(one.result.cell for one in report.assessments)
    alike: dict[tuple[str, Verdict], list[Assessment]] = {}
    for one in report.unexpected:
        alike.setdefault((one.result.cell, one.result.verdict), []).append(one)
    for (cell, _), some in alike.items():
        yield _block(some[0], f", in {len(some)} of {runs[cell]} runs" if runs[cell] > 1 else "")


def _block(one: Assessment, often: str) -> RenderableType:
    result = one.result
    lines = [
        (f"{result.requirement} at the {result.layer} layer: {SCENARIOS[result.scenario].summary}", ""),
        (f"source    {_source(result.scenario)}", ""),
        (f"expected  {(one.issue and one.issue.flapping) or ' or '.join(one.expected)}", ""),
        (f"actual    {result.verdict}: {result.why}{often}", "red"),
    ]
    lines += [(f"          {line}", "dim") for line in (result.message or "").split("\n") if line]
    lines.append((f"repeat    ollama-harness show {result.cell}{_option(result.client)}", ""))
    if one.advice:
        lines.append((f"then      {one.advice}", ""))
    shown = [Hanging(Text(one_line(line), style=style), indent=2, by=10) for line, style in lines]
    return Group(Text(), Hanging(Text(one_line(result.cell), style="bold")), *shown)


def _option(name: str) -> str:
    """What adds the user's own client to a command; "" for another client."""
    option = clients()[name].option if name in clients() else ""
    return option and f" {option}"


def _source(scenario: str) -> str:
    source = SCENARIOS[scenario].source
    return f"{source.says} {source.url}" if source else "none"


def _is_canary(one: Assessment) -> bool:
    return is_canary(one.result.client)
