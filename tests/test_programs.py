"""The clients of the package that are programs: each folder is whole, and each adapter keeps to the protocol."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ollama_harness import clients as clients_room
from ollama_harness.clients import clients, clients_file, installed, known_issue_files
from ollama_harness.clients.adapter import Client
from ollama_harness.matrix import known_issues
from ollama_harness.matrix.client_check import steps

pytestmark = pytest.mark.same_on_each_python

PROGRAMS = Path(clients_room.__file__).parent / "programs"
FOLDERS = sorted(path for path in PROGRAMS.iterdir() if path.is_dir())
COMMANDS = [one for one in clients().values() if one.command is not None and not one.option]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda one: one.name)
def test_each_language_says_what_it_needs_and_what_its_clients_get_wrong(folder: Path) -> None:
    found = clients_file.read(folder / "clients.toml")
    assert [one.name for one in found if one.command is None or not (one.command.get or one.command.needs)] == []
    names = {one.name for one in found}
    issues = known_issues.load(folder / "known_issues.toml")
    assert [issue.reason for issue in issues if not names & set(issue.clients)] == [], "an entry is for one of these"
    assert {name for issue in issues for name in issue.clients} <= clients().keys()
    assert folder / "known_issues.toml" in known_issue_files()


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: one.name)
def test_each_program_has_a_contract_with_its_source(one: Client) -> None:
    assert one.contract.source.startswith("https://")
    assert one.contract.exceptions
    assert one.contract.default_timeout


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: one.name)
def test_each_program_keeps_to_the_protocol(one: Client) -> None:
    assert one.command is not None
    if one.missing is not None:
        pytest.skip(one.missing)
    done = list(steps(one.name, deadline_s=20.0))
    assert [step for step in done if step.fix] == []
    assert len(done) > 5


def test_a_program_that_cannot_run_here_is_left_out_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert not {one.name for one in COMMANDS} & set(installed.runnable())
    left_out = "\n".join(installed.left_out())
    assert re.search(r"left out: .*\bfetch\b.* \(there is no npm on PATH; install Node\.js", left_out)
    assert re.search(r"left out: .*\bollama-go\b.* \(there is no go on PATH; https://go\.dev/dl\)", left_out)
