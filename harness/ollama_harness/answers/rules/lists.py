"""The models that are there, in Ollama's lists and in OpenAI's.

Source: server/routes.go (`ListHandler`, `PsHandler`), openai/openai.go (`ToListCompletion`, `ToModel`).
"""

from __future__ import annotations

from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.model_name import parse_name
from ollama_harness.answers.reply import Reply, go_time, json_reply
from ollama_harness.answers.requests.model_use import (
    ModelFailure,
    Use,
    missing_model,
    model_there,
)
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import LoadedModel, Model, World

__all__: list[str] = []


@refusal(
    "tags",
    Step.ANSWER,
    "the models that are there, the last changed first",
    source=f"{ROUTES_GO}: ListHandler",
    paths=("/api/tags",),
)
def _tags(asked: Asked, world: World) -> Reply | None:
    if asked.path != "/api/tags" or asked.method not in ("GET", "HEAD"):
        return None
    return json_reply(200, {"models": [_listed(model) for model in world.listed]})


def _listed(model: Model) -> dict[str, Any]:
    return {"name": model.name, "model": model.name, **model.entry}


@refusal(
    "ps",
    Step.MODEL,
    "the models that are loaded, the one that stays the longest first",
    "ps-empty",
    "path-api-ps-cc92-get",
    source=f"{ROUTES_GO}: PsHandler",
    paths=("/api/ps",),
    timed=True,
)
def _ps(asked: Asked, world: World) -> Reply | None:
    if asked.method != "GET" or asked.path != "/api/ps":
        return None
    return json_reply(200, {"models": [_in_memory(one, world) for one in world.loaded_at(asked.at)]})


#: The fields of api.ModelDetails that a model in memory has, with what they are if nothing is known.
_DETAILS = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": None,
    "parameter_size": "",
    "quantization_level": "",
}


def _in_memory(one: LoadedModel, world: World) -> dict[str, Any]:
    """api.ProcessModelResponse. The machine that was recorded has no GPU."""
    name, entry = one.model.name, one.model.entry
    said = entry.get("details") or {}
    found = {
        "name": name,
        "model": name,
        "size": one.model.memory_bytes,
        "digest": entry.get("digest", ""),
        "details": {key: said.get(key, default) for key, default in _DETAILS.items()},
        "expires_at": go_time(one.expires_at),
        "size_vram": 0,
    }
    return {**found, "context_length": one.context_length} if world.since("0.10.0") else found


@refusal(
    "v1-models",
    Step.ANSWER,
    "the models that are there, in OpenAI's shape",
    source="openai/openai.go: ToListCompletion",
    paths=("/v1/models",),
)
def _v1_models(asked: Asked, world: World) -> Reply | None:
    if asked.method != "GET" or asked.path != "/v1/models":
        return None
    data = [_v1_listed(model.name, model) for model in world.listed] or None
    return json_reply(200, {"object": "list", "data": data}, content_type="application/json", end=b"\n")


@refusal(
    "v1-model",
    Step.MODEL,
    "one model, in OpenAI's shape",
    "path-v1-models-smollm2-135m-3285-get",
    source="openai/openai.go: ToModel; middleware/openai.go: RetrieveMiddleware",
    paths=("/v1/models/",),
)
def _v1_model(asked: Asked, world: World) -> Reply | None:
    prefix = "/v1/models/"
    if asked.method != "GET" or not asked.path.startswith(prefix) or "/" in asked.path[len(prefix) :]:
        return None
    name = asked.path[len(prefix) :]
    if (failure := missing_model(Use.SHOW, name, world)) is not None:
        error = {"message": failure.message, "type": _v1_type(failure, world), "param": None, "code": None}
        return json_reply(failure.status, {"error": error}, content_type="application/json", end=b"\n")
    if (model := model_there(name, world)) is None:
        return None
    return json_reply(200, _v1_listed(name, model), content_type="application/json", end=b"\n")


def _v1_type(failure: ModelFailure, world: World) -> str:
    if not world.since("0.13.0"):
        return "api_error"
    return {400: "invalid_request_error", 404: "not_found_error"}.get(failure.status, "api_error")


def _v1_listed(name: str, model: Model) -> dict[str, Any]:
    owner = parse_name(model.name).namespace
    return {"id": name, "object": "model", "created": model.modified_s, "owned_by": owner}
