"""Requests to Ollama's own endpoints that run a model: bodies decoded as Go does it, and their fields validated.

The rules stand in the order of the handlers: what comes before the model is looked for is in the step REQUEST, all that
comes after it in the step MODEL. Source: server/routes.go (`ChatHandler`, `GenerateHandler`, `EmbedHandler`,
`EmbeddingsHandler`, `scheduleRunner`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from ollama_harness.answers._go_scanner import quote
from ollama_harness.answers._native_types import OPTIONS, request_type
from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go_json import ErrorKind, GoError, decode
from ollama_harness.answers.model_name import ConflictingSourceError, ModelName, ModelRef, Source, parse_name, parse_ref
from ollama_harness.answers.reply import Reply, go_json, json_reply
from ollama_harness.answers.rule import Step, refusal
from ollama_harness.answers.world import Model, World
from ollama_harness.recordings.versions import order

__all__ = ["option_error"]

_ROUTES = "server/routes.go"
#: Names say where a model is (`:cloud`), and what is no name is refused as such.
_REFS_SINCE = "0.18.0"


class _Route(StrEnum):
    CHAT = "/api/chat"
    GENERATE = "/api/generate"
    EMBED = "/api/embed"
    EMBEDDINGS = "/api/embeddings"


_PATHS = {route.value: route for route in _Route}


@dataclass(frozen=True, slots=True)
class _Request:
    """A decoded body: `fields` as the request's type has them."""

    route: _Route
    fields: dict[str, Any]

    @property
    def model(self) -> str:
        name: str = self.fields["model"]
        return name

    @property
    def is_empty(self) -> bool:
        """Whether it only loads the model, or unloads it."""
        return not (self.fields["messages"] if self.route is _Route.CHAT else self.fields.get("prompt"))

    def unloads(self, version: str) -> bool:
        """Whether it asks for nothing but to unload the model; before 0.11.8 anything below a second counts as zero."""
        after_s = self.fields["keep_alive"]
        if self.route not in (_Route.CHAT, _Route.GENERATE) or not self.is_empty or after_s is None:
            return False
        return bool(after_s == 0 or (after_s < 1 and order(version) < order("0.11.8")))

    def streams(self) -> bool:
        return self.fields["stream"] is not False

    def texts(self) -> list[str] | None:
        """The texts to embed; None if the input is of another type."""
        if self.route is _Route.EMBEDDINGS:
            return [self.fields["prompt"]] if self.fields["prompt"] else []
        match self.fields["input"]:
            case None | "":
                return []
            case str() as text:
                return [text]
            case list() as texts if all(isinstance(text, str) for text in texts):
                return texts
        return None


@lru_cache(maxsize=8)
def _decoded(body: bytes, path: str, version: str) -> _Request | GoError:
    type_ = request_type(path, version)
    assert type_ is not None
    decoded = decode(body, type_, version)
    return decoded if isinstance(decoded, GoError) else _Request(_PATHS[path], decoded)


def _read(asked: Asked, world: World) -> _Request | GoError | None:
    if asked.method != "POST" or asked.path not in _PATHS:
        return None
    return _decoded(asked.body, asked.path, world.version)


def _request(asked: Asked, world: World) -> _Request | None:
    read = _read(asked, world)
    return read if isinstance(read, _Request) else None


def _refuse(status: int, text: str) -> Reply:
    return json_reply(status, {"error": text})


def _first_value(request: _Request, world: World, status: int, text: str) -> Reply:
    """An error in the place of the first record: of a stream, in chunks; before 0.12.6 it is a line with status 200."""
    if not request.streams():
        return _refuse(status, text)
    body = go_json({"error": text})
    if world.since("0.12.6"):
        return Reply(status=status, body=body, headers=(("Content-Type", "application/json"),), chunked=True)
    return Reply(status=200, body=body + b"\n", headers=(("Content-Type", "application/x-ndjson"),), chunked=True)


# --- the body ---------------------------------------------------------------------------------------------------------


