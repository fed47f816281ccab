"""docs/findings.md: every reproduction prints what the document says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs" / "findings.md").read_text("utf-8")
SERVER = re.search(r"```python\n# server\.py\n(.*?)```", TEXT, re.DOTALL)
FINDINGS = re.findall(r"^## (.*?)\n.*?```python\n(.*?)```\s+```text\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("title", "code", "prints"), FINDINGS, ids=[title for title, _, _ in FINDINGS])
def test_the_reproduction_prints_what_is_written(title: str, code: str, prints: str, tmp_path: Path) -> None:
    assert SERVER is not None
    (tmp_path / "server.py").write_text(SERVER[1], encoding="utf-8")
    (tmp_path / "reproduce.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "reproduce.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == prints, done.stderr


def test_every_known_issue_is_found_here() -> None:
    assert len(FINDINGS) == TEXT.count("\n## ") == 5
