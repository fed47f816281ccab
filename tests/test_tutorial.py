"""docs/testing-your-app.md, followed to the letter in an empty directory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.same_on_each_python

PAGE = (Path(__file__).parent.parent / "docs" / "testing-your-app.md").read_text("utf-8")
FILES = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
PRINTED = [block.splitlines() for block in re.findall(r"```text\n\$ python -m pytest .*?\n(.*?)```", PAGE, re.DOTALL)]
PRINTED_FAILURES = [line.removesuffix("...") for line in PRINTED[0]]
SIMPLE_APP, FIXED_APP = (text for name, text in FILES if name == "my_app.py")
TESTS = {name.removesuffix(".py"): text for name, text in FILES if name.startswith("test_")}
#: The tests of section 5, which both apps pass. That of the models is run twice.
WORDS = TESTS["test_my_words"].count("def test_") + 2 * TESTS["test_models"].count("def test_")


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, app: str) -> pytest.RunResult:
    monkeypatch.setenv("COLUMNS", "400")  # pytest cuts messages at the terminal's width, as the page does
    pytester.makepyfile(my_app=app, **TESTS)
    # In a process of its own: it must work as installed, without this project's conftest.
    return pytester.runpytest_subprocess("-q", "--tb=no", "-p", "no:cacheprovider")


def test_the_simple_app_fails_as_the_page_shows(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(pytester, monkeypatch, SIMPLE_APP)
    assert outcome.parseoutcomes() == {"passed": 1 + WORDS, "failed": 4}
    failed = [line for line in outcome.outlines if line.startswith("FAILED")]
    *on_the_page, without_done = sorted(failed, key=lambda line: "test_done.py" in line)
    assert "test_done.py" in without_done
    assert [line[: len(shown)] for line, shown in zip(on_the_page, PRINTED_FAILURES, strict=True)] == PRINTED_FAILURES


def test_the_fixed_app_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(pytester, monkeypatch, FIXED_APP)
    assert outcome.parseoutcomes() == {"passed": 5 + WORDS}
    assert PRINTED[1] == ["4 passed"]  # the page adds the fifth and those of its own words after that
