"""docs/findings.md: every reproduction prints what the document says, and every known issue leads to one.

The reproductions of docs/findings-other-languages.md need toolchains: tests/examples runs them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from builders import in_one_test

import ollama_harness
from ollama_harness.clients import clients
from ollama_harness.matrix import known_issues
from ollama_harness.matrix.cells import cell
from ollama_harness.recordings.store import RecordingStore, fixtures

pytestmark = pytest.mark.same_on_each_python

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "findings.md").read_text("utf-8")
OTHER_LANGUAGES = (DOCS / "findings-other-languages.md").read_text("utf-8")
SERVER = re.search(r"```python\n# server\.py\n(.*?)```", TEXT, re.DOTALL)
FINDINGS = re.findall(
    r"^## ([^\n]*)\n.*?```python\n(.*?)```\s+```text\n(.*?)```\s+^Shown by: (.*?)(?=\n\n|\Z)",
    TEXT,
    re.DOTALL | re.MULTILINE,
)
#: `<client>/<scenario>/<version>/<recording>`, and `@<host>` in an environment
CELL = r"[\w-]+/[\w-]+/[\d.]+/[\w-]+(?:@[\w.:\[\]]+)?"
SHOWN = [id_ for *_, shown in FINDINGS for id_ in re.findall(CELL, shown)]
#: The clients that are not installed with the package, by the modules that they import.
OPTIONAL = {one.modules[0].partition(".")[0]: one for one in clients().values() if one.optional and one.modules}
SHOWN_OTHER: list[str] = re.findall(CELL, OTHER_LANGUAGES)
ISSUES = known_issues.load(fixtures() / known_issues.FILE)
PROGRAMS = Path(ollama_harness.__file__).parent / "clients" / "programs"
#: Those of each language that has a section.
ISSUES_OTHER = [
    issue
    for language in re.findall(r"^## (\w+)$", OTHER_LANGUAGES, re.MULTILINE)
    for issue in known_issues.load(PROGRAMS / language.lower() / known_issues.FILE)
]


@pytest.mark.parametrize(("title", "code", "prints", "_"), FINDINGS, ids=[title for title, *_ in FINDINGS])
def test_the_reproduction_prints_what_is_written(title: str, code: str, prints: str, _: str, tmp_path: Path) -> None:
    python = sys.executable
    for one in filter(None, map(OPTIONAL.get, re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))):
        if one.missing is not None:
            pytest.skip(f"{one.name} is not installed: {one.missing}")
        python = one.python
    assert SERVER is not None
    (tmp_path / "server.py").write_text(SERVER[1], encoding="utf-8")
    (tmp_path / "reproduce.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [python, "reproduce.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == prints, done.stderr


def test_every_section_has_a_reproduction_and_shows_a_cell() -> None:
    assert len(FINDINGS) == TEXT.count("\n## ") > 0
    assert all(re.search(CELL, shown) for *_, shown in FINDINGS)


@in_one_test("id_", [*SHOWN, *SHOWN_OTHER])
def test_every_cell_that_is_named_exists(id_: str, store: RecordingStore) -> None:
    assert cell(store, id_).id == id_


@in_one_test("issue", [*ISSUES, *ISSUES_OTHER])
def test_every_known_issue_leads_to_a_section(issue: known_issues.KnownIssue) -> None:
    shown = {tuple(id_.split("/")[:2]) for id_ in [*SHOWN, *SHOWN_OTHER]}
    assert shown & set(product(issue.clients, issue.scenarios)), issue.reason
