"""What comes from outside is made safe to print."""

from __future__ import annotations

import json
import tomllib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.files.printable import json_text, one_line, printable, toml_string

#: Any text that Python can hold, halves of surrogate pairs among it, and often what is dangerous.
any_text = st.text(st.characters() | st.sampled_from("\x1b\x07\x08\r\n\t\x7f\x85\x9b\u2028\u2029\u202e\ud800\udcff[\\"))


def dangerous(text: str) -> list[str]:
    return [char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in "\u202e\u2066"]


@given(any_text)
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    assert set(dangerous(printable(text))) <= {"\n"}
    assert dangerous(one_line(text)) == []
    assert one_line(text).encode().decode() == one_line(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"])))
def test_what_can_be_seen_is_printed_as_it_is(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u2028\u202e", "\\u2028\\u202e"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("✓ 👩‍🔬 [red]x[/red]", "✓ 👩‍🔬 [red]x[/red]"),
    ],
)
def test_the_escape_is_the_one_that_python_would_write(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(st.dictionaries(any_text, any_text | st.lists(any_text)), st.sampled_from([None, 1]))
def test_json_stays_the_same_value(value: object, indent: int | None) -> None:
    shown = json_text(value, indent=indent)
    assert json.loads(shown) == value
    assert set(dangerous(shown)) <= {"\n"}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_string_of_toml_is_read_as_what_it_was(text: str) -> None:
    assert tomllib.loads(f"x = {toml_string(text)}") == {"x": text}


def test_half_a_surrogate_pair_is_shown_as_its_escape_in_toml() -> None:
    assert tomllib.loads("x = " + toml_string("a\ud800b")) == {"x": "a\\ud800b"}
