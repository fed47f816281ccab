"""known_issues.toml: strict in both directions, and every way to get it wrong has its sentence."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ollama_harness.errors import ExpectationError, UnknownName
from ollama_harness.matrix.expectations import assess, unknown_versions
from ollama_harness.matrix.known_issues import load
from ollama_harness.matrix.results import Result
from ollama_harness.oracle.verdict import Verdict

pytestmark = pytest.mark.same_everywhere

TODAY = date(2026, 11, 22)
ENTRY = """\
[[issue]]
clients = ["ollama"]
scenarios = ["next-line"]
verdict = "false-alarm"
reason = "splits at U+0085"
link = "https://example.org/1"
review = 2027-06-01
"""


def cell(
    client: str,
    verdict: Verdict,
    *,
    scenario: str = "next-line",
    requirement: str = "MUST",
    recording: str = "1/r",
    **more: Any,
) -> Result:
    return Result(
        client=client,
        scenario=scenario,
        recording=recording,
        requirement=requirement,
        layer="http",
        verdict=verdict,
        why="because",
        end="complete (whole)",
        due=1,
        got=1,
        **more,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "known_issues.toml"
    path.write_text(ENTRY, encoding="utf-8")
    return path


def exit_code(file: Path, *cells: Result, full: bool = False) -> int:
    return assess(cells, load(file), full=full, today=TODAY).exit_code


def test_the_expected_verdict_is_fine_and_so_is_a_pass_elsewhere(file: Path) -> None:
    assert exit_code(file, cell("ollama", Verdict.FALSE_ALARM), cell("requests", Verdict.PASS), full=True) == 0


@pytest.mark.parametrize(
    ("actual", "advice"),
    [
        (Verdict.PASS, 'known_issues.toml:1: verdict = "false-alarm" no longer holds; remove next-line from the entry'),
        (Verdict.UNDOCUMENTED, 'no longer holds; check the issue, it is now "undocumented"'),
        (Verdict.CORRUPT, 'no longer holds; check the issue, it is now "corrupt"'),
    ],
)
def test_better_different_and_worse_are_red_and_name_the_line(actual: Verdict, advice: str, file: Path) -> None:
    report = assess([cell("ollama", actual)], load(file), full=False, today=TODAY)
    assert report.exit_code == 1
    assert advice in report.unexpected[0].advice


def test_an_unexpected_verdict_is_red_and_comes_with_the_entry_to_add(file: Path) -> None:
    report = assess([cell("requests", Verdict.FALSE_ALARM)], load(file), full=False, today=TODAY)
    assert report.exit_code == 1
    assert (
        '[[issue]] clients = ["requests"], scenarios = ["next-line"], verdict = "false-alarm"'
        in report.unexpected[0].advice
    )


def test_an_entry_whose_review_date_has_passed_is_red(file: Path) -> None:
    report = assess([cell("ollama", Verdict.FALSE_ALARM)], load(file), full=False, today=date(2028, 1, 1))
    assert report.exit_code == 1
    assert "known_issues.toml:1: the review date 2027-06-01 has passed" in report.stale[0]


def test_review_dates_count_only_where_a_day_is_given(file: Path) -> None:
    report = assess([cell("ollama", Verdict.FALSE_ALARM)], load(file), full=False, today=None)
    assert (report.exit_code, report.stale) == (0, ())


@pytest.mark.parametrize(("today", "exit_code"), [(date(2027, 6, 1), 0), (date(2027, 6, 2), 1)])
def test_a_review_is_due_on_its_day_and_late_the_day_after(file: Path, today: date, exit_code: int) -> None:
    report = assess([cell("ollama", Verdict.FALSE_ALARM)], load(file), full=False, today=today)
    assert (report.exit_code, len(report.stale)) == (exit_code, exit_code)


def test_an_entry_that_matches_nothing_is_red_on_full_runs_only(file: Path) -> None:
    observed = cell("ollama", Verdict.PASS, requirement="OBSERVE")  # an entry is about what is required
    assert exit_code(file, observed) == 0
    assert exit_code(file, observed, full=True) == 1


def test_an_entry_about_a_client_that_is_not_installed_is_not_stale(file: Path) -> None:
    assert exit_code(file, cell("requests", Verdict.PASS), full=True) == 0


def test_every_pair_of_an_entry_must_match_something_on_a_full_run(file: Path) -> None:
    file.write_text(ENTRY.replace('["next-line"]', '["next-line", "unicode"]'), encoding="utf-8")
    ran = [cell("ollama", Verdict.FALSE_ALARM), cell("requests", Verdict.PASS, scenario="unicode")]
    report = assess(ran, load(file), full=True, today=TODAY)
    assert [text.partition(": ")[2] for text in report.stale] == ["ollama in unicode matches no cell; remove it"]


def test_a_scenario_that_was_not_run_makes_no_entry_stale(file: Path) -> None:
    file.write_text(ENTRY.replace('["next-line"]', '["next-line", "unicode"]'), encoding="utf-8")
    assert exit_code(file, cell("ollama", Verdict.FALSE_ALARM), full=True) == 0


def test_an_entry_may_be_about_one_recording(file: Path) -> None:
    entry = ENTRY.replace('["next-line"]', '["gzip"]')
    file.write_text(entry.replace("verdict", 'recordings = ["generate-cold"]\nverdict', 1), encoding="utf-8")
    known = cell("ollama", Verdict.FALSE_ALARM, scenario="gzip", recording="0.32.15/generate-cold")
    assert exit_code(file, known, cell("ollama", Verdict.PASS, scenario="gzip", recording="0.32.15/chat-france")) == 0
    assert exit_code(file, dataclasses.replace(known, recording="0.32.15/chat-france")) == 1
    file.write_text(entry.replace("verdict", 'recordings = ["tags"]\nverdict', 1), encoding="utf-8")
    with pytest.raises(ExpectationError, match="recordings is not a list of recordings that these scenarios play"):
        load(file)


def test_an_entry_may_be_about_one_form_of_url(file: Path) -> None:
    file.write_text(
        ENTRY.replace('["next-line"]', '["no-proxy-list"]').replace("verdict", 'hosts = ["[::1]"]\nverdict', 1),
        encoding="utf-8",
    )
    known = cell("ollama", Verdict.FALSE_ALARM, scenario="no-proxy-list", host="[::1]")
    assert exit_code(file, known, cell("ollama", Verdict.PASS, scenario="no-proxy-list", host="localhost")) == 0
    assert exit_code(file, dataclasses.replace(known, host="localhost")) == 1
    file.write_text(ENTRY.replace("verdict", 'hosts = ["[::1]"]\nverdict', 1), encoding="utf-8")
    with pytest.raises(ExpectationError, match="hosts is not a list of hosts"):
        load(file)


@pytest.mark.parametrize(
    ("python", "holds"),
    [((3, 11, 8), False), ((3, 11, 9), True), ((3, 12, 2), False), ((3, 12, 4), True), ((3, 13, 0), True)],
)
def test_an_entry_may_apply_from_a_release_of_python_on(file: Path, python: tuple[int, ...], holds: bool) -> None:
    file.write_text(ENTRY.replace("verdict", 'since_python = ["3.11.9", "3.12.3"]\nverdict', 1), encoding="utf-8")
    assert bool(load(file, python=python)) is holds


def test_an_entry_never_covers_canaries(file: Path) -> None:
    file.write_text(ENTRY.replace('["ollama"]', '["ollama", "canary-perfect"]'), encoding="utf-8")
    assert exit_code(file, cell("ollama", Verdict.FALSE_ALARM), cell("canary-perfect", Verdict.FALSE_ALARM)) == 3


def test_what_is_only_observed_never_gates(file: Path) -> None:
    for verdict in (Verdict.PASS, Verdict.SILENT_LOSS, Verdict.CRASH):
        assert exit_code(file, cell("requests", verdict, requirement="OBSERVE")) == 0


def test_inconclusive_is_never_fine(file: Path) -> None:
    assert exit_code(file, cell("requests", Verdict.INCONCLUSIVE)) == 3
    assert exit_code(file, cell("requests", Verdict.INCONCLUSIVE, requirement="OBSERVE")) == 3
    assert exit_code(file, cell("ollama", Verdict.INCONCLUSIVE)) == 3, "nor does a known issue excuse it"
    assert exit_code(file, cell("requests", Verdict.INCONCLUSIVE), cell("httpx", Verdict.CRASH)) == 1


def test_unsupported_is_not_red_but_nothing_else_is_3(file: Path) -> None:
    assert exit_code(file, cell("ollama", Verdict.UNSUPPORTED), cell("requests", Verdict.PASS)) == 0
    assert exit_code(file, cell("ollama", Verdict.UNSUPPORTED)) == 3
    assert exit_code(file) == 3


def test_a_canary_is_not_to_blame_where_the_system_cannot_do_the_fault(file: Path) -> None:
    untried = cell("canary-trusting", Verdict.UNSUPPORTED, scenario="reset-after-many-records")
    away = cell("canary-trusting", Verdict.PASS, scenario="reset-after-many-records")
    fine = cell("requests", Verdict.PASS)
    assert (exit_code(file, fine, untried), exit_code(file, fine, away)) == (0, 3)


def test_a_canary_that_gets_away_spoils_everything(file: Path) -> None:
    fine = cell("requests", Verdict.PASS)
    assert exit_code(file, fine, cell("canary-deaf", Verdict.SILENT_LOSS, scenario="cut-after-record")) == 0
    assert exit_code(file, fine, cell("canary-deaf", Verdict.PASS, scenario="cut-after-record")) == 3


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('reason = "splits at U+0085"\n', "", "known_issues.toml:1: reason is missing"),
        ('"https://example.org/1"', '""', "link is missing"),
        ("2027-06-01", '"soon"', "review is missing or not a date"),
        ('"false-alarm"', '"pass"', "verdict 'pass' cannot be expected"),
        ('"false-alarm"', '"inconclusive"', "verdict 'inconclusive' cannot be expected"),
        ('"false-alarm"', '"wrong"', "verdict 'wrong' cannot be expected"),
        ('["next-line"]', "[]", "scenarios is missing or not a list"),
        ('["ollama"]', '"ollama"', "clients is missing or not a list"),
        ("review =", 'note = "x"\nreview =', "note is not a field of an entry"),
        ("[[issue]]", "[[issue", "is no TOML"),
    ],
)
def test_each_mistake_in_an_entry_has_its_sentence(old: str, new: str, sentence: str, file: Path) -> None:
    file.write_text(ENTRY.replace(old, new), encoding="utf-8")
    with pytest.raises(ExpectationError) as caught:
        load(file)
    assert sentence in str(caught.value)


def test_names_in_entries_are_checked(file: Path) -> None:
    file.write_text(ENTRY.replace('"ollama"', '"olama"'), encoding="utf-8")
    with pytest.raises(UnknownName, match="did you mean ollama"):
        load(file)


def test_the_second_entry_is_found_on_its_own_line(file: Path) -> None:
    file.write_text(f"# a comment\n{ENTRY}\n{ENTRY}", encoding="utf-8")
    assert [one.place.rpartition(":")[2] for one in load(file)] == ["2", "10"]


@pytest.mark.parametrize(
    "text",
    [
        ENTRY.replace("[[issue]]", "[[issues]]"),
        ENTRY.replace("[[issue]]", "[issue]"),
        f"[settings]\nstrict = false\n{ENTRY}",
        'issue = "none"',
        "issue = [1]",
        "issue = [{ client = 'ollama' }]",
    ],
)
def test_a_file_without_a_list_of_entries_is_refused(text: str, file: Path) -> None:
    """Above all a table called almost like the right one: its entries would expect nothing, in silence."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ExpectationError):
        load(file)


