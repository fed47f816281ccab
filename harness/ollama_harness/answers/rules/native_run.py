"""Requests to Ollama's own endpoints that run a model: what it refuses when it is loaded.

The rules stand in the order of the handlers, after those of `native_model`. Source: server/routes.go (`ChatHandler`,
`GenerateHandler`, `EmbedHandler`, `EmbeddingsHandler`).
"""

from __future__ import annotations

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.completions import tokens
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.reply import Reply, go_json, json_reply
from ollama_harness.answers.requests.model_use import Use, unable_model
from ollama_harness.answers.requests.native_request import (
    EMBEDDING_PATHS,
    SPEAKING_PATHS,
    NativeRequest,
    embeds,
    first_value,
    refuse,
    speaks,
)
from ollama_harness.answers.rules._schema_grammar import has_grammar
from ollama_harness.answers.rules._template import template_error
from ollama_harness.answers.rules.rule import ROUTES_GO, Step, refusal
from ollama_harness.answers.world import Model, World
from ollama_harness.files.json_text import parse_json

__all__: list[str] = []


@refusal(
    "native-template",
    Step.MODEL,
    "a template that Go does not parse: an action that does not end, a block that is not closed, no such function",
    "generate-template-broken",
    source="text/template/parse, lex.go, parse.go; template/template.go",
    paths=SPEAKING_PATHS,
)
def _template(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    text = found[0].fields.get("template") if found and not found[0].fields.get("raw") else None
    error = template_error(text) if text else None
    return refuse(500, error) if error else None


@refusal(
    "native-format",
    Step.MODEL,
    "a format that is neither json nor a schema",
    "chat-format-list",
    "generate-format-number",
    "error-chat-bad-format",
    "error-chat-bad-format-nonstream",
    "error-generate-bad-format",
    source="llm/server.go, llm/llama_server.go",
    paths=SPEAKING_PATHS,
)
def _format(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    if found is None:
        return None
    request, model = found
    text = request.fields["format"]
    if text is None or text in ("null", '""', '"json"') or text.startswith("{") or _thinks_first(request, model, world):
        return None
    message = f'invalid format: {quote(text)}; expected "json" or a valid JSON Schema object'
    return first_value(request, world, 500, message)


def _thinks_first(request: NativeRequest, model: Model, world: World) -> bool:
    """Whether the format counts only from the end of thinking."""
    thinks = "thinking" in model.capabilities and request.fields.get("think") is not False
    return request.use is Use.CHAT and thinks and world.since("0.12.0")


@refusal(
    "native-schema",
    Step.MODEL,
    "a format with a JSON Schema that llama.cpp makes no grammar of",
    source="llm/server.go; ollama/ollama#8185, #8325, datalab-to/marker#984",
    before="0.30.0",
    paths=SPEAKING_PATHS,
)
def _schema(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    text = found[0].fields["format"] if found else None
    if found is None or text is None or not text.startswith("{") or _thinks_first(*found, world):
        return None
    try:
        schema = parse_json(text.encode())
    except ValueError:
        return None  # Go reads it, and Python does not
    return None if has_grammar(schema) else first_value(found[0], world, 500, "invalid JSON schema in format")


@refusal(
    "native-images",
    Step.MODEL,
    "images for a model that has no eyes; before, they are left out",
    "error-chat-image",
    "error-generate-image",
    source="llama-server; recordings",
    since="0.30.0",
    paths=SPEAKING_PATHS,
)
def _images(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    if found is None or "vision" in found[1].capabilities:
        return None
    request = found[0]
    of_messages = any(message["images"] for message in request.fields.get("messages") or ())
    if not (of_messages or request.fields.get("images")):
        return None
    inner = {
        "error": {
            "code": 400,
            "message": "Multimodal data provided, but model does not support multimodal requests.",
            "type": "invalid_request_error",
        }
    }
    return first_value(request, world, 400, go_json(inner).decode())


#: What the template of a chat adds.
_TEMPLATE_TOKENS = 9


@refusal(
    "native-too-long",
    Step.MODEL,
    "a prompt longer than the context, not to be truncated",
    "error-chat-context-refused",
    "error-generate-context-refused",
    source="runner; llama-server; recordings",
    since="0.12.6",
    paths=SPEAKING_PATHS,
)
def _too_long(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    if found is None or found[0].fields["truncate"] is not False:
        return None
    request, model = found
    context = model.context_length(request.fields["options"])
    texts = [request.fields.get("prompt") or ""]
    texts += [message["content"] for message in request.fields.get("messages") or ()]
    length = sum(map(tokens.count, texts)) + _TEMPLATE_TOKENS
    if length <= context:
        return None
    if not world.since("0.30.0"):
        return first_value(request, world, 400, "the input length exceeds the context length")
    inner = {
        "error": {
            "code": 400,
            "message": f"request ({length} tokens) exceeds the available context size ({context} tokens), "
            "try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": length,
            "n_ctx": context,
        }
    }
    return first_value(request, world, 400, go_json(inner).decode())


@refusal(
    "native-embed-too-long",
    Step.MODEL,
    "a text to embed that is longer than the context, not to be truncated",
    "embed-too-long",
    source=f"{ROUTES_GO} (EmbedHandler); recordings",
    paths=("/api/embed",),
)
def _embed_too_long(asked: Asked, world: World) -> Reply | None:
    found = embeds(asked, world)
    if found is None or found[0].fields.get("truncate") is not False:
        return None
    request, model, texts = found
    context = model.context_length(request.fields["options"])
    if max(map(tokens.count, texts)) <= context:
        return None
    if world.since("0.13.0"):
        return refuse(400, "the input length exceeds the context length")
    return refuse(400, f"input {'' if world.since('0.12.0') else 'length '}exceeds maximum context length")


@refusal(
    "native-cannot-embed",
    Step.MODEL,
    "embeddings of a model that is for text only",
    "embed-model-registry",
    "embed-model-upper",
    source="llama-server; recordings",
    since="0.30.0",
    paths=EMBEDDING_PATHS,
)
def _cannot_embed(asked: Asked, world: World) -> Reply | None:
    found = embeds(asked, world)
    failure = unable_model(found[0].use, found[0].model, world, embeds=True) if found else None
    return refuse(failure.status, failure.message) if failure else None


@refusal(
    "native-embed-no-tokens",
    Step.MODEL,
    "an empty text among those to embed, which gives a model no token",
    "embed-input-with-empty",
    source=f"{ROUTES_GO} (EmbedHandler); recordings",
    paths=EMBEDDING_PATHS,
)
def _embed_no_tokens(asked: Asked, world: World) -> Reply | None:
    found = embeds(asked, world)
    if found is None or "" not in found[2]:
        return None
    if world.since("0.30.0"):
        return refuse(400, "input exceeds maximum context length and cannot be truncated further")
    if world.since("0.6.1"):
        return refuse(500, "Failed to create new sequence: no input provided")
    return json_reply(500, {"error": {}})
