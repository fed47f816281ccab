"""Requests to Ollama's own endpoints that run a model: bodies decoded as Go does it, and their fields validated.

The rules stand in the order of the handlers: what comes before the model is looked for is in the step REQUEST, all that
comes after it in the step MODEL. Source: server/routes.go (`ChatHandler`, `GenerateHandler`, `EmbedHandler`,
`EmbeddingsHandler`, `scheduleRunner`).
"""

from __future__ import annotations

from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.completions import tokens
from ollama_harness.answers.go.go_scanner import quote
from ollama_harness.answers.go.go_types import ErrorKind, GoError
from ollama_harness.answers.reply import Reply, go_json, json_reply
from ollama_harness.answers.requests.model_use import Use, missing_model, ref_name, unable_model
from ollama_harness.answers.requests.native_request import embeds, first_value, read, refuse, request_of, speaks, to_run
from ollama_harness.answers.requests.native_types import OPTIONS
from ollama_harness.answers.rules.rule import Step, refusal
from ollama_harness.answers.world import World

__all__ = ["option_error"]

_ROUTES = "server/routes.go"
#: Names say where a model is (`:cloud`), and what is no name is refused as such.
_REFS_SINCE = "0.18.0"

_SPEAKS = ("/api/chat", "/api/generate")
_EMBEDS = ("/api/embed", "/api/embeddings")
_PATHS = (*_SPEAKS, *_EMBEDS)


# --- the body ---------------------------------------------------------------------------------------------------------


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
    source=_ROUTES,
    paths=_PATHS,
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
    paths=_PATHS,
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
    paths=_PATHS,
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
    paths=_PATHS,
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
    source=_ROUTES,
    since="0.12.11",
    paths=_SPEAKS,
)
def _top_logprobs(asked: Asked, world: World) -> Reply | None:
    request = request_of(asked, world)
    if request is None or 0 <= request.fields.get("top_logprobs", 0) <= 20:
        return None
    return refuse(400, "top_logprobs must be between 0 and 20")


def _embed_input(asked: Asked, world: World) -> Reply | None:
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
    source=_ROUTES,
    before=_REFS_SINCE,
    paths=("/api/embed",),
)(_embed_input)


# --- the model --------------------------------------------------------------------------------------------------------


@refusal(
    "native-chat-unload-unknown",
    Step.MODEL,
    "unloading a model that is not there, which is looked for before anything else",
    source=_ROUTES,
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
    source=_ROUTES,
    since=_REFS_SINCE,
    paths=("/api/embed",),
)
def _embed_input_after_name(asked: Asked, world: World) -> Reply | None:
    reply = _embed_input(asked, world)
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
    paths=_PATHS,
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
    source=_ROUTES,
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
    source=_ROUTES,
    since="0.11.0",
    before="0.13.0",
    paths=_SPEAKS,
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
    paths=_SPEAKS,
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
    paths=_PATHS,
)
def _option(asked: Asked, world: World) -> Reply | None:
    found = to_run(asked, world)
    error = option_error(found[0].fields["options"], world.version) if found else None
    return refuse(500, error) if error else None


# --- with the model loaded --------------------------------------------------------------------------------------------


@refusal(
    "native-template-unclosed",
    Step.MODEL,
    "a template with an action that does not end",
    "generate-template-broken",
    source="text/template/parse, lex.go",
    paths=_SPEAKS,
)
def _template(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    text = found[0].fields.get("template") if found and not found[0].fields.get("raw") else None
    if not text:
        return None
    rest, line = text, 1
    while "{{" in rest:
        before, _, rest = rest.partition("{{")
        line += before.count("\n")
        inside, closed, after = rest.partition("}}")
        if not closed:
            return refuse(500, f"template: :{line + inside.rstrip().count(chr(10))}: unclosed action")
        line += inside.count("\n")
        rest = after
    return None


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
    paths=_SPEAKS,
)
def _format(asked: Asked, world: World) -> Reply | None:
    found = speaks(asked, world)
    if found is None:
        return None
    request, model = found
    text = request.fields["format"]
    if text is None or text in ("null", '""', '"json"') or text.startswith("{"):
        return None
    thinks = "thinking" in model.capabilities and request.fields.get("think") is not False
    if request.use is Use.CHAT and thinks and world.since("0.12.0"):
        return None  # the format counts only from the end of thinking
    message = f'invalid format: {quote(text)}; expected "json" or a valid JSON Schema object'
    return first_value(request, world, 500, message)


@refusal(
    "native-images",
    Step.MODEL,
    "images for a model that has no eyes; before, they are left out",
    "error-chat-image",
    "error-generate-image",
    source="llama-server; recordings",
    since="0.30.0",
    paths=_SPEAKS,
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
    paths=_SPEAKS,
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
    source=f"{_ROUTES} (EmbedHandler); recordings",
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
    paths=_EMBEDS,
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
    source=f"{_ROUTES} (EmbedHandler); recordings",
    paths=_EMBEDS,
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
