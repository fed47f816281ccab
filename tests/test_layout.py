"""What is printed: readable at 40 columns, and nothing from outside can pass for a line of the harness's own."""

from __future__ import annotations

import io
import json
import os
import re
from datetime import date

import pytest
from builders import result
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.text import Text

from ollama_harness.cli import commands, tables
from ollama_harness.cli.output import echo, echo_json
from ollama_harness.cli.reports import gate_decision
from ollama_harness.cli.reports import grid as terminal
from ollama_harness.cli.reports.layout import Blocks, Flow, Grid, Hanging
from ollama_harness.cli.tables import _Console
from ollama_harness.clients import clients
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.findings import Evidence, Finding
from ollama_harness.gate.rules import Level
from ollama_harness.matrix.expectations import assess
from ollama_harness.matrix.results import Result
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.network.environments import ENVIRONMENTS
from ollama_harness.oracle.verdict import Verdict

pytestmark = pytest.mark.same_on_each_python

#: Text that would be more than text, if it were printed as it is.
hostile = st.text(
    st.characters() | st.sampled_from("\x1b\x9b\r\n\x08\x07\x7f\u2028\u202e\ud800[]:"), max_size=30
) | st.sampled_from(
    [
        "\x1b[2J\x1b[H",
        "\ngate: pass: 1 -> 2",
        "[red]x[/red]",
        "[/]",
        ":smile:",
        "\r" * 3,
        "x" * 300 + " gate: pass",
        "\n\n",
    ]
)
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800-\udfff]")
REAL = [one.name for one in clients().values() if not one.is_canary]


def printed(what: RenderableType, width: int = 200) -> str:
    screen = _Console(file=io.StringIO(), width=width, color_system=None)
    screen.print(what)
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return text


def rendered(results: list[Result], width: int = 200) -> str:
    report = assess(results, (), full=False, today=date(2026, 11, 27))
    return printed(terminal.render(report, Console(width=width)), width)


# ------------------------------------------------------------------------------------------------- narrow terminals


def matrix() -> list[Result]:
    """Every client in every scenario, with the letters that need most room, and the canaries."""
    verdicts = (Verdict.PASS, Verdict.SILENT_LOSS, Verdict.UNSUPPORTED)
    canaries = [one.name for one in clients().values() if one.is_canary]
    return [
        result(verdict, name, scenario, recording=f"0.32.15/r{number}", message="no\n" * 3)
        for scenario in ("stream", "lock-step-close-delimited", "cut-after-record")
        for name in (*REAL, *canaries)
        for number, verdict in enumerate(verdicts)
    ]


@pytest.mark.same_everywhere
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_grid_cuts_no_name_however_narrow_it_is(width: int) -> None:
    text = rendered(matrix(), width)
    assert "…" not in text
    assert max(map(len, text.split("\n"))) <= width
    grid = text.partition("canaries, and")[0]
    for name in ("cut-after-record", *REAL):
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", grid), name


def test_a_grid_that_does_not_fit_names_each_client_with_its_square() -> None:
    text = rendered([result(Verdict.SILENT_LOSS), result(client="httpx")], 24)
    assert text.startswith("stream\n  httpx ✓   requests S!\n")
    assert rendered([result(client="httpx")], 24).startswith("scenario  httpx\n")


def test_the_routes_fit_as_well() -> None:
    routes = [
        result(client=client, scenario=name, host=host, route="direct")
        for name in list(ENVIRONMENTS)[:3]
        for client in ("urllib", "requests", "httpx", "httpx-async", "ollama", "ollama-async")
        for host in ("localhost", "127.0.0.1", "[::1]")
    ]
    text = rendered(routes, 40)
    assert max(map(len, text.split("\n"))) <= 40
    assert "  httpx DDD" in text
    assert "ollama-async DDD" in text
    assert "environment " in rendered(routes, 100)


@pytest.mark.same_everywhere
@pytest.mark.parametrize("what", ["clients", "scenarios", "environments", "faults", "rules", "recordings"])
def test_lists_become_blocks_where_columns_would_be_too_narrow(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_PIPE_WIDTH", 40)
    more = ["--ollama-version", "0.5.7"] if what == "recordings" else []
    narrow, rows = (
        CliRunner().invoke(commands, ["list", what, *more, *form], catch_exceptions=False).output
        for form in ([], ["--json"])
    )
    first = json.loads(rows)[0]
    lines = narrow.split("\n")
    assert max(map(len, lines)) <= 40
    assert sum(line.startswith(next(iter(first))) for line in lines) == len(json.loads(rows))
    words = re.findall(r"[\w-]+", " ".join(map(str, first.values())))
    assert words
    joined = re.sub(r"\s", "", narrow)
    assert [word for word in words if word not in joined and "None" not in word] == []


def test_a_block_is_indented_and_a_table_has_its_columns() -> None:
    rows = [[Text("a"), Text("words " * 12)], [Text("b"), Text()]]
    assert printed(Blocks(["name", "text"], rows), 10) == "name  a\ntext\n" + " words\n" * 12 + "\nname  b\n"
    assert printed(Blocks(["name", "text"], rows), 80).startswith("name  text ")


def test_a_flow_tears_no_item_apart() -> None:
    items = [Text("one two"), Text("three"), Text("four five six")]
    assert printed(Flow(items), 16) == "one two   three\nfour five six\n"
    assert printed(Flow(items, gap=1, indent=2), 80) == "  one two three four five six\n"


@given(st.integers(1, 50), st.text(st.sampled_from("ab ✓界"), max_size=80), st.integers(0, 20), st.integers(0, 20))
def test_a_paragraph_loses_nothing_at_any_width(width: int, text: str, by: int, indent: int) -> None:
    shown = printed(Hanging(Text(text), by=by, indent=indent), width)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text) or width < 2  # a wide character needs two columns


