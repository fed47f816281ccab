"""Installed beside other people's packages, ours is in nobody's way."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import in_one_test

import ollama_harness
from ollama_harness import faults

pytestmark = pytest.mark.same_on_each_python


def python(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Another Python, started in `cwd`, with `path` first of all on its sys.path."""
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(path), environment.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a package `harness` of its own, and a test that uses our fixture."""
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text("mine = True\n", "utf-8")
    (tmp_path / "test_mine.py").write_text(
        "import urllib.request\n\nimport harness\n\n\n"
        "def test_mine(fake_ollama):\n"
        "    assert harness.mine\n"
        "    assert urllib.request.urlopen(fake_ollama.url).status == 200\n",
        "utf-8",
    )
    return tmp_path


def test_a_project_with_a_folder_harness_runs_with_the_plugin(project: Path) -> None:
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_second_distribution_with_a_package_harness_does_no_harm(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    code = "import harness, ollama_harness; print(harness.mine, ollama_harness.FakeOllama.__name__)"
    done = python("-c", code, cwd=tmp_path / "elsewhere", path=project)
    assert done.stdout.split() == ["True", "FakeOllama"], done.stderr


def test_the_package_is_a_program_too(tmp_path: Path) -> None:
    done = python("-m", "ollama_harness", "--version", cwd=tmp_path)
    assert (done.returncode, ollama_harness.__version__ in done.stdout) == (0, True), done.stderr


def test_dir_shows_what_is_exported() -> None:
    assert set(ollama_harness.__all__) <= set(dir(ollama_harness))
    assert all(inspect.getdoc(getattr(ollama_harness, name)) for name in ollama_harness.__all__)


@in_one_test("name", faults.FAULTS)
def test_the_signature_of_a_fault_says_what_it_returns(name: str) -> None:
    assert inspect.signature(getattr(faults, name)).return_annotation in ("Fault", faults.Fault)
