"""Requests to /v1/responses as Ollama decodes them, and what it makes of them for /api/chat.

An input is a text or a list of items of several kinds, each read by a decoder of its own that wraps its errors.
Source: openai/responses.go (`ResponsesRequest`, `FromResponsesRequest`), since Ollama 0.13.3.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.go.go_types import (
    ANY,
    BOOL,
    FLOAT64,
    INT,
    RAW,
    STRING,
    Custom,
    GoError,
    GoSlice,
    GoType,
    Map,
    Pointer,
    Struct,
    fields,
)
from ollama_harness.answers.reply import go_json
from ollama_harness.answers.requests._openai import check_image_url, think_of
from ollama_harness.answers.requests._tool_types import arguments_type, parameters_type, unmarshal
from ollama_harness.answers.requests.refused import RefusalCause, RefusedError
from ollama_harness.answers.world import World

__all__ = ["responses_type", "to_chat"]

_ITEM_KINDS = {
    "function_call": Struct(
        name="openai.ResponsesFunctionCall",
        fields=fields(id=STRING, type=STRING, call_id=STRING, name=STRING, arguments=STRING),
    ),
    "reasoning": Struct(
        name="openai.ResponsesReasoningInput",
        fields=fields(
            id=STRING,
            type=STRING,
            summary=GoSlice(
                of=Struct(name="openai.ResponsesReasoningSummary", fields=fields(type=STRING, text=STRING))
            ),
            encrypted_content=STRING,
        ),
    ),
}
_CONTENT_KINDS = {
    "input_text": Struct(name="openai.ResponsesTextContent", fields=fields(type=STRING, text=STRING)),
    "output_text": Struct(name="openai.ResponsesOutputTextContent", fields=fields(type=STRING, text=STRING)),
    "input_image": Struct(
        name="openai.ResponsesImageContent", fields=fields(type=STRING, detail=STRING, file_id=STRING, image_url=STRING)
    ),
    "input_file": Struct(
        name="openai.ResponsesFileContent",
        fields=fields(type=STRING, file_data=STRING, file_id=STRING, file_url=STRING, filename=STRING),
    ),
}
_KIND = Struct(name='struct { Type string "json:\\"type\\"" }', fields=fields(type=STRING))
_KIND_AND_ROLE = Struct(
    name='struct { Type string "json:\\"type\\""; Role string "json:\\"role\\"" }',
    fields=fields(type=STRING, role=STRING),
)
_MESSAGE = Struct(
    name='struct { Type string "json:\\"type\\""; Role string "json:\\"role\\"";'
    ' Content jsontext.Value "json:\\"content\\"" }',
    fields=fields(type=STRING, role=STRING, content=ANY),
)
_OUTPUT = Struct(
    name='struct { Type string "json:\\"type\\""; CallID string "json:\\"call_id\\"";'
    ' Output jsontext.Value "json:\\"output\\"" }',
    fields=fields(type=STRING, call_id=STRING, output=ANY),
)
#: json.RawMessage is another name for this in the builds that have these routes and were recorded.
_RAW_LIST = GoSlice(of=ANY, name="[]jsontext.Value")


class _WrongError(Exception):
    """An error in an input, with its words."""


@cache
def responses_type(version: str) -> Struct:  # noqa: ARG001
    """ResponsesRequest."""
    text_format = Struct(
        name="openai.ResponsesTextFormat", fields=fields(type=STRING, name=STRING, schema=RAW, strict=Pointer(to=BOOL))
    )
    tool = Struct(
        name="openai.ResponsesTool",
        fields=fields(
            type=STRING,
            name=STRING,
            description=Pointer(to=STRING),
            strict=Pointer(to=BOOL),
            parameters=Map(of=ANY),
        ),
    )
    return Struct(
        name="openai.ResponsesRequest",
        fields=fields(
            model=STRING,
            background=BOOL,
            conversation=RAW,
            include=GoSlice(of=STRING),
            input=Custom(name="openai.ResponsesInput", inner=ANY, then=_input),
            instructions=STRING,
            max_output_tokens=Pointer(to=INT),
            reasoning=Struct(
                name="openai.ResponsesReasoning", fields=fields(effort=STRING, generate_summary=STRING, summary=STRING)
            ),
            temperature=Pointer(to=FLOAT64),
            text=Pointer(to=Struct(name="openai.ResponsesText", fields=fields(format=Pointer(to=text_format)))),
            top_p=Pointer(to=FLOAT64),
            truncation=Pointer(to=STRING),
            tools=GoSlice(of=tool),
            stream=Pointer(to=BOOL),
        ),
    )


def _input(value: Any, version: str) -> Any:
    """A text, or a list of items; a GoError with the place of the wrong one."""
    if isinstance(value, str | None):
        return value or ""
    try:
        return _each(value, "input", version, partial(_item, version=version))
    except _WrongError as wrong:
        return GoError(str(wrong))


def _each(value: Any, what: str, version: str, read: Callable[[Any], Any]) -> list[Any]:
    """The members of a list that may also have been a text."""
    try:
        items = _read(value, _RAW_LIST, version)
    except _WrongError as wrong:
        raise _WrongError(f"{what} must be a string or array: {wrong}") from None
    made = []
    for index, item in enumerate(items):
        try:
            made.append(read(item))
        except _WrongError as wrong:
            raise _WrongError(f"{what}[{index}]: {wrong}") from None
    return made


def _read(value: Any, type_: GoType, version: str) -> Any:
    read = decode(go_json(value), type_, version)
    if isinstance(read, GoError):
        raise _WrongError(read.text)
    return read


def _item(item: Any, version: str) -> dict[str, Any]:
    head = _read(item, _KIND_AND_ROLE, version)
    kind = head["type"] or ("message" if head["role"] else "")
    if not kind:
        raise _WrongError("input item missing required 'type' field")
    if kind in _ITEM_KINDS:
        return {**_read(item, _ITEM_KINDS[kind], version), "type": kind}
    parts = partial(_part, version=version)
    if kind == "message":
        message = _read(item, _MESSAGE, version)
        message["content"] = _parts(message["content"], "content", version, parts)
    elif kind == "function_call_output":
        message = _read(item, _OUTPUT, version)
        message["content"] = _parts(message["output"], "output", version, parts)
    else:
        raise _WrongError(f"unknown input item type: {quote(kind)}")
    return {**message, "type": kind}


def _parts(value: Any, what: str, version: str, read: Callable[[Any], Any]) -> list[dict[str, Any]]:
    if isinstance(value, str | None):
        return [{"type": "input_text", "text": value or ""}]
    return _each(value, what, version, read)


def _part(part: Any, version: str) -> dict[str, Any]:
    kind = _read(part, _KIND, version)["type"]
    if kind not in _CONTENT_KINDS:
        raise _WrongError(f"unknown content type: {kind}")
    return {**_read(part, _CONTENT_KINDS[kind], version), "type": kind}


def to_chat(request: dict[str, Any], world: World) -> dict[str, Any]:
    """The body for /api/chat. Raises: RefusedError."""
    messages: list[dict[str, Any]] = []
    if request["instructions"]:
        messages.append({"role": "system", "content": request["instructions"]})
    items = request["input"] or []
    if isinstance(items, str):
        messages.append({"role": "user", "content": items})
    else:
        messages += [_message(item, world) for item in items if item["type"] != "reasoning"]
    think = think_of(request["reasoning"]["effort"], world, quoted=True)
    _check_tools(request["tools"] or (), world)
    names = {"max_output_tokens": "num_predict", "temperature": "temperature", "top_p": "top_p"}
    body: dict[str, Any] = {
        "model": request["model"],
        "messages": messages,
        "stream": bool(request["stream"]),
        "options": {ours: request[theirs] for theirs, ours in names.items() if request[theirs] is not None},
    }
    if (format_ := _format((request["text"] or {}).get("format"))) is not None:
        body["format"] = format_
    if think is not None:
        body["think"] = think
    if request["tools"]:
        body["tools"] = [{"type": tool["type"], "function": _function(tool)} for tool in request["tools"]]
    return body


def _format(text_format: dict[str, Any] | None) -> Any:
    """The schema, "json", or None for text. What becomes of "json_object" is not recorded."""
    match text_format:
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "schema": str(schema)}:
            return json.loads(schema)
    return None


def _message(item: dict[str, Any], world: World) -> dict[str, Any]:
    if item["type"] == "function_call":
        call = {"function": {"name": item["name"], "arguments": _arguments(item["arguments"], world)}}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    text, images = "", []
    for part in item["content"]:
        match part["type"]:
            case "input_file":
                raise RefusedError(RefusalCause.CONTENT, "file inputs are not currently supported")
            case "input_image" if part["image_url"]:
                images.append(check_image_url(part["image_url"], world))
            case "input_text" | "output_text":
                text += part["text"]
    role = item["role"] if item["type"] == "message" else "tool"
    return {"role": role, "content": text, **({"images": images} if images else {})}


def _arguments(text: str, world: World) -> dict[str, Any]:
    if not text:
        return {}
    read = unmarshal(text, arguments_type(world.version), world.version)
    if isinstance(read, GoError):
        raise RefusedError(RefusalCause.CONTENT, f"failed to parse function call arguments: {read.text}")
    return dict(read or {})


def _check_tools(tools: Any, world: World) -> None:
    for tool in tools:
        if tool["parameters"] is None:
            continue
        read = decode(go_json(tool["parameters"]), parameters_type(world.version), world.version)
        if isinstance(read, GoError):
            raise RefusedError(RefusalCause.TOOLS, f"failed to unmarshal tool parameters: {read.text}")


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": tool["name"],
        "description": tool["description"] or "",
        "parameters": tool["parameters"] or {"type": "", "properties": None},
    }
