"""`gate clients`: two versions of a client, compared cell by cell.

Most versions here are wheels that the tests make from what is installed, each with one thing changed on purpose. The
last test takes real versions from the registry, in `tox -e all-clients`.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from builders import result
from click.testing import CliRunner, Result
from packaging.requirements import Requirement

from ollama_harness.cli import commands, gate_clients
from ollama_harness.clients import places
from ollama_harness.errors import HarnessError
from ollama_harness.gate import gate_file
from ollama_harness.gate.client_gate import LibraryUpgrade
from ollama_harness.gate.handled import Handled
from ollama_harness.gate.rules import Level
from ollama_harness.gate.rules.examples import _handled
from ollama_harness.matrix.results import SCHEMA, Results, ResultsHeader
from ollama_harness.oracle.verdict import Verdict

pytestmark = pytest.mark.same_on_each_python

UPGRADE = LibraryUpgrade.of("httpx==1.0.0", "httpx==1.1.0")


# ------------------------------------------------------------------------------------------------- the decision


def ran(*verdicts: Verdict, new: bool = False, **changes: object) -> list[Handled]:
    """The runs of one cell, with the old or the new version."""
    client, version = (UPGRADE.new[0], "1.1.0") if new else (UPGRADE.old[0], "1.0.0")
    runs = []
    for verdict in verdicts:
        one = _handled({"a": 1}, version=version, verdict=verdict)
        runs.append(replace(one, ran=replace(one.ran, client=client), result=replace(one.result, **changes)))
    return runs


def found(*handled: Handled) -> list[tuple[str, Level]]:
    return [(one.rule, one.level) for one in decided(*handled).findings]


def decided(*handled: Handled, **clients: str) -> gate_file.Decision:
    versions = clients or {"httpx==1.0.0": "1.0.0", "httpx==1.1.0": "1.1.0"}
    header = ResultsHeader(
        schema=SCHEMA, harness="1", os="Linux", python="3.11.1", clients=versions, recordings={"1/a": "hash"},
        planned=len(handled), started_at="",
    )  # fmt: skip
    return UPGRADE.decision(Results(header, (result(client="httpx==1.0.0"),)), handled)


PASS, LOSS, HANG = Verdict.PASS, Verdict.SILENT_LOSS, Verdict.HANG


def test_a_cell_that_got_worse_fails_the_gate() -> None:
    decision = decided(*ran(PASS), *ran(LOSS, new=True))
    assert [(one.rule, one.level) for one in decision.findings] == [("more-harm", Level.BREAKING)]
    assert decision.exit_code == 1
    assert decision.last_line == (
        "gate: fail: httpx 1.0.0 -> 1.1.0: 1 breaking, 0 notable, 0 noise, 0 accepted; 1 recordings, 1 cells; exit 1"
    )


def test_a_cell_that_got_better_or_stayed_does_not() -> None:
    assert decided(*ran(LOSS), *ran(PASS, new=True)).exit_code == 0
    assert decided(*ran(LOSS), *ran(LOSS, new=True)).findings == ()


def test_only_what_shows_between_all_runs_counts() -> None:
    assert found(*ran(PASS, PASS), *ran(HANG, HANG, new=True)) == [("more-harm", Level.BREAKING)]
    flaps = decided(*ran(PASS, HANG), *ran(HANG, HANG, new=True))
    assert {(one.rule, one.level, one.unstable) for one in flaps.findings} == {("more-harm", Level.NOISE, True)}
    assert flaps.exit_code == 0


def test_the_cells_that_run_again_are_those_whose_outcome_differs() -> None:
    old, new, same = ran(PASS), ran(HANG, new=True), ran(PASS, scenario="other")
    assert [one.client.name for one in UPGRADE.unsettled([*old, *new])] == ["httpx==1.0.0", "httpx==1.1.0"]
    assert UPGRADE.unsettled([*same, *ran(PASS, new=True, scenario="other")]) == []


def test_a_version_that_is_not_the_one_that_was_wanted_decides_nothing() -> None:
    decision = decided(*ran(PASS), *ran(PASS, new=True), **{"httpx==1.0.0": "1.0.0", "httpx==1.1.0": "1.0.0"})
    assert (decision.exit_code, decision.problems) == (3, ("httpx==1.1.0 says that it is 1.0.0",))
    assert decided(*ran(PASS), *ran(PASS, new=True), httpx="1").problems[0] == "httpx==1.0.0 did not start"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "httpx==1.0",
            "openai==1.0",
            "httpx==1.0 and openai==1.0 are not versions of the same; name two of one client ",
        ),
        ("httpx==1.0", "pypi:httpx@1.1", "httpx==1.0 and pypi:httpx@1.1 are not versions of the same"),
        ("httpx==1.0", "httpx==1.0", "httpx==1.0 and httpx==1.0 are the same version; name another one"),
        ("httpx", "httpx", "httpx and httpx are the same version"),
        ("htpx==1.0", "httpx==1.1", "there is no client called 'htpx'; did you mean httpx"),
        ("npm:olama@1.0", "npm:olama@1.1", "there is no package of npm that is a client called 'olama'"),
        ("httpx==1.0", "httpx==new", "httpx==new: 'new' is no version of httpx; write httpx==1.2.3"),
    ],
)
def test_what_are_no_two_versions_of_one_client_is_bad_input(old: str, new: str, message: str) -> None:
    with pytest.raises(HarnessError) as caught:
        LibraryUpgrade.of(old, new)
    assert str(caught.value).startswith(message)


# ------------------------------------------------------------------------------------------------- a real upgrade

#: What is added to a library, so that its lines are one too few.
LOSES_A_LINE = """
_iter_lines = Response.iter_lines

