"""The endpoints that manage the models that are there: their bodies, show, copy and delete.

Source: server/routes.go, server/images.go.
"""

from __future__ import annotations

from dataclasses import replace

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.go.go_types import GoError
from ollama_harness.answers.model_name import ModelName, parse_name
from ollama_harness.answers.reply import Reply, empty_reply, json_reply
from ollama_harness.answers.requests.manage_request import MANAGE_PATHS, asked_name, body_of, read_request
from ollama_harness.answers.requests.model_use import (
    ModelFailure,
    Use,
    missing_model,
    model_there,
    ref_name,
)
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import World

__all__ = ["as_there"]


@refusal(
    "manage-body",
    Step.REQUEST,
    "the body is missing, no JSON, or of another type",
    "show-json-empty",
    "create-json-text",
    "delete-json-bad-escape",
    source=f"{ROUTES_GO}: c.ShouldBindJSON",
    paths=MANAGE_PATHS,
)
def _body(asked: Asked, world: World) -> Reply | None:
    value = body_of(asked, world)
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


# --- show ---------------------------------------------------------------------------------------


@refusal(
    "show-missing",
    Step.MODEL,
    "the model to show is not there, or its name is none",
    "show-missing",
    "show-model-blank",
    "show-model-slash",
    source=f"{ROUTES_GO}: ShowHandler, GetModelInfo",
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
    source=f"{ROUTES_GO}: ShowHandler",
    paths=("/api/show",),
)
def _show(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/show")) is None:
        return None
    if (model := model_there(asked_name(request), world)) is None or not model.show:
        return None
    return json_reply(200, model.show)


# --- copy and delete --------------------------------------------------------------------------------------------------


@refusal(
    "copy",
    Step.MODEL,
    "a model copied, or why it cannot be",
    "copy-missing",
    "copy-model-registry",
    "copy-model-spaces",
    source=f"{ROUTES_GO}: CopyHandler",
    paths=("/api/copy",),
)
def _copy(asked: Asked, world: World) -> Reply | None:
    if (request := read_request(asked, world, "/api/copy")) is None:
        return None
    source, target = parse_name(request["source"]), parse_name(request["destination"])
    for word, name in (("source", source), ("destination", target)):
        if not name.is_valid:
            return json_reply(400, {"error": f"{word} {quote(request[word])} is invalid"})
    if (model := world.there(source)) is None:
        return json_reply(404, {"error": f"model {quote(request['source'])} not found"})
    return replace(empty_reply(200), world=world.with_model(model.called(target.short)))


@refusal(
    "delete",
    Step.MODEL,
    "a model deleted, or why it cannot be",
    "delete-missing",
    "delete-model-blank",
    "delete-model-spaces",
    source=f"{ROUTES_GO}: DeleteHandler",
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
        return json_reply(400, {"error": f"name {quote(name)} is invalid"})
    if (model := world.there(parsed)) is None:
        return json_reply(404, {"error": f"model '{name}' not found"})
    return replace(empty_reply(200), world=world.without(model))
