"""Requests to Ollama's own endpoints that run a model: the body, decoded as Go does it, before a model is looked for.

Source: server/routes.go (`ChatHandler`, `GenerateHandler`, `EmbedHandler`, `EmbeddingsHandler`).
"""

from __future__ import annotations

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_types import ErrorKind, GoError
from ollama_harness.answers.reply import Reply
from ollama_harness.answers.requests.model_use import REFS_SINCE, Use
from ollama_harness.answers.requests.native_request import (
    NATIVE_PATHS,
    SPEAKING_PATHS,
    read,
    refuse,
    request_of,
)
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import World

__all__ = ["embed_input"]


def _body_error(asked: Asked, world: World, kind: ErrorKind) -> GoError | None:
    found = read(asked, world)
    return found if isinstance(found, GoError) and found.kind is kind else None


@refusal(
    "native-missing-body",
    Step.REQUEST,
    "an empty body",
    "chat-json-empty",
    "generate-json-empty",
    "embeddings-json-empty",
    "error-chat-empty-body",
    source=ROUTES_GO,
    paths=NATIVE_PATHS,
)
def _missing_body(asked: Asked, world: World) -> Reply | None:
    return refuse(400, "missing request body") if _body_error(asked, world, ErrorKind.EMPTY) else None


@refusal(
    "native-syntax",
    Step.REQUEST,
    "a body that is no JSON, up to the end of its first value",
    "chat-json-truncated",
    "chat-json-bom",
    "generate-json-bad-escape",
    "embed-json-comment",
    "embeddings-json-comma",
    "error-chat-invalid-json",
    source="encoding/json, scanner.go",
    paths=NATIVE_PATHS,
)
def _syntax(asked: Asked, world: World) -> Reply | None:
    error = _body_error(asked, world, ErrorKind.SYNTAX)
    return refuse(400, error.text) if error else None


@refusal(
    "native-type",
    Step.REQUEST,
    "a field of another type",
    "chat-json-list",
    "chat-model-list",
    "chat-messages-images-number",
    "generate-context-float",
    "embed-model-object",
    "embeddings-input-number",
    "error-chat-wrong-type",
    source="encoding/json, decode.go; api/types.go",
    paths=NATIVE_PATHS,
)
def _type(asked: Asked, world: World) -> Reply | None:
    error = _body_error(asked, world, ErrorKind.TYPE)
    return refuse(400, error.text) if error else None


@refusal(
    "native-own-decoder",
    Step.REQUEST,
    "a keep_alive that is no duration, a think that is no level, arguments that are no object",
    "chat-keep_alive-list",
    "generate-keep_alive-number-text",
    "error-chat-bad-keep-alive",
    source="api/types.go (UnmarshalJSON)",
    paths=NATIVE_PATHS,
)
def _own_decoder(asked: Asked, world: World) -> Reply | None:
    error = _body_error(asked, world, ErrorKind.OWN)
    return refuse(400, error.text) if error else None


@refusal(
    "native-top-logprobs",
    Step.REQUEST,
    "top_logprobs outside of 0 to 20",
    "chat-top_logprobs-minus",
    "generate-top_logprobs-minus",
    source=ROUTES_GO,
    since="0.12.11",
    paths=SPEAKING_PATHS,
)
def _top_logprobs(asked: Asked, world: World) -> Reply | None:
    request = request_of(asked, world)
    if request is None or 0 <= request.fields.get("top_logprobs", 0) <= 20:
        return None
    return refuse(400, "top_logprobs must be between 0 and 20")


def embed_input(asked: Asked, world: World) -> Reply | None:
    """An input that is neither text nor a list of texts is refused, when depends on the version."""
    request = request_of(asked, world)
    if request is None or request.use is not Use.EMBED or request.texts() is not None:
        return None
    return refuse(400, "invalid input type")


refusal(
    "native-embed-input-first",
    Step.REQUEST,
    "an input that is neither text nor a list of texts, before the model is looked for",
    "embed-input-nested",
    "embed-input-number",
    source=ROUTES_GO,
    before=REFS_SINCE,
    paths=("/api/embed",),
)(embed_input)
