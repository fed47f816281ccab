"""The command line, from an empty directory: in this process, and as a user runs it where that makes a difference.

What runs cells chooses scenarios that few canaries play, because canaries run always, and some take their time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from builders import result
from click.testing import CliRunner

from ollama_harness.answers import RULES as ANSWER_RULES
from ollama_harness.cli import commands, main
from ollama_harness.gate.rules import RULES as GATE_RULES
from ollama_harness.matrix.results import Results, Writer
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import fixtures

pytestmark = pytest.mark.same_on_each_python


def harness(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ollama_harness", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "harness"), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )


Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs a command in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = _ended(list(arguments))
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run, and where it was."""
    where = tmp_path_factory.mktemp("ran")
    return where, harness(
        "run", "--client", "requests", "--scenario", "lock-step", "--scenario", "next-line", cwd=where
    )


def test_run_prints_a_grid_and_leaves_whole_results(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    where, done = ran
    assert done.returncode == 0, done.stderr
    assert re.search(r"^lock-step +.", done.stdout, re.MULTILINE)
    assert re.search(r"canary-hoarder buffered 1/1", done.stdout)
    assert "0 not as expected" in done.stdout
    results = Results.load(where / "ollama-harness-results" / "results.ndjson")
    assert results.header.planned == len(results.cells)
    assert not (where / "ollama-harness-results" / "results.partial.ndjson").exists()


#: Names that Python would find in the current directory first, if it looked there.
MODULES = ("ollama", "requests", "httpx", "h11", "queue", "json", "socket", "click", "sitecustomize")


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--client", "ollama", "--client", "requests", "--scenario", "reuse", "--scenario", "issue-9549"),
        ("doctor", "--environment", "nothing-set"),
    ],
    ids=" ".join,
)
def test_modules_in_the_current_directory_are_not_executed(command: tuple[str, ...], tmp_path: Path) -> None:
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text(f"open('{name}.ran', 'w').close()")
    done = harness(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.glob("*.ran")] == []


