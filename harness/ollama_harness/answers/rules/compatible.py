"""Requests to the endpoints of OpenAI's and Anthropic's kind: bodies, fields, and errors in their shapes.

Ollama answers these routes in two halves. A middleware decodes the request, refuses what it cannot translate, and makes
a request to one of Ollama's own endpoints of it. The handler of that endpoint answers, and a writer puts that into the
shape of the route. So there are two kinds of errors: the middleware's (JSON as gin sends it, with a charset), and
the handler's in other words (`application/json`, with a line end). The rules follow that: what becomes of a
request is read once, and the rules of Ollama's own endpoints are asked about it.

Source: middleware/openai.go, middleware/anthropic.go (up to 0.12 openai/openai.go); server/cloud_proxy.go.
"""

from __future__ import annotations

import json
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_value import value_of
from ollama_harness.answers.model_name import ConflictingSourceError, ModelSource, parse_ref
from ollama_harness.answers.reply import Reply, go_json, json_reply, stream_reply
from ollama_harness.answers.requests.model_use import model_there
from ollama_harness.answers.requests.refused import RefusalCause
from ollama_harness.answers.requests.translation import ROUTES, translation
from ollama_harness.answers.route_error import route_error
from ollama_harness.answers.rules.rule import Step, refusal, rules_for
from ollama_harness.answers.world import World
from ollama_harness.recordings.error_shapes import ErrorShape, error_value

__all__: list[str] = []

_MODELS = "/v1/models/"


def _own(asked: Asked, world: World, cause: RefusalCause) -> Reply | None:
    """The middleware's own error, if it refuses the request for this cause."""
    read = translation(asked, world)
    if read is None or read.refused is None or read.refused.cause is not cause:
        return None
    return json_reply(400, error_value(read.shape, 400, str(read.refused), seed=asked.body))


def _handlers(asked: Asked, world: World, step: Step) -> Reply | None:
    """The error of the endpoint that answers what the request became, in the shape of the route."""
    read = translation(asked, world)
    if read is None or read.native is None:
        return None
    for rule in rules_for(read.native.path, world.version, (step,)):
        if (reply := rule.reply(read.native, world)) is not None:
            return _reworded(reply, asked, world)
    return None


def _reworded(reply: Reply, asked: Asked, world: World) -> Reply:
    try:
        message = json.loads(reply.body)["error"]
    except (ValueError, KeyError, TypeError):
        message = reply.body.decode("utf-8", "replace")
    if not isinstance(message, str):
        # The writer cannot decode it and writes nothing: the head is the handler's.
        return Reply(status=reply.status, headers=reply.headers)
    if reply.status == 200:
        return _swallowed()
    return route_error(asked, world, reply.status, message, chunked=reply.chunked)


