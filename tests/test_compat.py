"""Every rule sees what its example changes, and nothing where its example changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ollama_harness.gate.rules import RULES
from ollama_harness.gate.rules.examples import EXAMPLES


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    assert EXAMPLES.keys() == RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_sees_the_change_in_its_example(name: str) -> None:
    assert list(RULES[name](*EXAMPLES[name].fires))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_silent_where_nothing_of_its_kind_changed(name: str) -> None:
    assert list(RULES[name](*EXAMPLES[name].silent)) == []


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_why_and_who_says_so(rule: object) -> None:
    id_, why, source = (getattr(rule, name) for name in ("id", "why", "source"))
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", id_)
    assert why.endswith((".", '".'))
    assert source.startswith("https://") or (Path(__file__).parent.parent / source.partition(",")[0]).is_file()
