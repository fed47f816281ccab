"""`python -m pages` writes pages, and sees one that is not what it would write."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

import pages.page
from ollama_harness.errors import GateError
from pages.__main__ import PAGES, main
from pages.api_page import STABLE
from pages.page import Sources, difference

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent

#: Made from tables and the code itself, in no time.
QUICK = ("api", "error-messages", "faults")


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of these pages."""
    monkeypatch.setattr(pages.page, "DOCS", tmp_path)
    for name in QUICK:
        (tmp_path / f"{name}.md").write_bytes((ROOT / "docs" / f"{name}.md").read_bytes())
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_the_pages_made_from_tables_and_code_are_current(docs: Path) -> None:
    code, output = run("--check", *QUICK)
    assert (code, output.count(": current (")) == (0, len(QUICK)), output


def test_a_changed_page_is_seen_and_written_again(docs: Path) -> None:
    name = "faults"
    page = docs / f"{name}.md"
    before = page.read_bytes()
    page.write_bytes(before + b"one line more\n")
    code, output = run("--check", name)
    assert code == 1
    assert f"write it again: python -m pages {name}" in output
    assert page.read_bytes() != before, "a check writes nothing"
    assert run(name)[0] == 0
    assert page.read_bytes() == before


def test_every_page_of_the_command_is_a_page_of_the_docs() -> None:
    docs = ROOT / "docs"
    assert {docs / f"{name}.md" for name in PAGES} <= set(docs.rglob("*.md"))


def test_a_history_without_its_part_about_clients_asks_for_a_run(tmp_path: Path) -> None:
    sources = Sources(scratch=tmp_path, routes=None, there="# nothing\n", checking=False, with_clients=False)
    with pytest.raises(GateError, match="--with-clients"):
        PAGES["wire-history"].make(sources)


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        ("a\nb\n", "a\nb\n", ""),
        ("a\nb\n", "a\nc\n", "line 2 would be: c"),
        ("a\n", "a\nc\n", "line 2 would be: c"),
        ("a\nb\n", "a\n", "line 2 would be: (nothing)"),
    ],
)
def test_a_difference_names_the_first_line(there: str, wanted: str, said: str) -> None:
    assert difference(there, wanted) == said


def test_every_stable_name_says_what_it_is() -> None:
    names = [(part.title, name, inspect.getdoc(value)) for part in STABLE for name, value in part.names.items()]
    assert len(names) > len(STABLE)
    assert [(title, name) for title, name, says in names if not says] == []
