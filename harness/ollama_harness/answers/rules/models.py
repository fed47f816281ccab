"""Names of models, whether they are there, and what they are able to do; and the endpoints that manage them.

Source: server/routes.go, server/create.go, server/images.go, types/model/name.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_types import ANY, BOOL, STRING, GoError, GoSlice, Map, Pointer, Struct, fields
from ollama_harness.answers.go.go_value import value_of
from ollama_harness.answers.model_name import ModelName, parse_name
from ollama_harness.answers.reply import Reply, empty_reply, go_time, json_reply, stream_reply
from ollama_harness.answers.requests.model_use import (
    ModelFailure,
    Use,
    go_quote,
    missing_model,
    ref_name,
)
from ollama_harness.answers.rules.rule import Step, refusal
from ollama_harness.answers.world import LoadedModel, Model, World

__all__ = ["ROUTES", "as_there", "asked_name", "read_request"]

ROUTES = "server/routes.go"

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


def read_request(asked: Asked, world: World, path: str) -> dict[str, Any] | None:
    """The request to this path as its handler has it; None for another request, or a body that is refused."""
    type_ = _TYPES.get((asked.method, path))
    if type_ is None or asked.path != path:
        return None
    value = _decoded(asked.body, type_, world.version)
    return None if isinstance(value, GoError) else value


@lru_cache(maxsize=8)
def _decoded(body: bytes, type_: Struct, version: str) -> Any:
    """What several rules read of one request, one after the other; it is not to be changed."""
    return decode(body, type_, version)


def asked_name(request: Mapping[str, Any]) -> str:
    """`model`, or `name` where it is empty."""
    return str(request["model"] or request["name"])


@refusal(
    "manage-body",
    Step.REQUEST,
    "the body is missing, no JSON, or of another type",
    "show-json-empty",
    "create-json-text",
    "delete-json-bad-escape",
    source=f"{ROUTES}: c.ShouldBindJSON",
    paths=tuple(path for _, path in _TYPES),
)
def _body(asked: Asked, world: World) -> Reply | None:
    type_ = _TYPES.get((asked.method, asked.path))
    if type_ is None:
        return None
    value = _decoded(asked.body, type_, world.version)
    if not isinstance(value, GoError):
        return None
    return json_reply(400, {"error": "missing request body" if value.text == "EOF" else value.text})


def as_there(name: ModelName, world: World) -> ModelName:
    """A name with each part spelled as a model that is there has it: Ollama's `getExistingName`."""
    there = [parse_name(model.name) for model in world.models.values()]
    parts = {}
    for part in ("host", "namespace", "model", "tag"):
        text = getattr(name, part)
        parts[part] = next((getattr(one, part) for one in there if getattr(one, part).lower() == text.lower()), text)
    return ModelName(**parts)


def _refused(failure: ModelFailure | None) -> Reply | None:
    return None if failure is None else json_reply(failure.status, {"error": failure.message})


# --- show, tags, ps, /v1/models ---------------------------------------------------------------------------------------


@refusal(
    "show-missing",
    Step.MODEL,
    "the model to show is not there, or its name is none",
    "show-missing",
    "show-model-blank",
    "show-model-slash",
    source=f"{ROUTES}: ShowHandler, GetModelInfo",
    paths=("/api/show",),
)
def _show_missing(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/show")) is None:
        return None
    return _refused(missing_model(Use.SHOW, asked_name(request), world))


@refusal(
    "show",
    Step.ANSWER,
    "what there is to say of a model",
    "show-model-registry",
    "show-json-two",
    source=f"{ROUTES}: ShowHandler",
    paths=("/api/show",),
)
def _show(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/show")) is None:
        return None
    if (model := _there(asked_name(request), world)) is None or not model.show:
        return None
    return json_reply(200, model.show)


def _there(name: str, world: World) -> Model | None:
    parsed = ref_name(name, world)
    return None if isinstance(parsed, str) else world.there(parsed)


@refusal(
    "tags",
    Step.ANSWER,
    "the models that are there, the last changed first",
    source=f"{ROUTES}: ListHandler",
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
    source=f"{ROUTES}: PsHandler",
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
    if (model := _there(name, world)) is None:
        return None
    return json_reply(200, _v1_listed(name, model), content_type="application/json", end=b"\n")


def _v1_type(failure: ModelFailure, world: World) -> str:
    if not world.since("0.13.0"):
        return "api_error"
    return {400: "invalid_request_error", 404: "not_found_error"}.get(failure.status, "api_error")


def _v1_listed(name: str, model: Model) -> dict[str, Any]:
    owner = parse_name(model.name).namespace
    return {"id": name, "object": "model", "created": model.modified_s, "owned_by": owner}


# --- pictures ---------------------------------------------------------------------------------------------------------


@refusal(
    "images-of-text",
    Step.ANSWER,
    "a picture asked of a model that makes text: a stream that ends without a record",
    "v1-images",
    source="middleware/openai.go (ImageGenerationsMiddleware); recordings",
    since="0.14.3",
    before="0.32.6",
    paths=("/v1/images/generations",),
)
def _images_of_text(asked: Asked, world: World) -> Reply | None:
    read = value_of(asked.body, world.version) if asked.method == "POST" else None
    fields = read[0] if isinstance(read, tuple) and isinstance(read[0], dict) else {}
    name, prompt = fields.get("model"), fields.get("prompt")
    if not (isinstance(name, str) and isinstance(prompt, str) and prompt):
        return None
    return None if _there(name, world) is None else stream_reply(())


# --- copy and delete --------------------------------------------------------------------------------------------------


@refusal(
    "copy",
    Step.MODEL,
    "a model copied, or why it cannot be",
    "copy-missing",
    "copy-model-registry",
    "copy-model-spaces",
    source=f"{ROUTES}: CopyHandler",
    paths=("/api/copy",),
)
def _copy(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/copy")) is None:
        return None
    source, target = parse_name(request["source"]), parse_name(request["destination"])
    for word, name in (("source", source), ("destination", target)):
        if not name.is_valid:
            return json_reply(400, {"error": f"{word} {go_quote(request[word])} is invalid"})
    if (model := world.there(source)) is None:
        return json_reply(404, {"error": f"model {go_quote(request['source'])} not found"})
    return replace(empty_reply(200), world=world.with_model(model.called(target.short)))


@refusal(
    "delete",
    Step.MODEL,
    "a model deleted, or why it cannot be",
    "delete-missing",
    "delete-model-blank",
    "delete-model-spaces",
    source=f"{ROUTES}: DeleteHandler",
    paths=("/api/delete",),
)
def _delete(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/delete")) is None:
        return None
    name = asked_name(request)
    parsed = ref_name(name, world)
    if isinstance(parsed, str):
        return json_reply(400, {"error": parsed})
    if not parsed.is_valid:
        return json_reply(400, {"error": f"name {go_quote(name)} is invalid"})
    if (model := world.there(parsed)) is None:
        return json_reply(404, {"error": f"model '{name}' not found"})
    return replace(empty_reply(200), world=world.without(model))