def iter_lines(self):
    lines = list(_iter_lines(self))
    yield from lines[:-1]

Response.iter_lines = iter_lines
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "_root", tmp_path / "places")
    return tmp_path / "places"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in place of the registry, with all that httpx needs."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in sorted(set(needed("httpx"))):
        wheel(folder, name)
    for installer in ("PIP", "UV"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def without_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have tests of their own, and some of them wait on purpose."""
    everything = gate_clients.plan
    monkeypatch.setattr(
        gate_clients, "plan", lambda *of, **what: [one for one in everything(*of, **what) if not one.client.is_canary]
    )


def needed(name: str) -> Iterator[str]:
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name
            yield from needed(requirement.name)


def wheel(folder: Path, name: str, version: str = "", added: str = "") -> None:
    """Pack an installed package in pure Python again, perhaps as another version, with code `added` to it."""
    one = metadata.distribution(name)
    module, really = one.name.replace("-", "_"), one.version
    about, packed = f"{module}-{version or really}.dist-info", folder / f"{module}-{version or really}-py3-none-any.whl"
    with zipfile.ZipFile(packed, "w") as file:
        for path in one.files or ():
            parts = path.parts
            if ".." in parts or path.suffix == ".pyc" or parts[-1] in ("RECORD", "INSTALLER", "REQUESTED"):
                continue
            data = Path(str(path.locate())).read_bytes()
            if parts[0].endswith(".dist-info"):
                parts = (about, *parts[1:])
            if parts[-1] in ("METADATA", "__version__.py"):
                data = data.replace(really.encode(), (version or really).encode(), 1)
            if parts == (module, "__init__.py"):
                data += added.encode()
            file.writestr("/".join(parts), data)
        file.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in (*file.namelist(), f"{about}/RECORD")))


def gate(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["gate", "clients", *arguments])


def test_a_version_that_loses_a_line_is_found_out(index: Path, tmp_path: Path) -> None:
    wheel(index, "httpx", "91.0.0")
    wheel(index, "httpx", "92.0.0", LOSES_A_LINE)
    out = tmp_path / "gate"
    few = ("--scenario", "stream", "--recording", "chat-stream", "--out", str(out))
    done = gate("httpx==91.0.0", "httpx==92.0.0", *few)
    assert done.exit_code == 1, done.output
    assert re.search(
        r"BREAKING\n[0-9a-f]{12}  httpx  more-harm  in httpx/stream/\S+\n +stream: pass -> silent-loss\n", done.output
    )
    assert done.output.splitlines()[-1].startswith("gate: fail: httpx 91.0.0 -> 92.0.0: 1 breaking, 0 notable, ")
    worse, *others = gate_file.load(out)
    assert {one.rule for one in others} == {"header-says-version"}
    explained = CliRunner().invoke(commands, ["gate", "--explain", worse.fingerprint, "--out", str(out)]).output
    assert "old: pass: yielded all" in explained
    assert (out / "gate.md").read_text("utf-8").startswith("# httpx 91.0.0 -> 92.0.0\n")


def test_a_version_that_cannot_be_installed_is_bad_input(index: Path, tmp_path: Path) -> None:
    done = gate("httpx==91.0.0", "httpx==92.0.0", "--out", str(tmp_path / "gate"))
    assert done.exit_code == 2
    assert "error: httpx==91.0.0 cannot be installed: " in done.output
    assert not (tmp_path / "gate").exists()


def test_options_of_the_other_gate_are_refused() -> None:
    done = CliRunner().invoke(commands, ["gate", "--wire-only", "clients", "httpx==1.0", "httpx==1.1"])
    assert done.exit_code == 2
    assert "--wire-only stands before clients; give it after, or leave it out" in done.output


@pytest.mark.skipif("HARNESS_REGISTRY" not in os.environ, reason="needs the registry: tox -e all-clients")
def test_the_upgrade_of_httpx_to_0_28_changes_only_how_json_is_written(tmp_path: Path) -> None:
    """0.28 sends JSON without spaces, as its changelog says. No cell gets worse."""
    out = tmp_path / "gate"
    done = gate("httpx==0.27.2", "httpx==0.28.1", "--out", str(out))
    if done.exit_code == 2 and re.search(r"fetch|connect|resolve host|timed out|No matching dist", done.output, re.I):
        pytest.skip(f"the registry cannot be reached: {done.output.splitlines()[-1]}")
    assert done.exit_code == 0, done.output
    rules = {one.rule for one in gate_file.load(out)}
    assert {"body-spelled-otherwise", "header-says-version"} <= rules