def test_a_review_is_a_date_and_no_time(file: Path) -> None:
    file.write_text(ENTRY.replace("2027-06-01", "2027-06-01T12:00:00Z"), encoding="utf-8")
    with pytest.raises(ExpectationError, match="review is missing or not a date"):
        load(file)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("# no \u2028 line\n", id="in a comment"),
        pytest.param(ENTRY.replace("at", "\u0085 \u2028"), id="in a string"),
        pytest.param(ENTRY.replace('"splits', '"""\n[[issue]]\n""" # "'), id="an entry in a string"),
    ],
)
def test_the_line_of_an_entry_is_counted_as_toml_counts_lines(before: str, file: Path) -> None:
    """Lines end at LF only, and what stands in a string is no entry."""
    file.write_text(before + ENTRY, encoding="utf-8")
    assert load(file)[-1].place == f"{file}:{before.count(chr(10)) + 1}"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExpectationError, match="cannot be read"):
        load(tmp_path / "known_issues.toml")


def test_of_two_entries_for_one_cell_the_second_matches_nothing(file: Path) -> None:
    file.write_text(ENTRY + ENTRY, encoding="utf-8")
    report = assess([cell("ollama", Verdict.FALSE_ALARM)], load(file), full=True, today=TODAY)
    assert report.exit_code == 1
    assert [text.partition(": ")[2] for text in report.stale] == ["ollama in next-line matches no cell; remove it"]


