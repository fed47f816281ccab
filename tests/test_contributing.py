"""CONTRIBUTING.md, followed to the letter in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = dict(
    re.findall(
        r"```(?:python|ndjson|toml)\n# (\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL
    )
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    skipped = shutil.ignore_patterns("__pycache__", "_fixtures", "node_modules")
    shutil.copytree(ROOT / "harness", tmp_path / "harness", ignore=skipped, copy_function=shutil.copyfile)
    recordings = tmp_path / "fixtures" / "recordings" / "0.32.15"
    recordings.mkdir(parents=True)
    for name in ("generate-stream", "generate-cold", "chat-stream"):
        for suffix in (".ndjson", ".meta.json"):
            file = f"{name}{suffix}"
            shutil.copyfile(ROOT / "fixtures" / "recordings" / "0.32.15" / file, recordings / file)
    shutil.copyfile(ROOT / "fixtures" / "known_issues.toml", tmp_path / "fixtures" / "known_issues.toml")
    return tmp_path


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


def add(copy: Path, name: str, *, before: str | None = None) -> None:
    """Put a block into the file that it names: at its end, or before the last `before`."""
    path, block = copy / name, BLOCKS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text("utf-8") if path.exists() else ""
    at = len(text) if before is None else text.rindex(before)
    path.write_text(text[:at] + block + text[at:], encoding="utf-8", newline="\n")


def test_each_example_is_short() -> None:
    assert BLOCKS
    assert all(len(block.strip().splitlines()) <= 10 for block in BLOCKS.values())


def test_a_client_is_one_module(copy: Path) -> None:
    add(copy, "harness/ollama_harness/clients/http_client.py")
    assert "http-client" in harness(copy, "run", "--client", "http-client", "--scenario", "stream")


def test_a_client_of_pieces_is_one_module(copy: Path) -> None:
    add(copy, "harness/ollama_harness/clients/tiny_chat.py")
    assert re.search("stream +✓", harness(copy, "run", "--client", "tiny-chat", "--scenario", "stream"))


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_a_client_in_another_language_is_one_entry(copy: Path) -> None:
    add(copy, "harness/ollama_harness/clients/programs/javascript/clients.toml")
    assert re.search("stream +✓", harness(copy, "run", "--client", "fetch-of-my-node", "--scenario", "stream"))


def test_a_fault_is_one_function(copy: Path) -> None:
    add(copy, "harness/ollama_harness/faults/content.py")
    assert "reverse_records()" in harness(copy, "list", "faults")


def test_a_scenario_is_one_literal(copy: Path) -> None:
    add(copy, "harness/ollama_harness/matrix/scenarios/timing.py", before="]")
    assert "slow-and-silent" in harness(copy, "run", "--client", "requests", "--scenario", "slow-and-silent")


def test_an_environment_is_one_literal(copy: Path) -> None:
    add(copy, "harness/ollama_harness/network/environments/no_proxy.py", before="]")
    grid = harness(copy, "run", "--client", "requests", "--scenario", "no-proxy-twice")
    assert re.search("no-proxy-twice +DPP", grid)


def test_a_recording_is_one_file(copy: Path) -> None:
    add(copy, "fixtures/recordings/hand-written/generate-stream.ndjson")
    assert "1 recordings are valid" in harness(copy, "check", "fixtures/recordings/hand-written")
    arguments = ("--client", "requests", "--scenario", "stream", "--scenario", "cut-inside-record")
    assert "0 not as expected" in harness(copy, "run", *arguments, "--ollama-version", "hand-written")
