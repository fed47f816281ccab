"""Which models a request changes on the server: what it pulls, writes, deletes or pushes.

A request is read as Ollama reads it, so that no spelling can hide a model. A name without a tag means `latest`, case
does not matter, `name` is an old key for `model`, and only the first JSON value of a body counts.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ollama_harness.recordings.recording import Request

__all__ = ["Touch", "full_name", "touches"]

#: What each path does, and the fields that name the model.
_ROUTES = {
    "/api/pull": ("pulls", ("model", "name")),
    "/api/create": ("writes", ("model", "name")),
    "/api/copy": ("writes", ("destination",)),
    "/api/delete": ("deletes", ("model", "name")),
    "/api/push": ("pushes", ("model", "name")),
}
_CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")
_DEFAULTS = ("registry.ollama.ai", "library")


@dataclass(frozen=True, slots=True)
class Touch:
    """What a request does (`verb`: pulls, writes, deletes, pushes) to which model."""

    verb: str
    model: str


def touches(request: Request) -> Iterator[Touch]:
    """The models that this request would change, whether the server has them or not."""
    path = re.sub("/+", "/", urllib.parse.unquote(request.path.partition("?")[0])).rstrip("/").lower()
    if path not in _ROUTES or request.method in _CHANGE_NOTHING:
        return
    verb, keys = _ROUTES[path]
    value = _first_value(request)
    for key, model in value.items() if isinstance(value, dict) else ():
        if key.lower() in keys and isinstance(model, str) and model:
            yield Touch(verb, model)


def full_name(name: str) -> str:
    """The name with all parts that Ollama adds by default, in lower case. Two names of one model become the same.

    Source: ParseName in Ollama's types/model/name.go.
    """
    rest = name.lower().rpartition("://")[2].partition("@")[0]
    *above, last = rest.split("/")
    model, _, tag = last.partition(":")
    return "/".join((*_DEFAULTS[: max(0, 2 - len(above))], *above, f"{model}:{tag or 'latest'}"))


def _first_value(request: Request) -> Any:
    if request.body is None:
        return request.json
    try:
        return json.JSONDecoder().raw_decode(request.body.lstrip())[0]
    except (ValueError, RecursionError):  # Ollama refuses it as well
        return None
