"""Versions of Ollama: which can be one, which comes first, and how `packaging` compares them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.recordings.versions import is_version, order, pep440

pytestmark = pytest.mark.same_everywhere

IN_ORDER = [
    "main", "0.5.7", "0.6.0-rc0", "0.6.0-rc9", "0.6.0-rc10", "0.6.0-rc10-2-gabc1234", "0.6.0", "0.6.0-12-gabc1234",
    "0.6.0-100-g0123456", "0.6.1", "0.9.6", "0.12.0-alpha", "0.12.0-rc1", "0.12", "0.12.1+cuda", "0.32.15", "1.0.0",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_versions_are_sorted_as_versions(seed: int) -> None:
    shuffled = random.Random(seed).sample(IN_ORDER, len(IN_ORDER))
    assert sorted(shuffled, key=order) == IN_ORDER


@given(st.lists(st.text(max_size=20) | st.from_regex(r"\d+\.\d+(-rc\d+)?(-\d+-g[0-9a-f]+)?", fullmatch=True)))
def test_any_texts_have_an_order(texts: list[str]) -> None:
    assert sorted(sorted(texts, key=order, reverse=True), key=order) == sorted(texts, key=order)


def test_a_number_of_any_length_has_an_order() -> None:
    assert order("0." + "9" * 10_000) > order("0.9.6")


@pytest.mark.parametrize("text", ["0.5.7", "0.12.0-rc1", "0.6.0-12-gabc1234", "0.0.0", "main", "1", "v0.1+x"])
def test_what_servers_report_is_a_version(text: str) -> None:
    assert is_version(text)


@pytest.mark.parametrize(
    "text", ["", "0.5.7\n", "0.5.7\ngate: pass", "\x1b[31m0.5.7", "0 5", "../0.5.7", "a/b", ".", "-", "x" * 101, "0.٣"]
)
def test_what_could_forge_a_line_or_leave_a_folder_is_no_version(text: str) -> None:
    assert not is_version(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.12.0", "0.12.0"),
        ("0.12.0-rc1", "0.12.0rc1"),
        ("0.6.0-12-gabc1234", "0.6.0.post12+gabc1234"),
        ("0.6.0-rc1-3-gabc1234", "0.6.0rc1.post3+gabc1234"),
        ("main", None),
        ("hand-written", None),
        ("0." + "9" * 5000, None),
    ],
)
def test_ranges_include_builds_between_releases(text: str, expected: str | None) -> None:
    found = pep440(text)
    assert (found and str(found)) == expected
