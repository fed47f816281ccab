"""OpenAI's requests as Ollama decodes them, and what it makes of them for its own endpoints.

Source: openai/openai.go (`ChatCompletionRequest`, `FromChatRequest`, `FromCompleteRequest`), middleware/openai.go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from ollama_harness.answers.go.go_base64 import base64_bytes
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.go.go_types import (
    ANY,
    BOOL,
    FLOAT32,
    FLOAT64,
    INT,
    RAW,
    STRING,
    Field,
    GoError,
    GoSlice,
    GoType,
    Map,
    Pointer,
    Struct,
    fields,
)
from ollama_harness.answers.requests._tool_types import arguments_type, tool_type, unmarshal
from ollama_harness.answers.requests.refused import RefusalCause, RefusedError
from ollama_harness.answers.world import World

__all__ = [
    "chat_type",
    "check_image_url",
    "completion_type",
    "embed_type",
    "think_of",
    "to_chat",
    "to_embed",
    "to_generate",
]

_OPTIONAL_TEXT, _OPTIONAL_INT, _OPTIONAL_BOOL = Pointer(to=STRING), Pointer(to=INT), Pointer(to=BOOL)
_OPTIONAL_FLOAT = Pointer(to=FLOAT64)
_STREAM_OPTIONS = Pointer(to=Struct(name="openai.StreamOptions", fields=fields(include_usage=BOOL)))
_FUNCTION = Struct(
    name='struct { Name string "json:\\"name\\""; Arguments string "json:\\"arguments\\"" }',
    fields=fields(name=STRING, arguments=STRING),
)
_TOOL_CALL = Struct(name="openai.ToolCall", fields=fields(id=STRING, index=INT, type=STRING, function=_FUNCTION))

#: Since these versions Ollama reads what it ignored before. Not each is the very first: some are the first recorded.
_SCHEMA_AS_SENT_SINCE = "0.5.8"
_WEBP_SINCE = "0.9.6"
_NAMED_TOOLS_SINCE = "0.11.0"
_EFFORT_SINCE = "0.11.0"
_DIMENSIONS_SINCE = "0.11.11"
_ENCODING_SINCE = "0.12.4"
_LOGPROBS_SINCE = "0.12.11"
_BARE_IMAGES_SINCE = "0.12.11"
_RESPONSES_SINCE = "0.13.3"
_MAX_EFFORT_SINCE = "0.20.0"
_AUDIO_SINCE = "0.20.0"
_CLAMPED_EFFORT_SINCE = "0.33.0"


@cache
def chat_type(version: str) -> Struct:
    """ChatCompletionRequest."""
    has = World(version=version).since
    message = fields(role=STRING, content=ANY, tool_calls=GoSlice(of=_TOOL_CALL))
    more: tuple[Field, ...] = ()
    if has(_NAMED_TOOLS_SINCE):
        message = (*message, *fields(reasoning=STRING, name=STRING, tool_call_id=STRING))
    if has(_EFFORT_SINCE):
        reasoning = Struct(name="openai.Reasoning", fields=fields(effort=STRING))
        more = fields(reasoning=Pointer(to=reasoning), reasoning_effort=_OPTIONAL_TEXT, _debug_render_only=BOOL)
    if has(_LOGPROBS_SINCE):
        more = (*more, *fields(logprobs=_OPTIONAL_BOOL, top_logprobs=INT))
    return Struct(
        name="openai.ChatCompletionRequest",
        fields=(
            *fields(
                model=STRING,
                messages=GoSlice(of=Struct(name="openai.Message", fields=message)),
                stream=BOOL,
                stream_options=_STREAM_OPTIONS,
                max_tokens=_OPTIONAL_INT,
                seed=_OPTIONAL_INT,
                stop=ANY,
                temperature=_OPTIONAL_FLOAT,
                frequency_penalty=_OPTIONAL_FLOAT,
                presence_penalty=_OPTIONAL_FLOAT,
                top_p=_OPTIONAL_FLOAT,
                response_format=Pointer(to=_response_format(version)),
                tools=GoSlice(of=tool_type(version)),
            ),
            *more,
        ),
    )


def _response_format(version: str) -> Struct:
    schema: GoType = RAW if World(version=version).since(_SCHEMA_AS_SENT_SINCE) else Map(of=ANY)
    inner = Struct(name="openai.JsonSchema", fields=fields(schema=schema))
    return Struct(name="openai.ResponseFormat", fields=fields(type=STRING, json_schema=Pointer(to=inner)))


@cache
def completion_type(version: str) -> Struct:
    """CompletionRequest: its prompt is one text."""
    has = World(version=version).since
    more = fields(_debug_render_only=BOOL) if has(_EFFORT_SINCE) else ()
    return Struct(
        name="openai.CompletionRequest",
        fields=(
            *fields(
                model=STRING,
                prompt=STRING,
                frequency_penalty=FLOAT32,
                max_tokens=_OPTIONAL_INT,
                presence_penalty=FLOAT32,
                seed=_OPTIONAL_INT,
                stop=ANY,
                stream=BOOL,
                stream_options=_STREAM_OPTIONS,
                temperature=Pointer(to=FLOAT32),
                top_p=FLOAT32,
                suffix=STRING,
            ),
            *more,
            *(fields(logprobs=_OPTIONAL_INT) if has(_LOGPROBS_SINCE) else ()),
        ),
    )


@cache
def embed_type(version: str) -> Struct:
    """EmbedRequest."""
    has = World(version=version).since
    return Struct(
        name="openai.EmbedRequest",
        fields=(
            *fields(input=ANY, model=STRING),
            *(fields(dimensions=INT) if has(_DIMENSIONS_SINCE) else ()),
            *(fields(encoding_format=STRING) if has(_ENCODING_SINCE) else ()),
        ),
    )


def to_chat(request: dict[str, Any], world: World) -> dict[str, Any]:
    """The body for /api/chat. Raises: RefusedError."""
    if not request["messages"]:
        raise RefusedError(RefusalCause.REQUIRED, "[] is too short - 'messages'")
    messages = [each for message in request["messages"] for each in _messages(message, world)]
    reasoning = request.get("reasoning")
    effort = request.get("reasoning_effort") if reasoning is None else reasoning["effort"]
    body: dict[str, Any] = {
        "model": request["model"],
        "messages": messages,
        "stream": request["stream"],
        "options": _options(request, _chat_stops(request["stop"])),
    }
    if (format_ := _format(request["response_format"])) is not None:
        body["format"] = format_
    if request["tools"]:
        body["tools"] = request["tools"]
    if (think := think_of(effort or "", world)) is not None:
        body["think"] = think
    if request.get("logprobs"):
        body["logprobs"] = True
    if request.get("top_logprobs"):
        body["top_logprobs"] = request["top_logprobs"]
    return body


def _messages(message: dict[str, Any], world: World) -> list[dict[str, Any]]:
    role, content, calls = message["role"], message["content"], message["tool_calls"]
    if isinstance(content, str):
        native = _tool_calls(calls, world) if world.since(_NAMED_TOOLS_SINCE) else []
        return [{"role": role, "content": content, **({"tool_calls": native} if native else {})}]
    if isinstance(content, list):
        made = [_part(role, part, world) for part in content]
        if made and calls and world.since(_NAMED_TOOLS_SINCE):
            made[-1]["tool_calls"] = _tool_calls(calls, world)
        return made
    if calls is None:
        raise RefusedError(RefusalCause.CONTENT, f"invalid message content type: {_type_of(content)}")
    return [{"role": role, "content": "", "tool_calls": _tool_calls(calls, world)}]


def _part(role: str, part: Any, world: World) -> dict[str, Any]:
    """A message of each part of a content."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(text := part.get("text"), str):
        return {"role": role, "content": text}
    if kind == "image_url":
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        if isinstance(url, str):
            return {"role": role, "content": "", "images": [check_image_url(url, world)]}
    if kind == "input_audio" and world.since(_AUDIO_SINCE):
        return {"role": role, "content": "", "images": [_audio(part.get("input_audio"))]}
    raise RefusedError(RefusalCause.CONTENT, "invalid message format")


