"""CONTRIBUTING.md, followed to the letter in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent
BLOCKS = dict(
    re.findall(
        r"```(?:python|ndjson|toml)\n# (\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
    )
)
NODE = shutil.which("node") is not None


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with every addition of the page."""
    copy = tmp_path_factory.mktemp("copy")
    skipped = shutil.ignore_patterns("__pycache__", "_fixtures", "node_modules", "target")
    shutil.copytree(ROOT / "harness", copy / "harness", ignore=skipped, copy_function=shutil.copyfile)
    recordings = copy / "fixtures" / "recordings" / "0.32.15"
    recordings.mkdir(parents=True)
    for name in ("generate-stream", "generate-cold", "chat-stream"):
        for suffix in (".ndjson", ".meta.json"):
            file = f"{name}{suffix}"
            shutil.copyfile(ROOT / "fixtures" / "recordings" / "0.32.15" / file, recordings / file)
    shutil.copyfile(ROOT / "fixtures" / "known_issues.toml", copy / "fixtures" / "known_issues.toml")
    for name in BLOCKS:
        add(copy, name)
    return copy


@pytest.fixture(scope="module")
def verdicts(copy: Path) -> dict[str, str]:
    """The verdicts of a run of the clients that were added, and of a run of all else that was added."""
    clients = ("http-client", "tiny-chat", *(("fetch-of-my-node",) if NODE else ()))
    scenarios = ("slow-first-byte", "slow-and-silent", "no-proxy-twice")
    return run(copy, clients, ("slow-first-byte",)) | run(copy, ("requests",), scenarios, ("0.32.15", "hand-written"))


def run(
    copy: Path, clients: tuple[str, ...], scenarios: tuple[str, ...], versions: tuple[str, ...] = ()
) -> dict[str, str]:
    chosen = {"--client": clients, "--scenario": scenarios, "--ollama-version": versions}
    harness(copy, "run", *(part for option, names in chosen.items() for name in names for part in (option, name)))
    # This Python does not have what was added, so it would refuse these results.
    lines = (copy / "ollama-harness-results" / "results.ndjson").read_text("utf-8").splitlines()
    cells = [line for line in map(json.loads, lines) if "verdict" in line]
    return {f"{one['client']}/{one['scenario']}/{one['recording']}": one["verdict"] for one in cells}


def harness(copy: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ollama_harness", *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "harness")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add(copy: Path, name: str) -> None:
    """Put a block into the file that it names: at its end, or into the list at its end, if it is an item of one."""
    path, block = copy / name, BLOCKS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text("utf-8") if path.exists() else ""
    at = text.rindex("]") if block.startswith(" ") else len(text)
    path.write_text(text[:at] + block + text[at:], encoding="utf-8", newline="\n")


def test_each_example_is_short() -> None:
    assert BLOCKS
    assert all(len(block.strip().splitlines()) <= 10 for block in BLOCKS.values())


@pytest.mark.parametrize(
    "cell",
    [
        "http-client/slow-first-byte/0.32.15/generate-stream",
        "tiny-chat/slow-first-byte/0.32.15/chat-stream",
        pytest.param(
            "fetch-of-my-node/slow-first-byte/0.32.15/chat-stream",
            marks=pytest.mark.skipif(not NODE, reason="there is no node here"),
        ),
    ],
)
def test_a_client_is_one_module_or_one_entry(cell: str, verdicts: dict[str, str]) -> None:
    assert verdicts[cell] == "pass"


def test_a_fault_is_one_function(copy: Path) -> None:
    assert "reverse_records()" in harness(copy, "list", "faults")


def test_a_scenario_is_one_literal(verdicts: dict[str, str]) -> None:
    assert verdicts["canary-perfect/slow-and-silent/0.32.15/chat-stream"] == "pass"
    assert "requests/slow-and-silent/0.32.15/chat-stream" in verdicts


def test_an_environment_is_one_literal(copy: Path, verdicts: dict[str, str]) -> None:
    """The report shows the route to each form of the URL, and no route was another than was required."""
    assert re.search(
        "^no-proxy-twice +(?:[DP]{3} +)*DPP", harness(copy, "report", "ollama-harness-results"), re.MULTILINE
    )
    assert "requests/no-proxy-twice/0.32.15/generate-cold" in verdicts


def test_a_recording_is_one_file(copy: Path, verdicts: dict[str, str]) -> None:
    assert "1 recordings are valid" in harness(copy, "check", "fixtures/recordings/hand-written")
    assert verdicts["requests/slow-first-byte/hand-written/generate-stream"] == "pass"
