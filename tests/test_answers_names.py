"""A model answers under every name that Ollama takes for it, and its answers repeat the name as it was asked for."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from ollama_harness import FakeOllama

pytestmark = pytest.mark.same_everywhere


def ask(server: FakeOllama, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return [json.loads(line) for line in response.read().splitlines()]


MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.mark.parametrize("name", ["smollm2:135m", "SMOLLM2:135M", "registry.ollama.ai/library/smollm2:135m"])
@pytest.mark.parametrize("stream", [True, False])
def test_every_form_of_a_name_is_answered_and_repeated(name: str, stream: bool) -> None:
    with FakeOllama(speed=0) as server:
        records = ask(server, "/api/chat", {"model": name, "messages": MESSAGES, "stream": stream})
    assert {record["model"] for record in records} == {name}
    assert records[-1]["done"] is True


def test_any_model_answers_under_its_own_name() -> None:
    with FakeOllama(speed=0, any_model=True) as server:
        records = ask(server, "/api/generate", {"model": "llama3.2", "prompt": "Hi"})
    assert {record["model"] for record in records} == {"llama3.2"}


def test_what_nothing_answers_is_an_error_of_the_harness_and_no_false_word_of_ollamas() -> None:
    with FakeOllama(version=None) as server, pytest.raises(urllib.error.HTTPError) as raised:
        ask(server, "/api/chat", {"model": "smollm2:135m", "messages": MESSAGES})
    assert raised.value.code == 404, "without recordings there is no model"
    with FakeOllama(version=None, any_model=True) as server, pytest.raises(urllib.error.HTTPError) as raised:
        ask(server, "/api/chat", {"model": "smollm2:135m", "messages": MESSAGES})
    assert raised.value.code == 501
    assert raised.value.headers["X-Ollama-Harness"] == "no-answer"
    assert "no recording has the path /api/chat" in json.loads(raised.value.read())["error"]
