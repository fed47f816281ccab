"""Every rule sees what its example changes, and nothing where its example changes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from builders import in_one_test

from ollama_harness.gate.rules import RULES
from ollama_harness.gate.rules.examples import _FIRST, _LAST, _PROGRESS, EXAMPLES, _cell, _lines, _stream, exchange
from ollama_harness.gate.wire_comparison import compare
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import RecordedEnd

pytestmark = pytest.mark.same_everywhere


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    assert EXAMPLES.keys() == RULES.keys()


@in_one_test("name", RULES)
def test_a_rule_sees_the_change_in_its_example(name: str) -> None:
    assert list(RULES[name](*EXAMPLES[name].fires))


@in_one_test("name", RULES)
def test_a_rule_is_silent_where_nothing_of_its_kind_changed(name: str) -> None:
    assert list(RULES[name](*EXAMPLES[name].silent)) == []


@in_one_test("rule", RULES.values())
def test_a_rule_says_why_and_who_says_so(rule: object) -> None:
    id_, why, source = (getattr(rule, name) for name in ("id", "why", "source"))
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", id_)
    assert why.endswith((".", '".'))
    assert source.startswith("https://") or (Path(__file__).parent.parent / source.partition(",")[0]).is_file()


LONG = {**_FIRST, "eval_duration": 5}
AFTER_DONE = _lines(_FIRST, _LAST, _FIRST)
BOTH_ENDS = exchange(json.dumps(_FIRST).encode() + b"\r\n", json.dumps(_LAST).encode() + b"\n")
#: What is another rule's, or means nothing.
NEARLY = [
    ("type-changed", _stream({"n": 5}), _stream({"n": "5"})),
    ("type-changed", _stream({"n": 5}), _stream({"n": 5.5})),
    ("type-changed", _stream({"n": "5"}), _stream({"n": None})),
    ("number-to-string", _stream({"n": "5"}), _stream({"n": "6"})),
    ("field-optional", _lines(_FIRST, LONG, LONG, LONG, _LAST), _lines(_FIRST, LONG, _FIRST, LONG, _LAST)),
    ("records-after-done", AFTER_DONE, AFTER_DONE),
    ("records-after-done", AFTER_DONE, _stream()),
    ("terminal-record-changed", _stream(), _lines(_FIRST, ended=RecordedEnd.EOF)),
    ("record-kind-gone", _lines(*_PROGRESS), _lines(_PROGRESS[0], ended=RecordedEnd.EOF)),
    ("newline-changed", BOTH_ENDS, _stream()),
    ("newline-changed", BOTH_ENDS, _stream(end="\r\n")),
    ("newline-changed", _stream(), _stream(end="\r\n", ended=RecordedEnd.EOF)),
    ("more-harm", _cell(Verdict.CRASH), _cell(Verdict.HANG)),
    ("more-harm-observed", *[_cell(Verdict.HANG, requirement="OBSERVE")] * 2),
    ("more-harm-observed", _cell(Verdict.CRASH), _cell(Verdict.HANG, requirement="OBSERVE")),
    ("less-harm", _cell(Verdict.CRASH), _cell(Verdict.HANG)),
    ("other-exception", _cell(Verdict.BUFFERED, raised="A"), _cell(Verdict.BUFFERED, raised="B")),
    ("other-message", _cell(raised="A", message="a"), _cell(raised="B", message="b")),
]


@pytest.mark.parametrize(("name", "old", "new"), NEARLY)
def test_a_rule_leaves_to_others_what_is_theirs(name: str, old: object, new: object) -> None:
    assert list(RULES[name](old, new)) == []


def test_the_evidence_shows_the_very_record_that_changed_be_it_the_last() -> None:
    old, new = _stream(), _lines(_FIRST, {**_LAST, "done_reason": "tired"})
    [found] = [one for one in compare([old.version], new.version).findings if one.rule == "word-new"]
    [evidence] = found.evidence
    assert (evidence.new_line, json.loads(evidence.new)["done_reason"]) == (2, "tired")
