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

import ollama_harness

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "findings-other-languages.md").read_text("utf-8")
PROGRAMS = Path(ollama_harness.__file__).parent / "clients" / "programs"
REPRODUCTIONS = re.findall(
    r"^### ([^\n]*)\n(?:(?!^##).)*?```(\w+)\n(.*?)```\s+```text\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Language:
    """How a reproduction is run: its file, what stands beside it, and the command, which starts with the toolchain.

    With a `folder` it runs there, from stdin, because that is where its libraries are.
    """

    file: str
    command: tuple[str, ...]
    needs: str
    beside: tuple[Path, ...] = ()
    folder: Path | None = None


JAVASCRIPT = PROGRAMS / "javascript"
NODE = str(JAVASCRIPT / "node_modules" / ".bin" / "node")

LANGUAGES = {
    "js": Language("reproduce.mjs", (NODE, "--input-type=module", "-"), NODE, folder=JAVASCRIPT),
    "go": Language("main.go", ("go", "run", "."), "go", (PROGRAMS / "go" / "go.mod", PROGRAMS / "go" / "go.sum")),
    "python": Language("reproduce.py", (sys.executable, "reproduce.py"), "curl"),
}


@pytest.mark.parametrize(
    ("language", "code", "prints"), [each[1:] for each in REPRODUCTIONS], ids=[title for title, *_ in REPRODUCTIONS]
)
def test_the_reproduction_shows_the_defect(language: str, code: str, prints: str, tmp_path: Path) -> None:
    one = LANGUAGES[language]
    if shutil.which(one.needs) is None:
        pytest.skip(f"there is no {one.needs}")
    (tmp_path / one.file).write_text(code, encoding="utf-8")
    for file in one.beside:
        shutil.copy(file, tmp_path)
    done = subprocess.run(
        one.command,
        cwd=one.folder or tmp_path,
        input=code if one.folder else "",
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert (done.stdout, done.returncode) == (prints, 1), done.stderr


def test_every_section_has_a_reproduction() -> None:
    assert len(REPRODUCTIONS) == TEXT.count("\n### ") > 0