def test_a_run_of_canaries_alone_counts_and_an_empty_one_does_not(file: Path) -> None:
    assert exit_code(file, cell("canary-perfect", Verdict.PASS)) == 0
    assert exit_code(file) == 3


@pytest.mark.parametrize(
    ("python", "holds"),
    [((3, 11, 8), False), ((3, 11, 9), True), ((3, 12, 9), False), ((3, 13, 1), True), ((3, 14, 0), True)],
)
def test_a_line_of_python_has_a_defect_from_the_release_that_is_named_and_later_lines_have_it(
    python: tuple[int, ...], holds: bool, file: Path
) -> None:
    file.write_text(ENTRY.replace("verdict", 'since_python = ["3.11.9", "3.13.1"]\nverdict', 1), encoding="utf-8")
    assert len(load(file, python=python)) == holds


FLAPS = ENTRY.replace('verdict = "false-alarm"', 'verdicts = ["pass", "hang"]\nrate = "7/30"')


@pytest.mark.parametrize(
    ("actual", "red"), [(Verdict.HANG, 0), (Verdict.PASS, 0), (Verdict.BUFFERED, 1), (Verdict.SILENT_LOSS, 1)]
)
def test_a_client_that_flaps_may_show_each_of_its_verdicts_and_no_other(actual: Verdict, red: int, file: Path) -> None:
    file.write_text(FLAPS, encoding="utf-8")
    report = assess([cell("ollama", actual)], load(file), full=True, today=TODAY)
    assert report.exit_code == red
    if red:
        advice = (
            'known_issues.toml:1: verdicts = ["hang", "pass"], rate = "7/30" no longer holds; check the issue, it is'
        )
        assert f'{advice} now "{actual}"' in report.unexpected[0].advice