def test_an_unexpected_cell_is_red_and_has_the_command_to_repeat_it(here: Here, tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text("")
    done = here("run", "--client", "ollama", "--scenario", "next-line", "--known-issues", "none.toml")
    assert done.returncode == 1
    assert "expected  pass" in done.stdout
    assert "actual    false-alarm" in done.stdout
    assert "repeat    ollama-harness show ollama/next-line/0.32.15/generate-nel" in done.stdout
    assert 'add to known_issues.toml: [[issue]] clients = ["ollama"]' in done.stdout


def test_the_grid_is_ascii_where_the_terminal_knows_no_more(tmp_path: Path) -> None:
    with Writer(tmp_path, planned=1, recordings={}) as writer:
        writer.add(result(client="requests", scenario="stream"))
        writer.finish(clients={})
    done = harness("report", ".", cwd=tmp_path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert re.search(r"^stream +\+ *$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--client", "request"], "there is no client called 'request'; did you mean requests"),
        (["run", "--scenario", "cut-after"], "or cut-after-record"),
        (["run", "--recording", "chat-steam"], "did you mean chat-stream"),
        (["run", "--ollama-version", "0.5.8"], "did you mean 0.5.7"),
        (["run", "--scenario", "embed", "--recording", "chat-stream"], "no cell is left"),
        (["run", "--jobs", "0"], "--jobs"),
        (["run", "--known-issues", "missing.toml"], "missing.toml: cannot be read"),
        (
            ["serve", "--port", "0", "--fault", "replace_with('nope')"],
            "applies to no recording: there is no answer 'nope'",
        ),
        (["serve", "--port", "0", "--fault", "close_at(3)"], "3 is no Place"),
        (["serve", "--port", "0", "--speed", "nan"], "nan is not a finite number"),
        (["serve", "--port", "0", "--scenario", "issue-9549"], "is an environment"),
        (["show", "ollama"], "write CLIENT/SCENARIO, or CLIENT/SCENARIO/VERSION/RECORDING"),
        (["show", "ollama/embed/0.32.15/chat-stream"], "there is no recording in scenario embed"),
        (["serve", "--ollama-version", "1"], "there is no recorded Ollama version called '1'"),
        (["serve", "--scenario", "nope"], "there is no scenario called 'nope'"),
        (["serve", "--port", "70000"], "there is no port 70000"),
        (["check", "missing"], "no such recording"),
        (["report", "missing"], "missing: cannot be read"),
        (["lst"], "No such command"),
        (["run", "--environments", "--scenario", "stream"], "each choose scenarios; give one of them"),
        (["run", "--environments", "--v1"], "each choose scenarios; give one of them"),
        (["doctor", "--host", "ftp://h"], "which is not an address"),
        (["doctor", "--environment", "issue-954"], "did you mean issue-9549"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_an_error_comes_without_a_traceback(tmp_path: Path) -> None:
    done = harness("run", "--client", "request", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: there is no client called 'request'; did you mean requests or reqwest or niquests?\n"


def test_report_prints_the_grid_of_an_earlier_run_and_refuses_half_a_file(
    ran: tuple[Path, subprocess.CompletedProcess[str]], here: Here, tmp_path: Path
) -> None:
    shutil.copytree(ran[0] / "ollama-harness-results", tmp_path / "here")
    again = here("report", "here")
    assert again.returncode == 0
    assert ran[1].stdout.startswith(again.stdout)
    file = tmp_path / "here" / "results.ndjson"
    file.write_bytes(file.read_bytes()[:-20])
    half = here("report", "here")
    assert half.returncode == 2
    assert "is no JSON" in half.stderr
    assert "the file is incomplete, corrupt or of another version; run again" in half.stderr


@pytest.mark.parametrize(("more", "exit_code"), [([], 0), (["--known-issues", "known_issues.toml"], 1)])
def test_review_dates_count_in_a_list_that_is_named_and_not_in_ours(
    more: list[str],
    exit_code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An installed copy must not turn red because time passes."""
    monkeypatch.chdir(tmp_path)
    with Writer(tmp_path / "ollama-harness-results", planned=1, recordings={}) as writer:
        writer.add(result(Verdict.FALSE_ALARM, "ollama", "next-line"))
        writer.finish(clients={})
    shutil.copyfile(fixtures() / "known_issues.toml", "known_issues.toml")
    monkeypatch.setattr("ollama_harness.cli.report.date", SimpleNamespace(today=lambda: date(2100, 1, 1)))
    capsys.readouterr()
    assert _ended(["report", "ollama-harness-results", *more]) == exit_code
    assert ("known_issues.toml:6: the review date" in capsys.readouterr().out) is bool(exit_code)


def test_check_names_every_defect(here: Here, tmp_path: Path) -> None:
    good = fixtures() / "recordings" / "0.32.15"
    for name in ("version.json", "version.meta.json"):
        (tmp_path / name).write_bytes((good / name).read_bytes())
    assert here("check", ".").returncode == 0
    (tmp_path / "version.json").write_bytes(b"{}")
    done = here("check", ".")
    assert done.returncode == 2
    assert "version.meta.json: frames: sizes add up to 21 bytes, the body has 2" in done.stderr


@pytest.mark.parametrize("what", ["clients", "scenarios", "environments", "faults", "recordings", "rules"])
def test_every_list_is_a_table_and_json(what: str) -> None:
    chosen = [what, "--ollama-version", "0.5.7"] if what == "recordings" else [what]
    table, as_json = (
        CliRunner().invoke(commands, ["list", *chosen, *more], catch_exceptions=False) for more in ([], ["--json"])
    )
    assert (table.exit_code, as_json.exit_code) == (0, 0)
    rows = json.loads(as_json.output)
    assert len(table.output.splitlines()) > len(rows) > 3
    assert len({tuple(row) for row in rows}) == 1, "all rows have the same keys"


def test_the_rules_of_the_gate_and_of_the_answers_are_listed_apart_or_together() -> None:
    every, of_gate, of_answers = (
        json.loads(CliRunner().invoke(commands, ["list", "rules", "--json", *more]).output)
        for more in ([], ["--of", "gate"], ["--of", "answers"])
    )
    assert every == of_gate + of_answers
    assert [row["rule"] for row in of_gate] == list(GATE_RULES)
    assert {row["rule"] for row in of_answers} == set(ANSWER_RULES)
    assert len({row["rule"] for row in every}) == len(every), "an id means one rule"
    assert list(dict.fromkeys(row["kind"] for row in of_answers)) == [
        *("protocol", "guard", "request", "model", "answer")
    ]
    versions = {row["rule"]: row["versions"] for row in of_answers}
    assert (versions["http-host"], versions["method-not-allowed"]) == ("all", "since 0.7.0")
    assert versions["native-think-level"] == "since 0.11.0, before 0.13.0"


def test_show_puts_what_was_sent_beside_what_was_yielded_and_says_what_is_known(here: Here) -> None:
    done = here("show", "ollama/cut-after-record/0.32.15/chat-stream")
    assert done.returncode == 0, "it is a known issue"
    assert "HTTP/1.1 200 OK\\r\\n" in done.stdout
    assert "[close by the server]" in done.stdout
    assert "[raised httpx.RemoteProtocolError]" in done.stdout
    assert "undocumented: " in done.stdout
    assert re.search(r"^known issue: undocumented: .+\(https://.+\)", re.sub(r"\n  +", " ", done.stdout), re.MULTILINE)


def test_show_says_how_long_a_client_waits_with_its_setting_and_without(here: Here) -> None:
    said = "the client's setting: timeout= of the client or of the call; without it: 5 s"
    assert said in re.sub(r"\s+", " ", here("show", "httpx/stall-after-head").stdout)
    assert "without it" not in here("show", "httpx/next-line").stdout


FLAPS = """\
import itertools, json, urllib.request
from ollama_harness.clients.adapter import Client, Contract, Layer

RUNS = itertools.count()

def exchange(job, _):
    with urllib.request.urlopen(job.target, job.request.content) as answer:
        yield from map(json.loads, answer if next(RUNS) % 3 else list(answer)[:-1])

CLIENTS = [
    Client(name=name, layer=Layer.HTTP, contract=Contract(), exchange=exchange) for name in ("flaps", "known-to-flap")
]
"""


def test_a_run_that_is_repeated_says_how_often_a_client_shows_which_verdict(tmp_path: Path) -> None:
    (tmp_path / "flaps.py").write_text(FLAPS, encoding="utf-8")
    (tmp_path / "known.toml").write_text(
        '[[issue]]\nclients = ["known-to-flap"]\nscenarios = ["burst"]\nverdicts = ["pass", "silent-loss"]\n'
        'rate = "10/30"\nreason = "loses the last record of every third answer"\nlink = "https://example.org"\n'
        "review = 2999-01-01\n",
        encoding="utf-8",
    )
    done = harness(
        *("run", "--client-file", "flaps.py", "--scenario", "burst", "--repeat", "6", "--jobs", "1"),
        *("--known-issues", "known.toml"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert re.search(r"^burst +S 2/6! +S 2/6(?!!)", done.stdout, re.MULTILINE)
    assert done.stdout.count("ollama-harness show flaps/burst/") == 1, "one block for all runs that are alike"
    assert "ollama-harness show known-to-flap/" not in done.stdout
    assert re.search(r"actual +silent-loss: .*, in 2 of 6 runs", done.stdout)
    assert 'verdicts = ["silent-loss", "pass"], rate = "2/6"' in re.sub(r"\s+", " ", done.stdout)
    cells = Results.load(tmp_path / "ollama-harness-results").cells
    assert [(one.run, str(one.verdict)) for one in cells if one.client == "flaps"] == [
        (run, "silent-loss" if run in (1, 4) else "pass") for run in range(1, 7)
    ]


ROOT = click.Context(commands)


@pytest.mark.parametrize("command", [[], *([name] for name in commands.list_commands(ROOT))], ids=" ".join)
def test_every_help_has_an_example(command: list[str]) -> None:
    done = CliRunner().invoke(commands, [*command, "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert re.search(r"\n\n  Example: ollama-harness .*\n$", done.output), "in one line, to copy"


def _start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    flags = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32" else {}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "ollama_harness", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "harness")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **flags,
    )


def _interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
def test_serve_answers_until_interrupted(tmp_path: Path) -> None:
    process = _start("serve", "--port", "0", "--speed", "0", cwd=tmp_path)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    lines = [process.stdout.readline() for _ in range(6)]
    assert [line.split()[0] for line in lines] == ["sh", "cmd", "PowerShell", "control:", "models:", "Ctrl-C"]
    assert f"export OLLAMA_HOST={url}" in lines[0]
    with urllib.request.urlopen(f"{url}/api/version", timeout=20) as response:
        assert json.load(response) == {"version": "0.32.15"}
    assert process.stdout.readline()[8:] == "  200  GET /api/version  0.32.15/version: the same request\n"
    _interrupt(process)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "stopped\n", "")


def test_serve_says_its_replies_one_after_the_other(tmp_path: Path) -> None:
    replies = ("--reply", "one", "--reply", "two")
    process = _start("serve", "--port", "0", "--speed", "0", "--any-model", *replies, cwd=tmp_path)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    lines = [process.stdout.readline() for _ in range(7)]
    assert lines[4] == "--reply: once: say 'one'\n"
    assert lines[5] == "--reply: every request that it can answer: say 'two'\n"
    said = []
    for _ in range(3):
        body = b'{"model": "llama3", "prompt": "Hi", "stream": false}'
        with urllib.request.urlopen(f"{url}/api/generate", body, timeout=20) as response:
            said.append(json.load(response)["response"])
    assert said == ["one", "two", "two"]
    _interrupt(process)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert out.count("  200  POST /api/generate  reply: your words (--reply)\n") == 3


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(
            _interrupt,
            marks=pytest.mark.skipif(
                sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there"
            ),
        ),
        subprocess.Popen.kill,
    ],
)
def test_a_run_that_does_not_end_leaves_no_complete_results(
    end: Callable[[subprocess.Popen[str]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = Path("ollama-harness-results")
    directory.mkdir()
    (directory / "results.ndjson").write_text("those of the run before")
    partial = directory / "results.partial.ndjson"
    # Several cells, of which each waits for a second.
    run = ("run", "--client", "requests", "--scenario", "stall-after-record", "--scenario", "stall-after-head")
    process = _start(*run, "--jobs", "1", cwd=tmp_path)
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)  # it needs this processor
    assert _ended(list(run)) == 2, "a second run is refused"
    assert "error: ollama-harness-results: another process is writing there" in capsys.readouterr().err
    end(process)
    _, err = process.communicate(timeout=60)
    assert end is subprocess.Popen.kill or "interrupted: the last run did not end; its results so far are in" in err
    assert end is subprocess.Popen.kill or process.returncode == 130
    assert "Traceback" not in err
    assert process.returncode not in (0, 1)
    assert partial.stat().st_size
    assert (directory / "results.previous.ndjson").read_text() == "those of the run before"
    assert not (directory / "results.ndjson").exists()
    assert _ended(["report", "ollama-harness-results"]) == 2
    assert "the last run did not end" in capsys.readouterr().err


def _ended(arguments: list[str]) -> object:
    """The exit code of a command, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code