def _audio(audio: Any) -> str:
    if not isinstance(audio, dict):
        raise RefusedError(RefusalCause.CONTENT, "invalid input_audio format")
    data = audio.get("data")
    if not isinstance(data, str):
        raise RefusedError(RefusalCause.CONTENT, "invalid input_audio format: missing data")
    if isinstance(decoded := base64_bytes(data), str):
        raise RefusedError(RefusalCause.CONTENT, f"invalid input_audio base64 data: {decoded}")
    return data


def check_image_url(url: str, world: World) -> str:
    """The base64 text in a data URL. Raises: RefusedError for any other, and for what is not base64."""
    if world.since(_RESPONSES_SINCE) and url.startswith(("http://", "https://")):
        raise RefusedError(
            RefusalCause.CONTENT, "image URLs are not currently supported, please use base64 encoded data instead"
        )
    kinds = ["jpeg", "jpg", "png"] + (["webp"] if world.since(_WEBP_SINCE) else [])
    heads = [f"data:image/{kind};base64," for kind in kinds]
    if world.since(_BARE_IMAGES_SINCE):
        heads.append("data:;base64,")
    head = next((head for head in heads if url.startswith(head)), None)
    if head is None:
        raise RefusedError(RefusalCause.CONTENT, "invalid image input")
    data = url.removeprefix(head)
    if isinstance(base64_bytes(data), str):
        words = "invalid image input" if world.since(_RESPONSES_SINCE) else "invalid message format"
        raise RefusedError(RefusalCause.CONTENT, words)
    return data


