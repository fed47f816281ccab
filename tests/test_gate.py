"""The gate: its decision on differences, and how its command prints it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders import recording, result
from click.testing import CliRunner
from click.testing import Result as Ran

from ollama_harness import FakeOllama
from ollama_harness.cli import commands
from ollama_harness.cli import gate as cli_gate
from ollama_harness.errors import GateError, HarnessError
from ollama_harness.gate import accepted, gate_file
from ollama_harness.gate._client_comparison import ClientComparison, compare
from ollama_harness.gate.decision import Decision, decide
from ollama_harness.gate.findings import Evidence, Finding
from ollama_harness.gate.gate_run import gate, planned
from ollama_harness.gate.rules import Level
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.gate.shapes.toml_text import dump
from ollama_harness.gate.wire_comparison import WireComparison
from ollama_harness.matrix.results import SCHEMA, Result, Results, ResultsHeader
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.store import packaged_store
from pages.wire_claims import CLAIMS
from pages.wire_history import in_time, pairs, step, when

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent
RECORDINGS = packaged_store().root
TODAY = date(2026, 11, 23)
BREAKING, NOTABLE, NOISE = (
    Finding(
        rule=rule, level=level, subject="POST /api/chat", where="last .done", was="boolean", now="gone",
        evidence=(Evidence(recording="chat-stream"),),
    )
    for rule, level in (("field-gone", Level.BREAKING), ("field-added", Level.NOTABLE), ("values-differ", Level.NOISE))
)  # fmt: skip
COMPARED = ("chat-load", "chat-stream", "version")
CELLS = ("httpx/stream/chat-stream", "requests/stream/chat-stream")
ENTRY = f"""[[accepted]]
fingerprint = "{BREAKING.fingerprint}"
reason = "our client does not read it"
seen_in = "chat-stream"
versions = ">=0.9,<0.13"
expires = 2027-01-01
"""


def decided(*findings: Finding, **changes: Any) -> Decision:
    wire = WireComparison(findings=findings, unstable=(), compared=COMPARED, only_new=(), incomparable=())
    given: dict[str, Any] = {
        "baseline": "0.9.6", "candidate": "0.12.11", "wire": wire, "today": TODAY,
        "clients": ClientComparison(findings=(), compared=CELLS, problems=()),
    }  # fmt: skip
    return decide(**{**given, **changes})


def entries(tmp_path: Path, text: str = ENTRY) -> tuple[accepted.Acceptance, ...]:
    path = tmp_path / "accepted.toml"
    path.write_text(text, encoding="utf-8")
    return accepted.load(path)


# ------------------------------------------------------------------------------------------------- the decision


@pytest.mark.parametrize(
    ("findings", "fail_on", "exit_code"),
    [
        ((), Level.BREAKING, 0),
        ((NOISE,), Level.NOTABLE, 0),
        ((NOTABLE, NOISE), Level.BREAKING, 0),
        ((NOTABLE,), Level.NOTABLE, 1),
        ((BREAKING,), Level.BREAKING, 1),
    ],
)
def test_the_exit_code_follows_from_the_gravest_finding(
    findings: tuple[Finding, ...], fail_on: Level, exit_code: int
) -> None:
    assert decided(*findings, fail_on=fail_on).exit_code == exit_code


def test_the_last_line_has_a_fixed_form() -> None:
    assert decided(BREAKING, NOTABLE, NOISE, NOISE).last_line == (
        "gate: fail: 0.9.6 -> 0.12.11: 1 breaking, 1 notable, 2 noise, 0 accepted; 3 recordings, 2 cells; exit 1"
    )
    assert decided(clients=None).last_line.endswith("; 3 recordings, no clients; exit 0")


@pytest.mark.parametrize(
    "changes",
    [
        {"problems": ["unequal conditions"]},
        {"wire": WireComparison(findings=(), unstable=(), compared=(), only_new=(), incomparable=())},
        {
            "wire": WireComparison(
                findings=(BREAKING,), unstable=(), compared=COMPARED, only_new=(), incomparable=("x is missing",)
            )
        },
        {"clients": ClientComparison(findings=(), compared=(), problems=())},
        {"clients": ClientComparison(findings=(), compared=CELLS, problems=("baseline: inconclusive",))},
    ],
)
def test_cannot_tell_is_3_and_never_0(changes: dict[str, Any]) -> None:
    one = decided(**changes)
    assert one.exit_code == 3
    assert one.problems
    assert one.last_line.startswith("gate: cannot tell: ")


def test_what_is_accepted_is_no_reason_to_fail(tmp_path: Path) -> None:
    one = decided(BREAKING, acceptances=entries(tmp_path))
    assert (one.exit_code, one.red, one.stale) == (0, (), ())
    assert "0 breaking, 0 notable, 0 noise, 1 accepted" in one.last_line


@pytest.mark.parametrize(
    ("seen_in", "clients", "unused"),
    [
        ("chat-stream", None, True),
        ("chat-tools", None, False),  # a recording that this gate has not
        ("requests/stream/chat-stream", CELLS, True),
        ("requests/stream/0.24.0/chat-stream", CELLS, True),
        ("ollama/stream/chat-stream", CELLS, False),  # a client that it did not run
        ("requests/stream/chat-stream", None, False),  # it ran none
    ],
)
def test_an_entry_that_no_finding_needs_is_red_where_the_finding_would_have_been_seen(
    seen_in: str, clients: tuple[str, ...] | None, unused: bool, tmp_path: Path
) -> None:
    compared = clients and ClientComparison(findings=(), compared=clients, problems=())
    text = ENTRY.replace('"chat-stream"', f'"{seen_in}"')
    one = decided(acceptances=entries(tmp_path, text), clients=compared)
    assert ["matches no finding of this gate; remove the entry" in line for line in one.stale] == [True] * unused
    assert one.exit_code == unused


def test_an_entry_accepts_on_the_day_that_it_expires(tmp_path: Path) -> None:
    one = decided(BREAKING, acceptances=entries(tmp_path), today=date(2027, 1, 1))
    assert (one.exit_code, one.red, one.stale) == (0, (), ())


def test_an_expired_entry_accepts_nothing_and_is_red(tmp_path: Path) -> None:
    one = decided(BREAKING, acceptances=entries(tmp_path), today=date(2027, 1, 2))
    assert one.red == (BREAKING,)
    assert "expired on 2027-01-01" in one.stale[0]


def test_an_entry_for_other_versions_does_not_apply(tmp_path: Path) -> None:
    assert decided(BREAKING, acceptances=entries(tmp_path), candidate="0.13.0").red == (BREAKING,)
    assert decided(acceptances=entries(tmp_path), candidate="0.13.0").stale == ()
    with pytest.raises(GateError, match="'main', which cannot be compared"):
        decided(acceptances=entries(tmp_path), candidate="main")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "accepted.toml: is no TOML"),
        ("x = 1\n", "holds something other than entries"),
        (ENTRY.replace("reason", "why"), "entry 1: reason: is missing"),
        (ENTRY + 'note = "x"\n', "entry 1: note: is not a field of the format"),
        (ENTRY.replace(BREAKING.fingerprint, "abc"), "make it 12 hex digits"),
        (ENTRY.replace(">=0.9,<0.13", "new ones"), "make it a range of versions"),
        (ENTRY.replace(">=0.9,<0.13", " "), "make it a range of versions"),
        (ENTRY.replace(">=0.9,<0.13", ">=" + "9" * 5000), "make it a range of versions"),
        (ENTRY.replace("2027-01-01", '"soon"'), "make it a date"),
        (ENTRY.replace("2027-01-01", "2027-01-01T00:00:00"), "make it a date"),
        ("accepted = [1]\n", "entry 1: is 1; make it a JSON object"),
        (ENTRY + ENTRY, "is accepted twice"),
    ],
)
def test_a_list_that_cannot_be_meant_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(GateError, match=said):
        entries(tmp_path, text)


def test_a_decision_comes_back_from_disk(tmp_path: Path) -> None:
    gate_file.save(decided(BREAKING, NOISE), tmp_path)
    assert gate_file.load(tmp_path) == (BREAKING, NOISE)
    assert gate_file.explain(gate_file.load(tmp_path), BREAKING.fingerprint[:6]) == BREAKING
    with pytest.raises(GateError, match="no finding of the last gate has the fingerprint 'zz'"):
        gate_file.explain(gate_file.load(tmp_path), "zz")
    (tmp_path / gate_file.FILE).write_text("{}")
    with pytest.raises(GateError, match="run the gate again"):
        gate_file.load(tmp_path)
    with pytest.raises(GateError, match="cannot be read"):
        gate_file.load(tmp_path / "nowhere")


# -------------------------------------------------------------------------------------------------- the clients


def run(*cells: Result, **changes: Any) -> Results:
    header: dict[str, Any] = {
        "schema": SCHEMA, "harness": "1", "os": "Linux", "python": "3.13.0", "clients": {"requests": "2"},
        "recordings": {"1/chat-stream": "hash"}, "planned": len(cells), "started_at": "",
    }  # fmt: skip
    return Results(ResultsHeader(**{**header, **changes}), cells)


def held(old: Results, new: Results) -> ClientComparison:
    return compare(old, new, old_hashes={"chat-stream": "hash"}, new_hashes={"chat-stream": "hash"})


def test_cells_are_compared_whatever_their_version() -> None:
    old, new = result(recording="1/chat-stream"), result(Verdict.SILENT_LOSS, recording="2/chat-stream")
    (finding,) = held(run(old), run(new)).findings
    assert (finding.rule, finding.level) == ("more-harm", Level.BREAKING)


def test_of_several_runs_of_a_cell_the_worst_counts() -> None:
    runs = (result(), result(Verdict.HANG, run=2), result(run=3))
    assert not held(run(*runs), run(*reversed(runs))).findings
    (finding,) = held(run(result()), run(*runs)).findings
    assert (finding.rule, finding.level) == ("more-harm", Level.BREAKING)


def test_a_cell_that_is_missing_is_breaking() -> None:
    cells = result(), result(scenario="stall")
    found = held(run(*cells), run(cells[0]))
    assert [(one.rule, one.level) for one in found.findings] == [("cell-missing", Level.BREAKING)]
    assert found.compared == ("requests/stream/chat-stream",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python": "3.12.1"}, "unequal conditions: the runs had python"),
        ({"clients": {"requests": "3"}}, "unequal conditions: requests was 2 and 3"),
        ({"recordings": {"1/chat-stream": "other"}}, "the results are of other recordings"),
        ({"recordings": {}}, "do not say which recordings"),
        ({"recordings": {"1/chat-stream": "other", "2/chat-stream": "hash"}}, "of several versions (1, 2)"),
    ],
)
def test_runs_under_unequal_conditions_say_nothing(changes: dict[str, Any], said: str) -> None:
    assert any(said in one for one in held(run(result()), run(result(), **changes)).problems)


def test_a_run_that_is_not_healthy_proves_nothing() -> None:
    inconclusive = run(result(), result(Verdict.INCONCLUSIVE, scenario="stall"))
    assert "baseline: 1 cells are inconclusive" in held(inconclusive, run(result())).problems[0]
    away = run(result(), result(Verdict.PASS, client="canary-deaf", scenario="cut-after-record"))
    assert any("canaries were not found out" in one for one in held(away, run(result())).problems)
    assert any("no cell of a client" in one for one in held(run(), run()).problems)


# ------------------------------------------------------------------------------------------------- the versions


def test_takes_of_other_versions_and_machines_are_unequal_conditions() -> None:
    old, new = VersionShapes.read(RECORDINGS / "0.5.7"), VersionShapes.read(RECORDINGS / "0.9.6")
    assert gate([old, new], new).exit_code == 3
    elsewhere = VersionShapes.of(
        replace(one, platform="windows/x86_64") for one in packaged_store().of_version("0.9.6")
    )
    assert any("recorded on linux/x86_64 and windows/x86_64" in one for one in gate([old], elsewhere).problems)


def test_the_gate_plays_the_recordings_of_a_directory() -> None:
    cells = planned(RECORDINGS / "again" / "0.5.7", ["requests"])
    assert {cell.recording.id.partition("/")[0] for cell in cells} == {"0.5.7"}
    assert {cell.client.name for cell in cells if not cell.client.is_canary} == {"requests"}


def test_every_claim_is_seen_in_its_version_or_has_a_reason() -> None:
    store = packaged_store()
    steps = [step(store, pair) for pair in pairs(store) if not pair.is_noise]
    assert CLAIMS
    for claim in CLAIMS:
        found = when(claim, steps)
        assert (found is None) == bool(claim.unseen), claim
        assert found is None or in_time(claim, found[0]) != bool(claim.unlike), claim


@pytest.mark.parametrize(
    "directory", [*RECORDINGS.glob("[0-9]*"), *RECORDINGS.glob("again/*")], ids=lambda path: path.name
)
def test_the_shapes_beside_the_recordings_are_current(directory: Path) -> None:
    text = (directory / "shapes.toml").read_text(encoding="utf-8")
    assert text == dump(VersionShapes.read(directory)), f"run: ollama-harness shapes {directory}"


# -------------------------------------------------------------------------------------------------- the command


def invoke(*arguments: str | Path) -> Ran:
    done = CliRunner().invoke(commands, list(map(str, arguments)))
    if isinstance(done.exception, HarnessError):
        done.exit_code = 2
    return done


def wire(old: str, new: str, out: Path, *more: str | Path) -> Ran:
    sides = ("--baseline", RECORDINGS / old, "--candidate", RECORDINGS / new)
    return invoke("gate", *sides, "--wire-only", "--out", out, *more)


@pytest.mark.parametrize("version", ["0.5.7", "0.32.15"])
def test_a_second_take_passes_even_the_strictest_gate(version: str, tmp_path: Path) -> None:
    done = wire(version, f"again/{version}", tmp_path, "--fail-on", "notable")
    assert done.exit_code == 0
    assert "0 breaking, 0 notable" in done.output.splitlines()[-1]


def test_an_upgrade_that_breaks_fails_and_each_finding_is_explained(tmp_path: Path) -> None:
    done = wire("0.9.6", "0.12.11", tmp_path)
    assert done.exit_code == 1
    assert "last: done_reason, done -> done, done_reason" in done.output
    assert (tmp_path / "gate.md").read_text(encoding="utf-8").startswith("# Ollama 0.9.6 -> 0.12.11")
    found = next(one for one in gate_file.load(tmp_path) if one.rule == "vector-length-changed")
    explained = invoke("gate", "--explain", found.fingerprint, "--out", tmp_path).output
    assert "576 numbers" in explained
    assert "why it matters: A vector database" in explained
    assert f'fingerprint = "{found.fingerprint}"' in explained


def test_accepted_findings_pass(tmp_path: Path) -> None:
    wire("0.24.0", "0.32.15", tmp_path)
    levels = Counter(one.level for one in gate_file.load(tmp_path))
    breaking = {
        one.fingerprint: one.evidence[0].recording for one in gate_file.load(tmp_path) if one.level is Level.BREAKING
    }
    text = "".join(
        ENTRY.replace(BREAKING.fingerprint, one).replace(">=0.9,<0.13", ">=0.30").replace("chat-stream", recording)
        for one, recording in breaking.items()
    )
    (tmp_path / "accepted.toml").write_text(text.replace("2027-01-01", "2999-01-01"), encoding="utf-8")
    done = wire("0.24.0", "0.32.15", tmp_path, "--accept", tmp_path / "accepted.toml")
    assert done.exit_code == 0
    assert f"0 breaking, {levels[Level.NOTABLE]} notable, {levels[Level.NOISE]} noise, " in done.output
    assert f" noise, {levels[Level.BREAKING]} accepted" in done.output


def test_two_servers_are_recorded_and_compared(tmp_path: Path) -> None:
    out, few = tmp_path / "gate", ("--only", "version", "--only", "ps-*", "--only", "error-wrong-*")
    with FakeOllama(version="0.5.7", speed=0) as old, FakeOllama(version="0.9.6", speed=0) as new:
        live = ("gate", "--live", old.url, new.url, *few, "--model", "smollm2:135m", "--wire-only", "--out", out)
        done = invoke(*live)
        again = invoke(*live)
    assert "4 exchanges with Ollama 0.5.7 recorded" in done.output, done.output
    assert "404 -> 405" in done.output
    assert again.exit_code == 2
    assert "exists, from an earlier gate" in str(again.exception)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ((), "no model is named; give --model with one of the models at OLD: "),
        (("--model", "nobody"), "OLD has no model called 'nobody'; it has "),
        (("--model", "smollm2:135m"), "NEW has no model called 'smollm2:135m'; it has other:1b"),
    ],
)
def test_neither_server_is_recorded_unless_both_have_the_model(
    tmp_path: Path, model: tuple[str, ...], said: str
) -> None:
    tags = b'{"models":[{"name":"other:1b"}]}'
    with FakeOllama(speed=0) as old, FakeOllama(speed=0) as new:
        new.play(recording(tags, media_type="application/json", method="GET", path="/api/tags"))
        done = invoke("gate", "--live", old.url, new.url, *model, "--wire-only", "--out", tmp_path / "gate")
    assert isinstance(done.exception, HarnessError)
    assert said.replace("OLD", old.url).replace("NEW", new.url) in str(done.exception)
    assert not (tmp_path / "gate").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "nowhere", "--candidate", "nowhere"), "nowhere is not a directory"),
        (("--baseline", "empty", "--candidate", "empty"), "empty: the recordings are missing"),
        (("--baseline", str(RECORDINGS), "--candidate", "empty"), "of several versions of Ollama: 0.12.11, 0.24.0"),
        (("--baseline", "empty"), "give --baseline and --candidate"),
        (("--baseline", "a", "--candidate", "b", "--client", "httpx"), "--wire-only runs no client"),
        (("--live", "http://a", "http://b", "--baseline", "a"), "--baseline has no effect with --live"),
        (("--baseline", "a", "--candidate", "b", "--results", "c", "d"), "--wire-only has no effect with --results"),
        (("--baseline", "a", "--candidate", "b", "--only", "c"), "--only has no effect without --live"),
        (("--baseline", "a", "--candidate", "b", "--model", "c"), "--model has no effect without --live"),
        (("--explain", "0123"), "--wire-only has no effect with --explain"),
    ],
)
def test_bad_input_is_one_clear_error_and_writes_nothing(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = invoke("gate", "--wire-only", *arguments)
    assert done.exit_code == 2
    assert said in done.output + str(done.exception)
    assert [one.name for one in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "{old}", "--candidate", "{new}", "--out", "file/out"), "file/out: cannot be written"),
        (("--baseline", "{old}", "--candidate", "{new}", "--out", "file/out", "--wire-only"), "file/out: cannot be"),
        (
            ("--baseline", "{old}", "--candidate", "{odd}", "--accept", "accepted.toml"),
            "'main', which cannot be compared",
        ),
    ],
)
def test_what_will_fail_at_the_end_fails_before_the_matrix_is_run(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli_gate, "run_with_progress", lambda *_, **__: pytest.fail("the matrix was run"))
    small = packaged_store().get("0.32.15/version")
    for version in ("0.24.0", "0.32.15", "main"):
        on_disk.save(replace(small, ollama_version=version), tmp_path / "recordings" / version)
    places = {
        name: f"recordings/{version}" for name, version in (("old", "0.24.0"), ("new", "0.32.15"), ("odd", "main"))
    }
    Path("file").write_text("")
    Path("accepted.toml").write_text(ENTRY, encoding="utf-8")
    done = invoke("gate", *(one.format(**places) for one in arguments))
    assert done.exit_code == 2
    assert said.replace("/", os.sep) in done.output + str(done.exception)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["accepted.toml", "file", "recordings"]


def test_what_explains_a_finding_is_what_accepts_it(tmp_path: Path) -> None:
    wire("0.9.6", "0.12.11", tmp_path)
    found = next(one for one in gate_file.load(tmp_path) if one.rule == "vector-length-changed")
    lines = invoke("gate", "--explain", found.fingerprint, "--out", tmp_path).output.split("\n")
    entry = "\n".join(lines[lines.index("[[accepted]]") :])
    entry = entry.replace("…,<…", "0.12").replace("YYYY-MM-DD", "2999-01-01")
    (accepted_,) = entries(tmp_path, entry)
    assert (accepted_.fingerprint, accepted_.reason) == (found.fingerprint, "…")
    assert accepted_.seen_in == found.evidence[0].recording
