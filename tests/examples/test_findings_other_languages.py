"""docs/findings-other-languages.md: every reproduction prints what the page says, and exits with 1.

It does so while the defect lives. A reproduction is skipped where its toolchain is missing. tests/test_findings.py
checks what needs no toolchain.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ollama_harness.clients import client

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "findings-other-languages.md").read_text("utf-8")
REPRODUCTIONS = re.findall(
    r"^### ([^\n]*)\n(?:(?!^##).)*?```(\w+)\n(.*?)```\s+```text\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Language:
    """How a reproduction is run: its file, what stands beside it, and the command.

    `needs` is a program on PATH, and `built` a folder that the steps of a clients.toml make. With a `folder` it runs
    there, from stdin, because that is where its libraries are.
    """

    file: str
    command: tuple[str, ...]
    needs: str
    beside: tuple[Path, ...] = ()
    folder: Path | None = None
    built: Path | None = None


def _home(name: str) -> Path:
    """Where a client is built: its place, or the folder of its sources."""
    command = client(name).command
    assert command is not None
    return command.home


JAVASCRIPT, GO, RUST, JAVA = map(_home, ("fetch", "net-http", "reqwest", "java-http"))
NODE = str(JAVASCRIPT / "node_modules" / ".bin" / "node")

#: What the toolchains are told. One folder of what cargo has built saves minutes.
SETTINGS = {
    "GOTOOLCHAIN": "local",
    "GOFLAGS": "-mod=readonly -buildvcs=false",
    "CARGO_TARGET_DIR": str(RUST / "target"),
}
LANGUAGES = {
    "js": Language("reproduce.mjs", (NODE, "--input-type=module", "-"), NODE, folder=JAVASCRIPT),
    "go": Language("main.go", ("go", "run", "."), "go", (GO / "go.mod", GO / "go.sum")),
    "java": Language(
        "Reproduce.java",
        ("java", "-cp", str(JAVA / "target" / "lib" / "*"), "Reproduce.java"),
        "java",
        built=JAVA / "target" / "lib",
    ),
    "rust": Language(
        "examples/reproduce.rs",
        ("cargo", "run", "--quiet", "--release", "--locked", "--example", "reproduce"),
        "cargo",
        tuple(RUST / each for each in ("Cargo.toml", "Cargo.lock", "src")),
        built=RUST / "target",
    ),
    "python": Language("reproduce.py", (sys.executable, "reproduce.py"), "curl"),
}


@pytest.mark.parametrize(
    ("language", "code", "prints"), [each[1:] for each in REPRODUCTIONS], ids=[title for title, *_ in REPRODUCTIONS]
)
def test_the_reproduction_shows_the_defect(language: str, code: str, prints: str, tmp_path: Path) -> None:
    one = LANGUAGES[language]
    if shutil.which(one.needs) is None:
        pytest.skip(f"there is no {one.needs}")
    if one.built is not None and not one.built.exists():
        pytest.skip(f"there is no {one.built}: run ollama-harness install --all")
    for each in one.beside:
        copy = shutil.copytree if each.is_dir() else shutil.copy
        copy(each, tmp_path / each.name)
    (tmp_path / one.file).parent.mkdir(exist_ok=True)
    (tmp_path / one.file).write_text(code, encoding="utf-8")
    done = subprocess.run(
        one.command,
        cwd=one.folder or tmp_path,
        input=code if one.folder else "",
        env={**os.environ, **SETTINGS},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert (done.stdout, done.returncode) == (prints, 1), done.stderr


def test_every_section_has_a_reproduction() -> None:
    assert len(REPRODUCTIONS) == TEXT.count("\n### ") > 0
