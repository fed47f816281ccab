"""`python -m pages` writes pages, and sees one that is not what it would write."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import pages.page
from ollama_harness.errors import GateError
from pages.__main__ import PAGES, main
from pages.page import Sources, difference

ROOT = Path(__file__).parent.parent


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the two pages that need no client."""
    monkeypatch.setattr(pages.page, "DOCS", tmp_path)
    for name in ("faults.md", "wire-history.md"):
        (tmp_path / name).write_bytes((ROOT / "docs" / name).read_bytes())
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_the_pages_made_from_tables_and_recordings_are_current(docs: Path) -> None:
    code, output = run("--check", "faults", "wire-history")
    assert (code, output.count(": current (")) == (0, 2), output


@pytest.mark.parametrize("name", ["faults", "wire-history"])
def test_a_changed_page_is_seen_and_written_again(name: str, docs: Path) -> None:
    page = docs / f"{name}.md"
    before = page.read_bytes()
    page.write_bytes(before.replace(b"after", b"before"))
    code, output = run("--check", name)
    assert code == 1
    assert f"write it again: python -m pages {name}" in output
    assert page.read_bytes() != before, "a check writes nothing"
    assert run(name)[0] == 0
    assert page.read_bytes() == before


def test_every_page_of_the_command_is_a_page_of_the_docs() -> None:
    assert {f"{name}.md" for name in PAGES} <= {page.name for page in (ROOT / "docs").glob("*.md")}


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
