"""A request to one of the endpoints that manage models, decoded.

Source: api/types.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_types import ANY, BOOL, STRING, GoError, GoSlice, Map, Pointer, Struct, fields
from ollama_harness.answers.world import World

__all__ = ["MANAGE_PATHS", "asked_name", "body_of", "read_request"]

_SHOW = Struct(
    name="api.ShowRequest",
    fields=fields(model=STRING, system=STRING, template=STRING, verbose=BOOL, options=Map(of=ANY), name=STRING),
)
_PULL, _PUSH = (
    Struct(
        name=f"api.{name}Request",
        fields=fields(
            model=STRING, insecure=BOOL, username=STRING, password=STRING, stream=Pointer(to=BOOL), name=STRING
        ),
    )
    for name in ("Pull", "Push")
)
_CREATE = Struct(
    name="api.CreateRequest",
    fields=fields(
        model=STRING,
        stream=Pointer(to=BOOL),
        quantize=STRING,
        **{"from": STRING},
        files=Map(of=STRING),
        adapters=Map(of=STRING),
        template=STRING,
        license=ANY,
        system=STRING,
        parameters=Map(of=ANY),
        messages=GoSlice(of=ANY, name="[]api.Message"),
        name=STRING,
        quantization=STRING,
    ),
)
_COPY = Struct(name="api.CopyRequest", fields=fields(source=STRING, destination=STRING))
_DELETE = Struct(name="api.DeleteRequest", fields=fields(model=STRING, name=STRING))

_TYPES = {
    ("POST", "/api/show"): _SHOW,
    ("POST", "/api/pull"): _PULL,
    ("POST", "/api/push"): _PUSH,
    ("POST", "/api/create"): _CREATE,
    ("POST", "/api/copy"): _COPY,
    ("DELETE", "/api/delete"): _DELETE,
}


MANAGE_PATHS = tuple(path for _, path in _TYPES)


def body_of(asked: Asked, world: World) -> dict[str, Any] | GoError | None:
    """The request as its handler has it, or why its body is refused; None for any other endpoint."""
    type_ = _TYPES.get((asked.method, asked.path))
    return None if type_ is None else _decoded(asked.body, type_, world.version)


def read_request(asked: Asked, world: World, path: str) -> dict[str, Any] | None:
    """The request to this path, if its body can be decoded; None for another request."""
    value = body_of(asked, world) if asked.path == path else None
    return None if isinstance(value, GoError) else value


@lru_cache(maxsize=8)
def _decoded(body: bytes, type_: Struct, version: str) -> Any:
    """What several rules read of one request, one after the other; it is not to be changed."""
    return decode(body, type_, version)


def asked_name(request: Mapping[str, Any]) -> str:
    """`model`, or `name` where it is empty."""
    return str(request["model"] or request["name"])