def _swallowed() -> Reply:
    """The piece that a stream makes of an error with status 200: it has no text, no model and no end."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    piece = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "",
        "system_fingerprint": "fp_ollama",
        "choices": [choice],
    }
    body = b"data: " + go_json(piece) + b"\n\n"
    return Reply(status=200, body=body, headers=(("Content-Type", "text/event-stream"),), chunked=True)


# --- rules ------------------------------------------------------------------------------------------------------------

_MIDDLEWARE = "middleware/openai.go, middleware/anthropic.go"


@refusal(
    "v1-cloud-off",
    Step.REQUEST,
    "a model of the cloud is asked for, and the cloud is off",
    "v1chat-model-cloud",
    "v1emb-model-cloud",
    "v1resp-model-cloud",
    source="server/cloud_proxy.go (`cloudPassthroughMiddleware`): before the middleware, so in Ollama's own shape",
    since="0.18.0",
    paths=(*ROUTES, _MODELS),
)
def _cloud_off(asked: Asked, world: World) -> Reply | None:
    if world.cloud:
        return None
    what = "remote model is unavailable"
    if asked.method == "GET" and asked.path.startswith(_MODELS):
        name: Any = asked.path.removeprefix(_MODELS)
        what = "remote model details are unavailable"
    elif asked.method == "POST" and asked.path in ROUTES and b"cloud" in asked.body.lower():
        try:
            name = json.loads(asked.body)["model"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
    else:
        return None
    if not isinstance(name, str) or not _is_of_cloud(name):
        return None
    return json_reply(403, {"error": f"ollama cloud is disabled: {what}"})


def _is_of_cloud(name: str) -> bool:
    try:
        ref = parse_ref(name)
    except ConflictingSourceError:
        return False
    return ref is not None and ref.source is ModelSource.CLOUD and ref.name.is_valid


@refusal(
    "v1-body",
    Step.REQUEST,
    "the body is no JSON, or a field of it has a wrong type",
    "v1-error-invalid-json",
    "v1chat-json-empty",
    "v1comp-prompt-list",
    "v1emb-model-list",
    "v1msg-json-list",
    "v1resp-json-comma",
    source=f"{_MIDDLEWARE} (`ShouldBindJSON`: no body at all is `EOF`); encoding/json",
    paths=tuple(ROUTES),
)
def _body(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.BODY)


@refusal(
    "v1-required",
    Step.REQUEST,
    "a field is missing: messages; at /v1/messages also model and max_tokens; for images prompt, model and image",
    "v1-error-no-messages",
    "v1chat-messages-null",
    "v1msg-no-max",
    "v1msg-model-empty",
    source=_MIDDLEWARE,
    paths=tuple(ROUTES),
)
def _required(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.REQUIRED)


@refusal(
    "v1-content",
    Step.REQUEST,
    "a message's content, an image in it, or the arguments of a call cannot be translated",
    "v1chat-content-number",
    "v1chat-content-image-url",
    source="openai/openai.go (`FromChatRequest`), openai/responses.go, anthropic/anthropic.go (`convertMessage`)",
    paths=tuple(ROUTES),
)
def _content(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.CONTENT)


@refusal(
    "v1-stop",
    Step.REQUEST,
    "/v1/completions takes only texts in the list of stops; /v1/chat/completions leaves others out",
    source="openai/openai.go (`FromCompleteRequest`)",
    paths=tuple(ROUTES),
)
def _stop(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.STOP)


@refusal(
    "v1-effort",
    Step.REQUEST,
    "an effort of reasoning that this version does not know",
    source="openai/openai.go (`FromChatRequest`, later `thinkFromReasoningEffort`), openai/responses.go",
    since="0.11.0",
    paths=tuple(ROUTES),
)
def _effort(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.EFFORT)


@refusal(
    "v1-embedding-input",
    Step.REQUEST,
    "nothing to embed, or an encoding that there is not",
    "v1emb-input-null",
    "v1emb-input-list-empty",
    "v1emb-format-bogus",
    source="middleware/openai.go (`EmbeddingsMiddleware`)",
    paths=tuple(ROUTES),
)
def _embedding_input(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.INPUT)


@refusal(
    "v1-tools",
    Step.REQUEST,
    "the parameters of a tool are no schema",
    source="openai/responses.go, anthropic/anthropic.go (`convertTool`)",
    since="0.13.3",
    paths=tuple(ROUTES),
)
def _tools(asked: Asked, world: World) -> Reply | None:
    return _own(asked, world, RefusalCause.TOOLS)


@refusal(
    "v1-transcription",
    Step.REQUEST,
    "a sound to write down has to come as multipart/form-data",
    source="middleware/openai.go (`TranscriptionMiddleware`); net/http, request.go (`ErrNotMultipart`)",
    since="0.20.0",
    paths=("/v1/audio/transcriptions",),
)
def _transcription(asked: Asked, _: World) -> Reply | None:
    if asked.path != "/v1/audio/transcriptions" or asked.method != "POST":
        return None
    if (asked.header("Content-Type") or "").partition(";")[0].strip().lower() == "multipart/form-data":
        return None
    message = "failed to parse multipart form: request Content-Type isn't multipart/form-data"
    return json_reply(400, error_value(ErrorShape.OPENAI, 400, message, seed=asked.body))


@refusal(
    "v1-handler",
    Step.REQUEST,
    "the endpoint of Ollama's own that answers the request refuses what it became",
    "v1emb-input-number",
    source=f"{_MIDDLEWARE} (`writeError`)",
    paths=tuple(ROUTES),
)
def _handler(asked: Asked, world: World) -> Reply | None:
    return _handlers(asked, world, Step.REQUEST)


@refusal(
    "v1-handler-model",
    Step.MODEL,
    "the model is not there, or not able to do this",
    "v1-error-model-not-found",
    "v1-messages-error-model-not-found",
    "v1-responses-error-model-not-found",
    "v1chat-model-empty",
    "v1chat-model-unknown",
    "v1chat-tools-unable",
    "v1resp-reasoning",
    source=f"{_MIDDLEWARE} (`writeError`)",
    paths=tuple(ROUTES),
)
def _model(asked: Asked, world: World) -> Reply | None:
    return _handlers(asked, world, Step.MODEL)


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
    return None if model_there(name, world) is None else stream_reply(())
