"""The lines that errors of a programme's file name."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import HarnessError, ProgrammeError
from ollama_harness.server._lines import Lines
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.programme_file import read_programme

pytestmark = pytest.mark.same_everywhere

ODD = """\
# [[rules]] in a comment, and a quote: \"
"$schema" = "a # [[rules]] = \\" ["

[[ rules ]]  # the first
name = \"\"\"
[[rules]]
fail = 1 \\\"\"\" \"\"\"\"
when.path = [
  "/a=[",  # ]
  '/b]',
]
when . "json" . a = 1
fail = { status = 503, message = "= # {" }

[rules.reply]
text = '''
[[rules]]
'''''

  [["rules"]]
'play' = []
  [rules.when]
  path = "/x"
  [rules.when.headers]
  "a.b = [" = "*"
"""

ODD_LINES = {
    ("$schema",): 2,
    ("rules", 0): 4,
    ("rules", 0, "name"): 5,
    ("rules", 0, "when"): 8,
    ("rules", 0, "when", "path"): 8,
    ("rules", 0, "when", "json", "a"): 12,
    ("rules", 0, "fail", "message"): 13,
    ("rules", 0, "reply"): 15,
    ("rules", 0, "reply", "text"): 16,
    ("rules", 1): 20,
    ("rules", 1, "play"): 21,
    ("rules", 1, "when"): 22,
    ("rules", 1, "when", "path"): 23,
    ("rules", 1, "when", "headers", "a.b = ["): 25,
    ("rules", 1, "nth"): 20,
    ("rules", 2): None,
    ("other",): None,
}


def test_an_odd_file_of_toml_has_its_lines() -> None:
    lines = Lines(ODD, is_json=False, rules=len(tomllib.loads(ODD)["rules"]))
    assert {keys: lines.of(keys) for keys in ODD_LINES} == ODD_LINES


def test_rules_in_an_inline_list_have_the_line_where_they_begin() -> None:
    text = "rules = [\n  { fail = 503, when = { path = '/' } }, # {\n\n  { play = ['{'] }, { fail = 500 },\n]\n"
    lines = Lines(text, is_json=False, rules=3)
    assert [lines.of(("rules", number, "fail")) for number in range(3)] == [2, 4, 4]


def test_an_odd_file_of_json_has_its_lines() -> None:
    text = """{"a": [], "b": {}, "\\u0072ules":
    [ {"x": "}],\\\"{", "fail":
    503},
    [1, {"fail": 2}], {
    "when": {"path": ["a",
        "b"]}, "faults": []}]
    , "c": -1.5e3}"""
    lines = Lines(text, is_json=True, rules=3)
    wanted = {
        ("a",): 1,
        ("rules",): 1,
        ("rules", 0): 2,
        ("rules", 0, "fail"): 2,
        ("rules", 1): 4,
        ("rules", 2): 4,
        ("rules", 2, "when", "path"): 5,
        ("rules", 2, "when", "path", 1): 6,
        ("rules", 2, "faults"): 6,
        ("c",): 7,
        ("d",): None,
    }
    assert {keys: lines.of(keys) for keys in wanted} == wanted


def test_no_line_is_told_where_the_rules_are_not_as_many_as_were_read() -> None:
    text = "[[rules]]\nfail = 503\n"
    assert Lines(text, is_json=False, rules=1).of(("rules", 0, "fail")) == 2
    assert Lines(text, is_json=False, rules=2).of(("rules", 0, "fail")) is None


HOSTILE = st.text(alphabet="a\"'\\\n#=[]{},: \u00e9", max_size=12)
VALUES = st.recursive(
    HOSTILE | st.integers(0, 99) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)
RULES = st.lists(st.lists(VALUES, min_size=1, max_size=3), min_size=1, max_size=4)


def line_of(text: str, mark: str) -> int:
    assert text.count(mark) == 1
    return text[: text.index(mark)].count("\n") + 1


@given(rules=RULES, indent=st.sampled_from([None, 0, 2]))
def test_any_json_has_its_lines(rules: list[list[Any]], indent: int | None) -> None:
    named = [{f"k{at}_{of}": value for of, value in enumerate(rule)} for at, rule in enumerate(rules)]
    text = json.dumps({"rules": named}, indent=indent)
    lines = Lines(text, is_json=True, rules=len(rules))
    keys = [("rules", at, name) for at, rule in enumerate(named) for name in rule]
    assert [lines.of(key) for key in keys] == [line_of(text, json.dumps(key[-1])) for key in keys]


def in_toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{in_toml(key)} = {in_toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + "".join(f'\n{in_toml(inner)}, # "]\n' for inner in value) + "]"
        case str() if "'''" not in value and not value.endswith("'") and "\n" in value:
            return f"'''{value}'''"
    return json.dumps(value)


@given(rules=RULES, as_tables=st.booleans())
def test_any_toml_has_its_lines(rules: list[list[Any]], as_tables: bool) -> None:
    """A dict of several lines is none of TOML 1.0, so it stands alone in a table of the rule."""
    text = ""
    for at, rule in enumerate(rules):
        text += f"[[rules]] # r{at}:\n"
        for of, value in enumerate(rule):
            shown = in_toml([value] if not isinstance(value, list) else value)
            text += f"[rules.t{of}]\nk{at}_{of} = {shown}\n" if as_tables else f"t{of}.k{at}_{of} = {shown}\n"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        text = "".join(f"[[rules]] # r{at}:\n" for at in range(len(rules)))
    lines = Lines(text, is_json=False, rules=len(rules))
    marks = {("rules", at): f"# r{at}:" for at in range(len(rules))}
    marks |= {
        ("rules", at, f"t{of}", f"k{at}_{of}"): f"k{at}_{of} = "
        for at, rule in enumerate(rules)
        for of in range(len(rule))
        if f"k{at}_{of} = " in text
    }
    assert {keys: lines.of(keys) for keys in marks} == {keys: line_of(text, mark) for keys, mark in marks.items()}


def test_an_error_names_the_line_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b"# Windows\r\n[[rules]]\r\nfail = 503\r\n\r\n[[rules]]\r\nplay = 'tags'\r\nnth = 0\r\n")
    with pytest.raises(ProgrammeError) as raised:
        read_programme(path)
    assert str(raised.value) == f"{path}: line 7, rule 2, nth: 0 is too small; give 1 or more"


def test_a_rule_that_can_have_no_effect_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"rules": [\n {"nth": 1, "fail": 503},\n {"play": "chat-steam"}]}', "utf-8")
    with pytest.raises(HarnessError, match=r"^p.json: line 3, rule 2: there is no recording called 'chat-steam'"):
        FakeOllama(programme=read_programme(path))