def _body_error(asked: Asked, world: World, kind: ErrorKind) -> GoError | None:
    read = _read(asked, world)
    return read if isinstance(read, GoError) and read.kind is kind else None


@refusal(
    "native-missing-body",
    Step.REQUEST,
    "an empty body",
    "chat-json-empty",
    "generate-json-empty",
    "embeddings-json-empty",
    "error-chat-empty-body",
    source=_ROUTES,
)
def _missing_body(asked: Asked, world: World) -> Reply | None:
    return _refuse(400, "missing request body") if _body_error(asked, world, ErrorKind.EMPTY) else None


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
)
def _syntax(asked: Asked, world: World) -> Reply | None:
    error = _body_error(asked, world, ErrorKind.SYNTAX)
    return _refuse(400, error.text) if error else None


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
)
def _type(asked: Asked, world: World) -> Reply | None:
    error = _body_error(asked, world, ErrorKind.TYPE)
    return _refuse(400, error.text) if error else None


@refusal(
    "native-own-decoder",
    Step.REQUEST,
    "a keep_alive that is no duration, a think that is no level, arguments that are no object",
    "chat-keep_alive-list",
    "generate-keep_alive-number-text",
    "error-chat-bad-keep-alive",
    source="api/types.go (UnmarshalJSON)",
)
def _own_decoder(asked: Asked, world: World) -> Reply | None:
    error = _body_error(asked, world, ErrorKind.OWN)
    return _refuse(400, error.text) if error else None


