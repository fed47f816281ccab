"""The way of a request through the rules: which are asked, and what is kept of their answers."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ollama_harness.answers import RULES, Asked, World, answer
from ollama_harness.answers.answering import _MOST_KEPT_BYTES

pytestmark = pytest.mark.same_everywhere

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
VERSION = "0.32.15"


@functools.cache
def requests() -> list[Asked]:
    lines = (REQUESTS / f"{VERSION}.jsonl").read_text("utf-8").splitlines()
    return [asked_of(one["request"]) for one in map(json.loads, lines) if not one["request"].get("raw")]


def asked_of(request: dict[str, Any]) -> Asked:
    headers = {"Host": "127.0.0.1:11434", **request["headers"]}
    body = (request["body"] or "").encode()
    return Asked(method=request["method"], target=request["target"], headers=tuple(headers.items()), body=body)


def chat(body: bytes) -> Asked:
    return Asked(method="POST", target="/api/chat", headers=(("Host", "localhost"),), body=body)


@pytest.mark.parametrize("any_model", [False, True])
def test_no_rule_answers_a_request_that_it_says_it_does_not_concern(any_model: bool) -> None:
    world = World(version=VERSION, any_model=any_model, changed=True)
    rules = [rule for rule in RULES.values() if rule.paths and rule.holds_in(VERSION)]
    left = [(rule, asked) for rule in rules for asked in requests() if not rule.concerns(asked.path)]
    assert len(left) > len(rules), "each is left out somewhere"
    assert {rule.id for rule, asked in left if rule.reply(asked, world) is not None} == set()


def test_a_path_with_a_slash_at_its_end_stands_for_all_below_it() -> None:
    rule = replace(RULES["blob"], paths=("/api/blobs/", "/api/exactly"))
    concerned = {path: rule.concerns(path) for path in ("/api/blobs/x", "/api/blobs", "/api/exactly", "/api/exactly/x")}
    assert concerned == {"/api/blobs/x": True, "/api/blobs": False, "/api/exactly": True, "/api/exactly/x": False}
    assert replace(rule, paths=()).concerns("/any")


def test_the_answer_to_an_equal_request_in_the_same_world_is_kept() -> None:
    world = World(version=VERSION)
    first, again = (answer(chat(b'{"model":"mine"}'), world) for _ in range(2))
    assert first is not None
    assert first is again
    assert first.script is first.script


def test_another_world_or_another_request_gets_an_answer_of_its_own() -> None:
    world = World(version=VERSION)
    mine = world.model("mine")
    assert answer(chat(b'{"model":"mine"}'), world) is not None
    assert answer(chat(b'{"model":"mine"}'), world.with_model(mine)) is None
    assert answer(chat(b'{"model":"mine"}'), replace(world, any_model=True)) is None
    other = answer(chat(b'{"model":"other"}'), world)
    assert other is not None
    assert other.why == "model 'other' not found; there are none"


def test_long_bodies_are_not_kept() -> None:
    world, body = World(version=VERSION), b" " * _MOST_KEPT_BYTES + b"x"
    first, again = (answer(chat(body), world) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first is not again
    assert first.reply == again.reply
