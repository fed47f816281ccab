"""docs/findings.md: every reproduction prints what the document says, and every known issue leads to one.

The reproductions of docs/findings-other-languages.md need toolchains: tests/examples runs them.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from builders import in_one_test

import ollama_harness
from ollama_harness.clients import Client, clients
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


#: Runs reproductions one after the other, so that a library is imported once; prints what each has printed.
RUN_ALL = """
import contextlib, io, json, os, runpy, sys, traceback
sys.path.insert(0, os.getcwd())
printed = []
for name in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            runpy.run_path(name, run_name="__main__")
        except BaseException:
            traceback.print_exc()
    printed.append(output.getvalue())
print(json.dumps(printed))
"""


def needed(code: str) -> list[Client]:
    """The clients that are not installed with the package, of those that a reproduction imports."""
    return [*filter(None, map(OPTIONAL.get, re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)))]


def shared(code: str) -> tuple[str, str]:
    """The Python of a reproduction, and its code if it needs a process of its own: it changes what others see."""
    wanted, changes = needed(code), re.search(r"^(os|urllib)[.\w]+(\[.*\])? \|?= ", code, re.MULTILINE)
    return wanted[-1].python if wanted else sys.executable, code if changes else ""


@pytest.fixture(scope="module")
def run_all(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, str]], tuple[dict[str, str], str]]:
    """Runs the reproductions that share a process, once; gives what each has printed, by title, and their errors."""

    @functools.cache
    def run(process: tuple[str, str]) -> tuple[dict[str, str], str]:
        folder, files = tmp_path_factory.mktemp("findings"), dict[str, str]()
        assert SERVER is not None
        (folder / "server.py").write_text(SERVER[1], encoding="utf-8")
        for number, (title, code, *_) in enumerate(FINDINGS):
            if shared(code) == process:
                files[title] = f"reproduce_{number}.py"
                (folder / files[title]).write_text(code, encoding="utf-8")
        command = [process[0], "-c", RUN_ALL, *files.values()]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return dict(zip(files, json.loads(done.stdout), strict=True)), done.stderr

    return run


@pytest.mark.parametrize(("title", "code", "prints", "_"), FINDINGS, ids=[title for title, *_ in FINDINGS])
def test_the_reproduction_prints_what_is_written(
    title: str, code: str, prints: str, _: str, run_all: Callable[[tuple[str, str]], tuple[dict[str, str], str]]
) -> None:
    for one in needed(code):
        if one.missing is not None:
            pytest.skip(f"{one.name} is not installed: {one.missing}")
    printed, errors = run_all(shared(code))
    assert printed[title] == prints, errors


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