@refusal(
    "native-top-logprobs",
    Step.REQUEST,
    "top_logprobs outside of 0 to 20",
    "chat-top_logprobs-minus",
    "generate-top_logprobs-minus",
    source=_ROUTES,
    since="0.12.11",
)
def _top_logprobs(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None or 0 <= request.fields.get("top_logprobs", 0) <= 20:
        return None
    return _refuse(400, "top_logprobs must be between 0 and 20")


def _embed_input(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None or request.route is not _Route.EMBED or request.texts() is not None:
        return None
    return _refuse(400, "invalid input type")


refusal(
    "native-embed-input-first",
    Step.REQUEST,
    "an input that is neither text nor a list of texts, before the model is looked for",
    "embed-input-nested",
    "embed-input-number",
    source=_ROUTES,
    before=_REFS_SINCE,
)(_embed_input)


# --- the model --------------------------------------------------------------------------------------------------------

_ALL_ABLE = frozenset({"completion", "tools", "thinking", "vision", "embedding", "insert"})


def _ref(request: _Request) -> ModelRef | None:
    try:
        return parse_ref(request.model)
    except ConflictingSourceError:
        return None


def _name(request: _Request, world: World) -> ModelName | None:
    if not world.since(_REFS_SINCE):
        return parse_name(request.model)
    ref = _ref(request)
    return ref.name if ref else None


def _model(request: _Request, world: World) -> Model | None:
    """The model that a request means, if it is there."""
    name = _name(request, world)
    if name is None or not name.is_valid:
        return None
    found = world.models.get(name.short)
    if found is None and not _needs_exact_name(request, world):
        found = next((model for model in world.models.values() if parse_name(model.name).key == name.key), None)
    if found is None and world.any_model:
        return Model(name=name.short, capabilities=_ALL_ABLE)
    return found


def _needs_exact_name(request: _Request, world: World) -> bool:
    """For a while chat opened the file of the name as it was sent."""
    return request.route is _Route.CHAT and world.since("0.12.0") and not world.since(_REFS_SINCE)


def _checks_name(request: _Request) -> bool:
    return request.route in (_Route.CHAT, _Route.EMBEDDINGS)


@refusal(
    "native-chat-unload-unknown",
    Step.MODEL,
    "unloading a model that is not there, which is looked for before anything else",
    source=_ROUTES,
    before="0.12.0",
)
def _chat_unload_unknown(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None or request.route is not _Route.CHAT or not request.unloads(world.version):
        return None
    return None if _model(request, world) else _refuse(404, f"model '{request.model}' not found")


@refusal(
    "native-model-required-before-refs",
    Step.MODEL,
    "no valid name of a model",
    "chat-model-absent",
    "chat-model-bad",
    "embeddings-model-at",
    "error-chat-model-missing",
    source=_ROUTES,
    before=_REFS_SINCE,
)
def _model_required_before(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None or not _checks_name(request) or parse_name(request.model).is_valid:
        return None
    return _refuse(400, "model is required")


@refusal(
    "native-model-required",
    Step.MODEL,
    "no name of a model; generate and embed call that not found",
    "chat-model-blank",
    "embed-model-null",
    "generate-model-absent",
    "embeddings-model-empty",
    "error-chat-model-missing",
    source=f"{_ROUTES} (writeModelRefParseError)",
    since=_REFS_SINCE,
)
def _model_required(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None or request.model.strip():
        return None
    if _checks_name(request):
        return _refuse(400, "model is required")
    return _refuse(404, f"model '{request.model}' not found")


@refusal(
    "native-model-conflict",
    Step.MODEL,
    "a name that says both :local and :cloud",
    source="internal/modelref",
    since=_REFS_SINCE,
)
def _model_conflict(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None:
        return None
    try:
        parse_ref(request.model)
    except ConflictingSourceError as error:
        return _refuse(400, f"use either :local or :cloud, not both: {quote(str(error))}")
    return None


@refusal(
    "native-model-invalid",
    Step.MODEL,
    "what is no name",
    "chat-model-bad",
    "generate-model-long",
    "embed-model-colon",
    "embeddings-model-dots",
    "error-chat-model-invalid",
    source=f"{_ROUTES} (writeModelRefParseError)",
    since=_REFS_SINCE,
)
def _model_invalid(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    name = _name(request, world) if request else None
    return _refuse(400, "invalid model name") if name is not None and not name.is_valid else None


@refusal(
    "native-cloud-disabled",
    Step.MODEL,
    "a model of the cloud, while the cloud is off",
    "chat-model-cloud",
    "generate-model-cloud",
    "embeddings-model-cloud",
    source="server/cloud_proxy.go",
    since=_REFS_SINCE,
)
def _cloud_disabled(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    ref = _ref(request) if request else None
    if world.cloud or ref is None or ref.source is not Source.CLOUD:
        return None
    return _refuse(403, "ollama cloud is disabled: remote model is unavailable")


refusal(
    "native-embed-input",
    Step.MODEL,
    "an input that is neither text nor a list of texts, after the name is read",
    "embed-input-nested",
    "embed-input-numbers",
    source=_ROUTES,
    since=_REFS_SINCE,
)(_embed_input)


@refusal(
    "native-model-not-found",
    Step.MODEL,
    "a model that is not there",
    "chat-model-unknown-tag",
    "generate-model-unknown",
    "embed-model-unknown",
    "embeddings-model-no-tag",
    "error-chat-model-not-found",
    source=_ROUTES,
)
def _model_not_found(asked: Asked, world: World) -> Reply | None:
    request = _request(asked, world)
    if request is None or _model(request, world):
        return None
    if request.route is _Route.GENERATE or (request.route is _Route.CHAT and world.since("0.12.0")):
        return _refuse(404, f"model '{request.model}' not found")
    return _refuse(404, f"model {quote(request.model)} not found, try pulling it first")


def _to_run(asked: Asked, world: World) -> tuple[_Request, Model] | None:
    """A request that a model is scheduled for: it is there, and the request is not to unload it."""
    request = _request(asked, world)
    if request is None or request.unloads(world.version):
        return None
    model = _model(request, world)
    return (request, model) if model else None


@refusal(
    "native-raw-with-template",
    Step.MODEL,
    "raw together with a template, a system message or a context",
    "generate-raw-template",
    "error-raw-with-template",
    source=_ROUTES,
)
def _raw(asked: Asked, world: World) -> Reply | None:
    found = _to_run(asked, world)
    if found is None or found[0].route is not _Route.GENERATE:
        return None
    fields = found[0].fields
    if fields["raw"] and (fields["template"] or fields["system"] or fields["context"]):
        return _refuse(400, "raw mode does not support template, system, or context")
    return None


@refusal(
    "native-think-level",
    Step.MODEL,
    "a level of thinking for a model that only thinks or does not",
    source=_ROUTES,
    since="0.11.0",
    before="0.13.0",
)
def _think_level(asked: Asked, world: World) -> Reply | None:
    found = _to_run(asked, world)
    if found is None or not isinstance(found[0].fields.get("think"), str):
        return None
    request, model = found
    if request.route is _Route.CHAT and ("thinking" not in model.capabilities or request.is_empty):
        return None  # chat looks at it after the capabilities and the load
    if "gptoss" in model.name or "gpt-oss" in model.name:
        return None
    return _refuse(400, f'think value "{request.fields["think"]}" is not supported for this model')


@refusal(
    "native-cannot-think",
    Step.MODEL,
    "thinking, asked of a model that does not think",
    "chat-think-true",
    "generate-think-max",
    source=_ROUTES,
    since="0.12.5",
)
def _cannot_think(asked: Asked, world: World) -> Reply | None:
    found = _to_run(asked, world)
    if found is None or "thinking" in found[1].capabilities or not found[0].fields.get("think"):
        return None
    return _refuse(400, f"{quote(found[0].model)} does not support thinking")


@refusal(
    "native-unable",
    Step.MODEL,
    "text, tools, insertion or (0.9.0 to 0.12.4) thinking, asked of a model that cannot do that",
    "chat-tools-bare-plain",
    "chat-tools-no-function-plain",
    source="server/images.go (CheckCapabilities)",
)
def _unable(asked: Asked, world: World) -> Reply | None:
    found = _to_run(asked, world)
    if found is None:
        return None
    request, model = found
    missing = [word for word in _needed(request, world) if word not in model.capabilities]
    if not missing:
        return None
    if "completion" in missing:
        return _refuse(400, f"{quote(request.model)} does not support {request.route.value.rpartition('/')[2]}")
    name = parse_name(model.name).full
    return _refuse(400, f"{name} does not support {chr(10).join(missing)}")


def _needed(request: _Request, world: World) -> list[str]:
    if request.route not in (_Route.CHAT, _Route.GENERATE):
        return []
    needed = ["completion"]
    if request.fields.get("tools"):
        needed.append("tools")
    if request.fields.get("suffix"):
        needed.append("insert")
    if request.fields.get("think") and not world.since("0.12.5"):
        needed.append("thinking")
    return needed


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
)
def _option(asked: Asked, world: World) -> Reply | None:
    found = _to_run(asked, world)
    error = option_error(found[0].fields["options"], world.version) if found else None
    return _refuse(500, error) if error else None


# --- with the model loaded --------------------------------------------------------------------------------------------


def _speaks(asked: Asked, world: World) -> tuple[_Request, Model] | None:
    """A request that a model is to answer with text."""
    found = _to_run(asked, world)
    return found if found and found[0].route in (_Route.CHAT, _Route.GENERATE) and not found[0].is_empty else None


@refusal(
    "native-template-unclosed",
    Step.MODEL,
    "a template with an action that does not end",
    "generate-template-broken",
    source="text/template/parse, lex.go",
)
def _template(asked: Asked, world: World) -> Reply | None:
    found = _speaks(asked, world)
    text = found[0].fields.get("template") if found and not found[0].fields.get("raw") else None
    if not text:
        return None
    rest, line = text, 1
    while "{{" in rest:
        before, _, rest = rest.partition("{{")
        line += before.count("\n")
        inside, closed, after = rest.partition("}}")
        if not closed:
            return _refuse(500, f"template: :{line + inside.rstrip().count(chr(10))}: unclosed action")
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
)
def _format(asked: Asked, world: World) -> Reply | None:
    found = _speaks(asked, world)
    if found is None:
        return None
    request, model = found
    text = request.fields["format"]
    if text is None or text in ("null", '""', '"json"') or text.startswith("{"):
        return None
    thinks = "thinking" in model.capabilities and request.fields.get("think") is not False
    if request.route is _Route.CHAT and thinks and world.since("0.12.0"):
        return None  # the format counts only from the end of thinking
    message = f'invalid format: {quote(text)}; expected "json" or a valid JSON Schema object'
    return _first_value(request, world, 500, message)


@refusal(
    "native-images",
    Step.MODEL,
    "images for a model that has no eyes; before, they are left out",
    "error-chat-image",
    "error-generate-image",
    source="llama-server; recordings",
    since="0.30.0",
)
def _images(asked: Asked, world: World) -> Reply | None:
    found = _speaks(asked, world)
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
    return _first_value(request, world, 400, go_json(inner).decode())


#: What a word or a sign is, which is about a token each; the template adds some.
_TOKEN = re.compile(r"\w+|[^\w\s]")
_TEMPLATE_TOKENS = 10


@refusal(
    "native-too-long",
    Step.MODEL,
    "a prompt longer than the context, not to be truncated; tokens are counted as words and signs",
    "error-chat-context-refused",
    "error-generate-context-refused",
    source="runner; llama-server; recordings",
    since="0.12.6",
)
def _too_long(asked: Asked, world: World) -> Reply | None:
    found = _speaks(asked, world)
    context = (found[0].fields["options"] or {}).get("num_ctx") if found else None
    if found is None or found[0].fields["truncate"] is not False or not isinstance(context, int) or context <= 0:
        return None
    request = found[0]
    texts = [request.fields.get("prompt") or ""]
    texts += [message["content"] for message in request.fields.get("messages") or ()]
    tokens = sum(len(_TOKEN.findall(text)) for text in texts) + _TEMPLATE_TOKENS
    if tokens <= context:
        return None
    if not world.since("0.30.0"):
        return _first_value(request, world, 400, "the input length exceeds the context length")
    inner = {
        "error": {
            "code": 400,
            "message": f"request ({tokens} tokens) exceeds the available context size ({context} tokens), "
            "try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": tokens,
            "n_ctx": context,
        }
    }
    return _first_value(request, world, 400, go_json(inner).decode())


def _embeds(asked: Asked, world: World) -> tuple[_Request, Model, list[str]] | None:
    """A request for embeddings of at least one text."""
    found = _to_run(asked, world)
    if found is None or found[0].route in (_Route.CHAT, _Route.GENERATE):
        return None
    texts = found[0].texts()
    return (*found, texts) if texts else None


@refusal(
    "native-cannot-embed",
    Step.MODEL,
    "embeddings of a model that is for text only",
    "embed-model-registry",
    "embed-model-upper",
    source="llama-server; recordings",
    since="0.30.0",
)
def _cannot_embed(asked: Asked, world: World) -> Reply | None:
    found = _embeds(asked, world)
    if found is None or "embedding" in found[1].capabilities:
        return None
    status = 501 if found[0].route is _Route.EMBED else 500
    return _refuse(status, "This server does not support embeddings. Start it with `--embeddings`")


@refusal(
    "native-embed-no-tokens",
    Step.MODEL,
    "an empty text among those to embed, which gives a model no token",
    "embed-input-with-empty",
    source=f"{_ROUTES} (EmbedHandler); recordings",
)
def _embed_no_tokens(asked: Asked, world: World) -> Reply | None:
    found = _embeds(asked, world)
    if found is None or "" not in found[2]:
        return None
    if world.since("0.30.0"):
        return _refuse(400, "input exceeds maximum context length and cannot be truncated further")
    if world.since("0.6.1"):
        return _refuse(500, "Failed to create new sequence: no input provided")
    return json_reply(500, {"error": {}})
