"""Ollama's own client package for Go, in a small program (`go_client`), against the server.

The package is a Go module, which `go` fetches and checks by go_client/go.sum. Where there is no Go, or the module
cannot be fetched, these tests are skipped; a program that does not compile fails them. To compile it takes a minute the
first time, so the ordinary suite leaves it out as it does the other first programs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ollama_harness.server.fake_ollama import FakeOllama

#: The program is compiled in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("go")

PROGRAM = Path(__file__).parent / "go_client"
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
PLAIN, EMBEDDING = "smollm2:135m", "smollm2-embed:135m"


def go(*arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    environment.setdefault("HOME", str(Path.home()))  # where go caches what it builds
    return subprocess.run(
        ["go", *arguments],
        cwd=PROGRAM,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program."""
    if shutil.which("go") is None:
        pytest.skip("there is no go to compile the program with")
    try:
        fetched = go("mod", "download", timeout_s=60)
    except subprocess.TimeoutExpired:
        pytest.skip("Ollama's Go module cannot be fetched: no answer within 60 s")
    if fetched.returncode != 0:
        pytest.skip(f"Ollama's Go module cannot be fetched: {fetched.stderr.strip().splitlines()[-1:]}")
    compiled = tmp_path_factory.mktemp("go") / ("go_client.exe" if sys.platform == "win32" else "go_client")
    built = go("build", "-buildvcs=false", "-o", str(compiled), ".", timeout_s=300)
    assert built.returncode == 0, built.stderr
    return compiled


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def steps(program: Path, version: str) -> dict[str, Any]:
    """What each method of the client returned."""
    with FakeOllama(version=version, speed=0) as server:
        done = subprocess.run(
            [program, PLAIN, EMBEDDING],
            env={**os.environ, "OLLAMA_HOST": server.url, "NO_PROXY": "*"},
            capture_output=True,
            encoding="utf-8",
            timeout=40,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_go_program_finds_the_server(steps: dict[str, Any], version: str) -> None:
    assert (steps["heartbeat"], steps["version"]) == (True, version)


def test_a_go_program_lists_and_shows_models(steps: dict[str, Any], version: str) -> None:
    assert {PLAIN, EMBEDDING} <= set(steps["list"])
    assert steps["show"] == "gguf"
    name = "nosuch:latest" if version == "0.32.15" else "nosuch"
    assert steps["show nosuch"] == {"status": 404, "text": f"model '{name}' not found"}


@pytest.mark.parametrize("step", ["chat", "generate"])
def test_a_go_program_gets_text(steps: dict[str, Any], step: str) -> None:
    has_text, done_reason = steps[step]
    assert has_text
    assert done_reason in ("stop", "length")


def test_a_go_program_gets_a_vector_for_each_text(steps: dict[str, Any]) -> None:
    assert steps["embed"] == 2


def test_a_go_program_sees_what_is_loaded(steps: dict[str, Any]) -> None:
    assert sorted(steps["running"]) == [EMBEDDING, PLAIN]
    assert (steps["unload"], steps["running then"]) == ("unload", [EMBEDDING])


def test_a_go_program_gets_the_error_of_a_pull(steps: dict[str, Any]) -> None:
    assert steps["pull progress"] == ["pulling manifest"]
    assert steps["pull"]["status"] == 0, "the error comes inside the stream"
    assert steps["pull"]["text"].startswith("pull model manifest: ")


def test_a_go_program_copies_and_deletes(steps: dict[str, Any]) -> None:
    assert (steps["copy"], steps["delete"]) == (True, True)
    assert sorted(set(steps["list then"]) - set(steps["list"])) == ["mine:latest"]
    assert steps["delete again"] == {"status": 404, "text": "model 'mine' not found"}
