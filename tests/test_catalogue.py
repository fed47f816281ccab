"""docs/faults.md is what the tables say; and what it prints can be typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import in_one_test

from ollama_harness.errors import BadFault, UnknownName
from ollama_harness.faults import FAULTS, Fault, after_record, close_at, jitter
from ollama_harness.faults.notation import parse_fault
from ollama_harness.matrix.scenarios import GROUPS, SCENARIOS
from pages.faults_page import catalogue

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent


def test_the_page_is_current() -> None:
    message = "write it again: python -m pages faults"
    assert (ROOT / "docs" / "faults.md").read_text("utf-8") == catalogue(), message


def test_no_group_of_scenarios_is_empty_and_each_scenario_has_a_source() -> None:
    assert GROUPS
    assert [title for title, group in GROUPS.items() if not group] == []
    assert [one.name for one in SCENARIOS.values() if one.source is None and one.environment is None] == []


EXAMPLES = [kind.make(*kind.example) for kind in FAULTS.values()]
IN_SCENARIOS = [fault for one in SCENARIOS.values() for faults in (one.faults, *one.then) for fault in faults]
PRINTED = {str(fault): fault for fault in (*EXAMPLES, *IN_SCENARIOS)}


@in_one_test("text fault", PRINTED.items())
def test_every_fault_that_is_printed_can_be_read_again(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


def test_a_fault_can_be_written_by_name_and_with_spaces() -> None:
    assert parse_fault(" close_at( place = after_record(n=3) ) ") == close_at(after_record(3))
    assert parse_fault("jitter(1, 2)") == jitter(1, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is no fault; write one like"),
        ("close_at(", "is no fault; write one like"),
        ("close_at", "close_at is neither a place nor a value"),
        ("3", "is a place or a value, and no fault; write one like close_at"),
        ("after_record(3)", "write one like close_at(after_record(3))"),
        ("close_at(3)", "3 is no Place"),
        ("close_at(after_record('x'))", "'x' is no int"),
        ("close_at()", "missing a required argument"),
        ("close_at(after_record(3), 4)", "too many positional arguments"),
        ("replace_with(proxy)", "proxy is neither a place nor a value"),
        ("close_at(__import__('os'))", "no fault or place called '__import__'"),
        ("(lambda: 3)()", "neither a place nor a value"),
        ("cut_at(after_record(3))", "did you mean"),
    ],
)
def test_what_is_no_fault_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises((BadFault, UnknownName)) as caught:
        parse_fault(text)
    assert sentence in str(caught.value)
