"""JSON made for a schema: it is valid, it ends, it is the same each time, and it is made of the prompt."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers.completions.making._pattern import text_for
from ollama_harness.answers.completions.making.made_json import JsonMaker

pytestmark = pytest.mark.same_everywhere

NAMES = st.sampled_from(["city", "unit", "count", "when", "items", "a"])
NUMBERS = st.integers(-20, 20) | st.sampled_from([0.5, -1.5, 3.25])


def _number(type_: str) -> st.SearchStrategy[dict[str, Any]]:
    low = st.fixed_dictionaries({"type": st.just(type_)}, optional={"minimum": NUMBERS, "exclusiveMinimum": NUMBERS})
    high = st.fixed_dictionaries({"type": st.just(type_)}, optional={"maximum": NUMBERS, "exclusiveMaximum": NUMBERS})
    return low | high


def _string(least: int, more: int) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": least + more}


LEAVES = st.one_of(
    st.sampled_from([{"type": "string"}, {"type": "boolean"}, {"type": "null"}, {}, {"type": ["string", "null"]}]),
    st.builds(_string, st.integers(0, 60), st.integers(0, 60)),
    st.sampled_from(["date", "date-time", "email", "ipv4", "uuid"]).map(lambda f: {"type": "string", "format": f}),
    st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=3, unique=True).map(lambda v: {"enum": v}),
    st.integers().map(lambda value: {"const": value}),
    _number("integer"),
    _number("number"),
    st.sampled_from([2, 5, 0.5]).map(lambda step: {"type": "number", "minimum": 3, "multipleOf": step}),
)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _array(items: dict[str, Any], least: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


def _compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(NAMES, max_size=2, unique=True)
    objects = st.builds(_object, st.dictionaries(NAMES, inner, max_size=3), names)
    arrays = st.builds(_array, inner, st.integers(0, 3))
    return objects | arrays | st.lists(inner, min_size=1, max_size=3).map(_any_of)


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": schemas}


SCHEMAS = st.recursive(LEAVES, _compound, max_leaves=8)
PROMPTS = st.sampled_from(["", "What is the weather in Paris?", 'Say "hello" 3 times', "how far is it, 12.5 km?"])


@given(SCHEMAS, PROMPTS, st.booleans())
def test_what_is_made_is_valid(schema: dict[str, Any], prompt: str, referred: bool) -> None:
    if referred:
        schema = {"$defs": {"One": schema}, "properties": {"x": {"$ref": "#/$defs/One"}}, "required": ["x"]}
    made = JsonMaker(prompt).value(schema)
    jsonschema.validate(made, schema, cls=jsonschema.Draft202012Validator)
    assert made == JsonMaker(prompt).value(schema)


TREE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "children", "parent"],
        }
    },
    "$ref": "#/$defs/Node",
}


def test_a_schema_that_holds_itself_ends() -> None:
    made = JsonMaker("").value(TREE)
    jsonschema.validate(made, TREE)
    assert len(json.dumps(made)) < 2000


@pytest.mark.parametrize(
    ("prompt", "schema", "made"),
    [
        ("What is the weather in Paris?", {"properties": {"city": {"type": "string"}}}, {"city": "Paris"}),
        ("Add 7 and 8", {"properties": {"a": {"type": "integer"}}}, {"a": 7}),
        ("Is it Cold there?", {"enum": ["warm", "cold"]}, "cold"),
        ("Is it warm there?", {"enum": ["warm", "cold"]}, "warm"),
        ("Say hello to 'Ada Lovelace'", {"type": "string"}, "Ada Lovelace"),
        ("", {"type": "object", "properties": {"tags": {"type": "array", "items": {"const": 1}}}}, {"tags": [1]}),
        ("", {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
        ("", {"properties": {}, "required": ["b"], "additionalProperties": {"type": "boolean"}}, {"b": True}),
        ("", {"type": "array", "items": {"type": "string", "format": "date"}, "maxItems": 0}, []),
        ("", {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True}, [True, False]),
    ],
)
def test_values_are_of_the_prompt_and_of_the_schema(prompt: str, schema: Any, made: Any) -> None:
    assert JsonMaker(prompt).value(schema) == made


PATTERNS = [
    *(r"^\d{3}-\d{4}$", r"^[A-Z]{2}[0-9]+$", r"^(red|green)$", r"[a-z]+", r"^#[0-9a-fA-F]{6}$", r"^$", r"\bx\.y$"),
    *(r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$", r"^(?:v\d+)(\.\d+)*?$", r"^(?<year>\d{4})$", r"^[\w\-\]]+$", r"^\u00e9?é\x41$"),
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("least", [0, 3])
def test_a_pattern_is_matched(pattern: str, least: int) -> None:
    made = JsonMaker("").value({"type": "string", "pattern": pattern})
    assert re.search(pattern.replace("?<", "?P<"), made)
    longer = JsonMaker("").value({"type": "string", "pattern": r"^[a-c]*\d?$", "minLength": least})
    assert re.fullmatch(r"[a-c]*\d?", longer)
    assert len(longer) >= least


@pytest.mark.parametrize(
    "pattern", [r"(?=a)b", r"(a)\1", r"\p{L}", "[", "(", "a{2", "*", "[z-a]", "x" * 500, "(" * 300]
)
def test_a_pattern_that_is_not_known_is_passed_over(pattern: str) -> None:
    assert isinstance(JsonMaker("").value({"type": "string", "pattern": pattern}), str)


def test_a_name_of_the_prompt_is_taken_where_it_matches() -> None:
    maker = JsonMaker("Is 'AB-12' or 'cd' ordered?")
    assert maker.value({"type": "string", "pattern": "^[a-z]+$"}) == "cd"
    assert maker.value({"type": "string", "pattern": "^[A-Z-0-9]+$"}) == "AB-12"


@given(st.text(alphabet="ab01()[]{}|*+?^$.\\d-,", max_size=12))
def test_any_pattern_has_a_text_or_none(pattern: str) -> None:
    text = text_for(pattern)
    assert text is None or len(text) > 20 or re.search(pattern, text)


def test_no_more_properties_than_are_allowed() -> None:
    schema = {"properties": {name: {"type": "null"} for name in "abc"}, "required": ["c"], "maxProperties": 2}
    assert JsonMaker("").value(schema) == {"a": None, "c": None}


def test_known_values_are_taken_where_they_are_valid() -> None:
    schema = {"properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 3}}}
    known = {"city": "Oslo", "days": 9}
    assert JsonMaker("").value(schema, known) == {"city": "Oslo", "days": 1}
    assert JsonMaker("3 days in Rome").value(schema, known) == {"city": "Rome", "days": 3}


def test_each_name_and_number_of_the_prompt_is_used_before_the_last_is_repeated() -> None:
    numbers = {"properties": {name: {"type": "integer"} for name in "abc"}}
    assert JsonMaker("Add 7 and 8").value(numbers) == {"a": 7, "b": 8, "c": 8}
    maker, city = JsonMaker("Is it warm in Paris or in Oslo?"), {"properties": {"city": {"type": "string"}}}
    assert [maker.value(city)["city"] for _ in range(3)] == ["Paris", "Oslo", "Oslo"]
