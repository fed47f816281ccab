"""Pieces: what a client yields that translates an answer."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_harness.oracle.pieces import problem_of_piece

pytestmark = pytest.mark.same_everywhere

CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}


@pytest.mark.parametrize(
    "piece",
    [
        {"role": "assistant"},
        {"text": ""},
        {"thinking": "hm"},
        {"tool_call": CALL},
        {"tool_call": {**CALL, "arguments": '{"city":', "id": "call_1", "index": 0}},
        {"tool_call": {"arguments": '"Paris"}'}},
        {"finish_reason": "stop"},
        {"usage": {"input": 12, "output": None}},
        {"error": {"message": "boom"}},
        {"error": None},
    ],
)
def test_each_kind_of_piece_is_one(piece: Any) -> None:
    assert problem_of_piece(piece) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("Hi", "a piece is an object with one key"),
        ({}, "a piece is an object with one key"),
        ({"text": "Hi", "role": "assistant"}, "a piece is an object with one key"),
        ({"content": "Hi"}, "'content' is no kind of piece; the kinds are role, text, "),
        ({"text": None}, "text is a text, and this is None"),
        ({"tool_call": {"name": "f"}}, "tool_call is an object with name and arguments"),
        ({"tool_call": {"arguments": {}}}, "a further part of a call has no name"),
        ({"tool_call": {**CALL, "type": "function"}}, "tool_call is an object"),
        ({"tool_call": {**CALL, "index": "0"}}, "tool_call is an object"),
        ({"usage": {}}, "usage is an object with input and output"),
        ({"usage": {"input": 1.0, "output": True}}, "usage is an object"),
        ({"usage": {"total": 1}}, "usage is an object"),
    ],
)
def test_what_is_no_piece_is_told_why(value: Any, problem: str) -> None:
    assert problem in str(problem_of_piece(value))
