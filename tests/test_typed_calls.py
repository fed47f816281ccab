"""Requests as calls with an argument for each field, and what is said of clients that are not installed."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_harness.clients import _typed_calls, adapter, client, installed
from ollama_harness.recordings.recording import Request


def create(*, messages: list[Any], model: str, stream: bool = False, extra_body: object = None) -> None:
    """A call as openai has it."""


def post(body: Any) -> Request:
    return Request(method="POST", path="/v1/chat/completions", json=body)


def test_fields_that_a_call_does_not_name_go_into_the_extra_body() -> None:
    request = post({"messages": [], "model": "m", "stream": True, "think": False})
    assert _typed_calls.arguments(create, request) == {
        "messages": [],
        "model": "m",
        "stream": True,
        "extra_body": {"think": False},
    }
    assert "extra_body" not in _typed_calls.arguments(create, post({"messages": [], "model": "m"}))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"messages": [], "model": "m"}, None),
        ({"messages": []}, "create() requires model"),
        ({}, "create() requires messages, model"),
        ([], "its calls send only JSON objects"),
        (None, "its calls send only JSON objects"),
    ],
)
def test_what_a_call_requires_must_be_in_the_request(body: Any, reason: str | None) -> None:
    assert _typed_calls.refused(create, post(body)) == reason


def test_a_client_is_installed_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "httpx" in installed.installed()
    monkeypatch.setattr(adapter, "version_here", lambda package: None if package == "httpx" else "1.0")
    assert client("httpx").missing == client("httpx-async").missing == "run: python -m pip install httpx"
    assert "httpx" not in installed.installed()
    assert "httpx" not in installed.runnable()