@pytest.mark.parametrize(
    ("hangs", "runs", "red"), [(0, 20, 0), (7, 30, 0), (29, 30, 0), (0, 60, 1), (6, 6, 1), (1, 1, 0)]
)
def test_a_rate_is_red_if_repeated_runs_show_that_it_cannot_be(hangs: int, runs: int, red: int, file: Path) -> None:
    file.write_text(FLAPS, encoding="utf-8")
    verdicts = [Verdict.HANG] * hangs + [Verdict.PASS] * (runs - hangs)
    report = assess(
        [cell("ollama", verdict, run=number) for number, verdict in enumerate(verdicts, 1)],
        load(file),
        full=False,
        today=TODAY,
    )
    assert (report.exit_code, len(report.stale)) == (red, red)
    assert all(f"was hang in {hangs} of {runs} runs" in line for line in report.stale)


def test_runs_that_differ_come_with_the_entry_that_describes_them(file: Path) -> None:
    shown = [Verdict.PASS, Verdict.BUFFERED, Verdict.HANG, Verdict.PASS]
    runs = [cell("requests", verdict, run=number) for number, verdict in enumerate(shown, 1)]
    report = assess(runs, load(file), full=False, today=TODAY)
    assert 'verdicts = ["hang", "buffered", "pass"], rate = "1/4", with reason' in report.unexpected[0].advice


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('rate = "7/30"', "", 'write "7/30"'),
        ('"7/30"', '"30/7"', 'write "7/30"'),
        ('"7/30"', '"0/30"', 'write "7/30"'),
        ('"7/30"', "0.23", 'write "7/30"'),
        ('verdicts = ["pass", "hang"]', "", "verdicts is not a list of two or more"),
        ('["pass", "hang"]', '["hang"]', "verdicts is not a list of two or more"),
        ('["pass", "hang"]', '["hang", "hang"]', "verdicts is not a list of two or more"),
        ('["pass", "hang"]', '"hang"', "verdicts is not a list of two or more"),
        ('["pass", "hang"]', '["hang", "inconclusive"]', "verdict 'inconclusive' cannot be expected"),
        ('["pass", "hang"]', '["hang", ["pass"]]', "cannot be expected"),
        ("rate", 'verdict = "hang"\nrate', "give either verdict, or verdicts and rate"),
    ],
)
def test_each_mistake_in_an_entry_that_flaps_has_its_sentence(old: str, new: str, sentence: str, file: Path) -> None:
    file.write_text(FLAPS.replace(old, new), encoding="utf-8")
    with pytest.raises(ExpectationError) as caught:
        load(file)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("version", "verdict", "code"),
    [
        ("7.88.1", Verdict.SILENT_LOSS, 0),
        ("7.88.1", Verdict.PASS, 1),
        ("8.5.0", Verdict.SILENT_LOSS, 0),
        ("8.5.0", Verdict.PASS, 0),
        ("8.5.0", Verdict.CRASH, 0),
        ("7.8", Verdict.CRASH, 0),
        ("8.5.0", Verdict.INCONCLUSIVE, 3),
    ],
)
def test_a_version_that_the_list_does_not_know_is_never_red(
    file: Path, version: str, verdict: Verdict, code: int
) -> None:
    file.write_text(ENTRY.replace("ollama", "curl").replace("false-alarm", "silent-loss"), encoding="utf-8")
    ran = [cell("curl", verdict), cell("requests", Verdict.PASS)]
    versions = {"curl": version, "requests": "9", "of-a-user": "1"}
    assert assess(ran, load(file), full=True, today=TODAY, versions=versions).exit_code == code
    assert unknown_versions(versions) == ({} if version == "7.88.1" else {"curl": version})