# ---------------------------------------------------------------------------------------------- hostile text


@settings(deadline=None, max_examples=50)
@given(hostile)
def test_text_is_printed_as_text_whatever_prints_it(text: str) -> None:
    for what in (text, Text(text), Hanging(Text(text)), Grid("a", [text]), Blocks(["n"], [[Text(text)]])):
        assert not DANGEROUS.search(printed(what).replace("\n", ""))
    assert "[red]x[/red] :smile: [/]" in printed("[red]x[/red] :smile: [/]")


@given(hostile)
def test_a_line_stays_one_line(text: str) -> None:
    runner = CliRunner()
    with runner.isolation() as (out, *_):
        echo(text, text)
        echo_json([text])
        shown = out.getvalue().decode().replace(os.linesep, "\n")
    assert not DANGEROUS.search(shown)
    assert shown.count("\n") == 2 + 3
    assert json.loads(shown.split("\n", 2)[2]) == [text]


def lines_at_the_edge(text: str) -> list[str]:
    return [line for line in text.split("\n") if line[:1].strip()]


@settings(deadline=None, max_examples=30)
@given(hostile, st.sampled_from([40, 200]))
def test_nothing_in_a_result_can_begin_a_line_of_the_report(text: str, width: int) -> None:
    """Scenario and client, the legend, the canaries, the cell's name and the counts: all of it is ours."""
    plain = rendered([result(Verdict.CORRUPT, why="x", message="x", raised="x")], width)
    other = rendered([result(Verdict.CORRUPT, why=text, message=text, raised=text)], width)
    assert not DANGEROUS.search(other)
    assert lines_at_the_edge(other) == lines_at_the_edge(plain)


def test_a_message_of_several_lines_keeps_them() -> None:
    shown = rendered([result(Verdict.CORRUPT, message="first\nsecond\n")])
    assert re.search(r"\n +first\n +second\n", shown)


def decision(text: str, **changes: str) -> Decision:
    fields = {"subject": text, "where": text, "was": text, "now": text}
    findings = [
        Finding(rule="field-gone", level=level, evidence=(Evidence(recording=text, old=text, new=text),), **fields)
        for level in Level
    ]
    return Decision(
        baseline=changes.get("baseline", "1.0.0"),
        candidate="1.0.1",
        fail_on=Level.BREAKING,
        findings=tuple(findings),
        accepted={findings[1].fingerprint: text},
        stale=(text,),
        unstable=(findings[0],),
        problems=(text,),
        recordings=1,
        only_new=(text,),
        cells=None,
    )


OURS = re.compile(
    r"BREAKING|NOTABLE|[0-9a-f]{12}(?:  |$)|noise: |differs between |recorded only with |accepted\.toml:|cannot tell"
)


@settings(deadline=None, max_examples=30)
@given(hostile, st.sampled_from([40, 200]))
def test_nothing_in_a_gate_can_begin_a_line_of_its_report(text: str, width: int) -> None:
    shown = printed(gate_decision.render(decision(text)), width)
    assert not DANGEROUS.search(shown)
    assert len(lines_at_the_edge(shown)) >= 8
    assert [line for line in lines_at_the_edge(shown) if not OURS.match(line)] == []


@given(hostile)
def test_the_last_line_of_a_gate_cannot_be_forged(text: str) -> None:
    said = decision("x", baseline=text).last_line
    assert said.startswith("gate: cannot tell: ")
    assert said.endswith("exit 3")
    assert not DANGEROUS.search(said)
    assert "\n" not in said


@given(hostile)
def test_the_page_and_the_explanation_of_a_gate_contain_no_foreign_line(text: str) -> None:
    one = decision(text)
    page = gate_decision.markdown(one)
    assert not DANGEROUS.search(page)
    assert [line for line in page.split("\n") if "gate: pass" in line and line.startswith("gate")] == []
    assert page.count("\n") == gate_decision.markdown(decision("x")).count("\n")
    assert len(gate_decision.explained(one.findings[0])) == len(gate_decision.explained(decision("x").findings[0]))


def test_every_name_of_a_scenario_fits_a_narrow_terminal() -> None:
    assert max(map(len, SCENARIOS)) < 40
