"""How a request becomes a call of a library: of one that has an argument for each field of it, as openai and anthropic
have, and of a framework, which makes the request of its own settings and messages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from ollama_harness.recordings.recording import Request

__all__ = ["arguments", "refused", "refused_by_framework"]

_OF_MESSAGES = frozenset({"content", "role"})


def refused(call: Callable[..., Any], request: Request) -> str | None:
    """The reason why a call cannot make a request, or None if it can."""
    if request.method != "POST" or request.body is not None or not isinstance(request.json, dict):
        return "its calls send only JSON objects"
    required = (name for name, one in _parameters(call).items() if one.default is one.empty and name != "self")
    if missing := [name for name in required if name not in request.json]:
        return f"{call.__qualname__}() requires {', '.join(missing)}"
    return None


def arguments(call: Callable[..., Any], request: Request) -> dict[str, Any]:
    """The arguments of a call. Fields that it does not name are passed as the documentation says, in `extra_body`."""
    known = _parameters(call)
    named = {name: value for name, value in request.json.items() if name in known}
    others = {name: value for name, value in request.json.items() if name not in known}
    passed = {"extra_body": others} if others else {}
    return {**named, **passed, **({"extra_headers": dict(request.headers)} if request.headers else {})}


def refused_by_framework(
    name: str, fields: AbstractSet[str], request: Request, *, of_messages: AbstractSet[str] = _OF_MESSAGES
) -> str | None:
    """The reason why a framework that has these fields of a chat, and of its messages, cannot make a request, or None
    if it can.
    """
    if request.headers or request.body is not None or not isinstance(request.json, dict):
        return f"{name} sends only JSON objects, without headers"
    body = request.json
    if not body.get("model"):
        return f"{name} requires a model"
    if not isinstance(body.get("messages"), list):
        return f"{name} requires messages"
    if any(one.keys() - of_messages for one in body["messages"]):
        return f"its messages have only {' and '.join(sorted(of_messages))}"
    if unknown := body.keys() - fields:
        return f"{name} does not take {', '.join(sorted(unknown))}"
    return None


def _parameters(call: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(call).parameters)
