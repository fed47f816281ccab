"""Requests to Ollama's own endpoints that run a model: is it there, and able to do what is asked.

The rules stand in the order of the handlers. Source: server/routes.go (`ChatHandler`, `GenerateHandler`,
`EmbedHandler`, `EmbeddingsHandler`, `scheduleRunner`).
"""

from __future__ import annotations

from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.requests.model_use import REFS_SINCE, Use, missing_model, ref_name, unable_model
from ollama_harness.answers.requests.native_request import (
    NATIVE_PATHS,
    SPEAKING_PATHS,
    refuse,
    request_of,
    to_run,
)
from ollama_harness.answers.requests.native_types import OPTIONS
from ollama_harness.answers.rules.native_body import embed_input
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import World

__all__ = ["option_error"]


@refusal(
    "native-chat-unload-unknown",
    Step.MODEL,
    "unloading a model that is not there, which is looked for before anything else",
    source=ROUTES_GO,
    before="0.12.0",
    paths=("/api/chat",),
)
def _chat_unload_unknown(asked: Asked, world: World) -> Reply | None:
    request = request_of(asked, world)
    if request is None or request.use is not Use.CHAT or not request.unloads(world.version):
        return None
    name = ref_name(request.model, world)
    is_there = not isinstance(name, str) and (world.has_any(name) or world.find(name))
    return None if is_there else refuse(404, f"model '{request.model}' not found")


@refusal(
    "native-embed-input",
    Step.MODEL,
    "an input that is neither text nor a list of texts, after the name is read and before its model is looked for",
    "embed-input-nested",
    "embed-input-numbers",
    source=ROUTES_GO,
    since=REFS_SINCE,
    paths=("/api/embed",),
)
def _embed_input_after_name(asked: Asked, world: World) -> Reply | None:
    reply = embed_input(asked, world)
    request = request_of(asked, world) if reply else None
    failure = missing_model(request.use, request.model, world) if request else None
    is_name = failure is None or (failure.status == 404 and request is not None and bool(request.model.strip()))
    return reply if is_name else None


@refusal(
    "model-missing",
    Step.MODEL,
    "no name of a model, what is no name, a model of the cloud while the cloud is off, or a model that is not there",
    "chat-model-absent",
    "chat-model-bad",
    "chat-model-unknown-tag",
    "generate-model-long",
    "generate-model-cloud",
    "embed-model-null",
    "embed-model-unknown",
    "embeddings-model-at",
    "error-chat-model-missing",
    "error-chat-model-invalid",
    "error-chat-model-not-found",
    source="server/model_resolver.go; server/routes.go (writeModelRefParseError, handleScheduleError)",
    paths=NATIVE_PATHS,
)
def _model_missing(asked: Asked, world: World) -> Reply | None:
    request = request_of(asked, world)
    failure = missing_model(request.use, request.model, world) if request else None
    return refuse(failure.status, failure.message) if failure else None


@refusal(
    "native-raw-with-template",
    Step.MODEL,
    "raw together with a template, a system message or a context",
    "generate-raw-template",
    "error-raw-with-template",
    source=ROUTES_GO,
    paths=("/api/generate",),
)
def _raw(asked: Asked, world: World) -> Reply | None:
    found = to_run(asked, world)
    if found is None or found[0].use is not Use.GENERATE:
        return None
    fields = found[0].fields
    if fields["raw"] and (fields["template"] or fields["system"] or fields["context"]):
        return refuse(400, "raw mode does not support template, system, or context")
    return None


@refusal(
    "native-think-level",
    Step.MODEL,
    "a level of thinking for a model that only thinks or does not",
    source=ROUTES_GO,
    since="0.11.0",
    before="0.13.0",
    paths=SPEAKING_PATHS,
)
def _think_level(asked: Asked, world: World) -> Reply | None:
    found = to_run(asked, world)
    if found is None or not isinstance(found[0].fields.get("think"), str):
        return None
    request, model = found
    if request.use is Use.CHAT and ("thinking" not in model.capabilities or request.is_empty):
        return None  # chat looks at it after the capabilities and the load
    if "gptoss" in model.name or "gpt-oss" in model.name:
        return None
    return refuse(400, f'think value "{request.fields["think"]}" is not supported for this model')


@refusal(
    "model-unable",
    Step.MODEL,
    "text, tools, insertion or thinking, asked of a model that cannot do that",
    "chat-tools-bare-plain",
    "chat-tools-no-function-plain",
    "chat-think-true",
    "chat-tools-unsupported",
    "chat-think-unsupported",
    "generate-suffix",
    source="server/images.go (CheckCapabilities)",
    paths=SPEAKING_PATHS,
)
def _unable(asked: Asked, world: World) -> Reply | None:
    found = to_run(asked, world)
    if found is None or not found[0].speaks:
        return None
    fields = found[0].fields
    failure = unable_model(
        found[0].use,
        found[0].model,
        world,
        tools=bool(fields.get("tools")),
        insert=bool(fields.get("suffix")),
        thinking=bool(fields.get("think")),
    )
    return refuse(failure.status, failure.message) if failure else None


def option_error(options: dict[str, Any] | None, version: str) -> str | None:
    """What is wrong with the first option of another type; unknown ones and null do not count."""
    for key, value in (options or {}).items():
        kind = OPTIONS.get(key)
        if kind is None or value is None or not kind.holds_in(version):
            continue
        match kind.words:
            case "array" if isinstance(value, list):
                if not all(isinstance(item, str) for item in value):
                    return f'option "{key}" must be of an array of strings'
                continue
            case "boolean":
                fits = isinstance(value, bool)
            case "array":
                fits = False
            case _:
                fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits:
            return f'option "{key}" must be of type {kind.words}'
    return None


@refusal(
    "native-option-type",
    Step.MODEL,
    "an option of another type",
    "chat-options-num-ctx-text",
    "chat-options-stop-number",
    "chat-options-use-mmap",
    "generate-options-repeat-penalty-text",
    "embed-options",
    "error-chat-wrong-option",
    source="api/types.go (FromMap)",
    paths=NATIVE_PATHS,
)
def _option(asked: Asked, world: World) -> Reply | None:
    found = to_run(asked, world)
    error = option_error(found[0].fields["options"], world.version) if found else None
    return refuse(500, error) if error else None
