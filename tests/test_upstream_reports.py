"""docs/upstream/: each report is current, so its reproduction is the text of the findings, which other tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages.page import DOCS, Page, Sources, difference
from pages.upstream_page import PAGES, REPORTS, Report

pytestmark = pytest.mark.same_everywhere


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_is_what_the_findings_and_its_entry_make(page: Page, tmp_path: Path) -> None:
    sources = Sources(scratch=tmp_path, routes=None, there=page.read(), checking=True, with_clients=False)
    assert difference(page.read(), page.make(sources)) == "", f"write it again: python -m pages {page.name}"


def test_there_is_no_page_without_an_entry() -> None:
    assert {path.stem for path in (DOCS / "upstream").iterdir()} == {page.path.stem for page in PAGES}


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_a_finding_that_its_own_tracker_has_needs_no_report(report: Report) -> None:
    """The findings say "known as" with a link for those."""
    page = (DOCS / "upstream" / f"{report.name}.md").read_text("utf-8")
    prose = page[: page.index("## Reproduction")]
    tracker = report.tracker.rpartition("/")[0]
    assert not re.search(rf"[Kk]nown as \[[^\]]*\]\({re.escape(tracker)}/", prose)