def _tool_calls(calls: Sequence[dict[str, Any]] | None, world: World) -> list[dict[str, Any]]:
    functions = [call["function"] for call in calls or ()]
    return [
        {"function": {"name": one["name"], "arguments": _arguments(one["arguments"], world.version)}}
        for one in functions
    ]


def _arguments(text: str, version: str) -> dict[str, Any]:
    """Arguments are the text of a JSON object. Raises: RefusedError."""
    read = unmarshal(text, arguments_type(version), version)
    if isinstance(read, GoError):
        raise RefusedError(RefusalCause.CONTENT, "invalid tool call arguments")
    return dict(read or {})


def _chat_stops(stop: Any) -> list[str]:
    if isinstance(stop, str):
        return [stop]
    return [one for one in stop if isinstance(one, str)] if isinstance(stop, list) else []


def _options(request: dict[str, Any], stops: list[str]) -> dict[str, Any]:
    names = {"max_tokens": "num_predict", "temperature": "temperature", "seed": "seed", "top_p": "top_p"}
    options: dict[str, Any] = {ours: request[theirs] for theirs, ours in names.items() if request[theirs] is not None}
    return {**options, **({"stop": stops} if stops else {})}


def _format(response_format: dict[str, Any] | None) -> Any:
    """The schema as JSON, "json", or None where the type says neither."""
    if response_format is None:
        return None
    match response_format["type"].strip().lower():
        case "json_object":
            return "json"
        case "json_schema" if response_format["json_schema"] is not None:
            schema = response_format["json_schema"]["schema"]
            return json.loads(schema) if isinstance(schema, str) else schema
    return None


def think_of(effort: str, world: World, *, quoted: bool = False) -> bool | str | None:
    """The `think` of an effort. Raises: RefusedError for one that this version does not know."""
    if not effort:
        return None
    if effort == "none":
        return False
    known = ["high", "medium", "low"] + (["max"] if world.since(_MAX_EFFORT_SINCE) else [])
    words = [f'"{each}"' for each in known]
    if world.since(_CLAMPED_EFFORT_SINCE):
        effort_ = {"minimal": "low", "xhigh": "max", "ultra": "max"}.get(effort, effort)
        words = [f'"{each}"' for each in ("minimal", "low", "medium", "high", "xhigh", "ultra", "max")]
        quoted = True
    else:
        effort_ = effort
    if effort_ not in known:
        shown = quote(effort) if quoted else f"'{effort}'"
        raise RefusedError(
            RefusalCause.EFFORT, f'invalid reasoning value: {shown} (must be {", ".join(words)}, or "none")'
        )
    return effort_


def to_generate(request: dict[str, Any], world: World) -> dict[str, Any]:  # noqa: ARG001
    """The body for /api/generate. Raises: RefusedError."""
    stop = request["stop"]
    if isinstance(stop, list):
        for one in stop:
            if not isinstance(one, str):
                raise RefusedError(RefusalCause.STOP, f"invalid type for 'stop' field: {_type_of(one)}")
    logprobs = request.get("logprobs") or 0
    return {
        "model": request["model"],
        "prompt": request["prompt"],
        "stream": request["stream"],
        "suffix": request["suffix"],
        "options": _options(request, _chat_stops(stop)),
        **({"logprobs": True, "top_logprobs": logprobs} if logprobs > 0 else {}),
    }


def to_embed(request: dict[str, Any], world: World) -> dict[str, Any]:  # noqa: ARG001
    """The body for /api/embed. Raises: RefusedError."""
    encoding, texts = request.get("encoding_format") or "", request["input"]
    if encoding and encoding.lower() not in ("float", "base64"):
        raise RefusedError(
            RefusalCause.INPUT,
            f"Invalid value for 'encoding_format' = {encoding}. Supported values: ['float', 'base64'].",
        )
    if texts is None or texts == []:
        raise RefusedError(RefusalCause.INPUT, "invalid input")
    dimensions = request.get("dimensions") or 0
    return {
        "model": request["model"],
        "input": [""] if texts == "" else texts,
        **({"dimensions": dimensions} if dimensions else {}),
    }


def _type_of(value: Any) -> str:
    """What `%T` writes for a JSON value that was decoded into `any`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int() | float():
            return "float64"
        case str():
            return "string"
        case list():
            return "[]interface {}"
    return "map[string]interface {}"
