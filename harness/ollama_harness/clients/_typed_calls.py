"""How a request becomes a call of a library that has an argument for each field of it, as openai and anthropic have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ollama_harness.recordings.recording import Request

__all__ = ["arguments", "refused"]


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


def _parameters(call: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(call).parameters)
