"""Requests to /v1/messages as Ollama decodes them, and what it makes of them for /api/chat.

Source: anthropic/anthropic.go (`MessagesRequest`, `FromMessagesRequest`), middleware/anthropic.go; since Ollama 0.14.0.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ollama_harness.answers.go.go_base64 import base64_bytes
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.go.go_types import (
    ANY,
    BOOL,
    FLOAT64,
    INT,
    STRING,
    Custom,
    GoError,
    GoSlice,
    Pointer,
    Struct,
    fields,
)
from ollama_harness.answers.reply import go_json
from ollama_harness.answers.requests._tool_types import arguments_type, parameters_type
from ollama_harness.answers.requests.refused import RefusalCause, RefusedError
from ollama_harness.answers.world import World

__all__ = ["messages_type", "think_of", "to_chat"]

#: Before it only `thinking: {"type": "enabled"}` counts (ollama/ollama#14755, #15287, of 0.20); by 0.33.3 all that is
#: said about thinking does (#18326). No recording tells where between.
_ALL_THINKING_SINCE = "0.30.0"

_OPTIONAL_TEXT = Pointer(to=STRING)
_CITATION = Struct(
    name="anthropic.Citation",
    fields=fields(type=STRING, url=STRING, title=STRING, encrypted_index=STRING, cited_text=STRING),
)
_SOURCE = Struct(name="anthropic.ImageSource", fields=fields(type=STRING, media_type=STRING, data=STRING, url=STRING))
_MESSAGE = Struct(
    name='struct { Role string "json:\\"role\\""; Content jsontext.Value "json:\\"content\\"" }',
    fields=fields(role=STRING, content=ANY),
)


@cache
def _blocks_type(version: str) -> GoSlice:
    block = Struct(
        name="anthropic.ContentBlock",
        fields=fields(
            type=STRING,
            text=_OPTIONAL_TEXT,
            citations=GoSlice(of=_CITATION),
            source=Pointer(to=_SOURCE),
            id=STRING,
            name=STRING,
            input=arguments_type(version),
            tool_use_id=STRING,
            content=ANY,
            is_error=BOOL,
            thinking=_OPTIONAL_TEXT,
            signature=STRING,
        ),
    )
    return GoSlice(of=block)


def _message(value: Any, version: str) -> Any:
    """A message with a list of blocks; a text is one block."""
    message = decode(go_json(value), _MESSAGE, version)
    if isinstance(message, GoError):
        return message
    content = message["content"]
    if content is None and not (isinstance(value, dict) and any(key.lower() == "content" for key in value)):
        return GoError("unexpected end of JSON input")
    if isinstance(content, str | None):
        return {**message, "content": [{"type": "text", "text": content or ""}]}
    blocks = decode(go_json(content), _blocks_type(version), version)
    return blocks if isinstance(blocks, GoError) else {**message, "content": blocks}


@cache
def messages_type(version: str) -> Struct:  # noqa: ARG001
    """MessagesRequest."""
    tool = Struct(
        name="anthropic.Tool",
        fields=fields(type=STRING, name=STRING, description=STRING, input_schema=ANY, max_uses=INT),
    )
    choice = Struct(
        name="anthropic.ToolChoice", fields=fields(type=STRING, name=STRING, disable_parallel_tool_use=BOOL)
    )
    thinking = Struct(name="anthropic.ThinkingConfig", fields=fields(type=STRING, budget_tokens=INT))
    return Struct(
        name="anthropic.MessagesRequest",
        fields=fields(
            model=STRING,
            max_tokens=INT,
            messages=GoSlice(of=Custom(name="anthropic.MessageParam", inner=ANY, then=_message)),
            system=ANY,
            stream=BOOL,
            temperature=Pointer(to=FLOAT64),
            top_p=Pointer(to=FLOAT64),
            top_k=Pointer(to=INT),
            stop_sequences=GoSlice(of=STRING),
            tools=GoSlice(of=tool),
            tool_choice=Pointer(to=choice),
            thinking=Pointer(to=thinking),
            metadata=Pointer(to=Struct(name="anthropic.Metadata", fields=fields(user_id=STRING))),
            output_config=Pointer(to=Struct(name="anthropic.OutputConfig", fields=fields(effort=STRING))),
        ),
    )


def to_chat(request: dict[str, Any], world: World) -> dict[str, Any]:
    """The body for /api/chat. It has no `think`, which `think_of` gives: what a model cannot do is dropped here.

    Raises: RefusedError.
    """
    if not request["model"]:
        raise RefusedError(RefusalCause.REQUIRED, "model is required")
    if request["max_tokens"] <= 0:
        raise RefusedError(RefusalCause.REQUIRED, "max_tokens is required and must be positive")
    if not request["messages"]:
        raise RefusedError(RefusalCause.REQUIRED, "messages is required")
    system = _text(request["system"])
    messages = [{"role": "system", "content": system}] if system else []
    messages += [each for message in request["messages"] for each in _messages(message)]
    tools = [_tool(tool, world) for tool in request["tools"] or ()]
    return {
        "model": request["model"],
        "messages": messages,
        "stream": request["stream"],
        "options": _options(request),
        **({"tools": tools} if tools else {}),
    }


def think_of(request: dict[str, Any], world: World) -> bool | None:
    """Whether a model that can think is to do so; None where the request leaves it to the model."""
    kind = request["thinking"]["type"] if request["thinking"] else None
    if kind == "enabled":
        return True
    if not world.since(_ALL_THINKING_SINCE):
        return None
    if kind is None:
        return True if request["output_config"] and request["output_config"]["effort"] else None
    return {"adaptive": True, "disabled": False}.get(kind)


def _options(request: dict[str, Any]) -> dict[str, Any]:
    given = {name: request[name] for name in ("temperature", "top_p", "top_k") if request[name] is not None}
    stops = request["stop_sequences"]
    return {"num_predict": request["max_tokens"], **given, **({"stop": stops} if stops else {})}


def _text(content: Any) -> str:
    """The text of a system prompt: it is one, or blocks that are."""
    if isinstance(content, str):
        return content
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _messages(message: dict[str, Any]) -> list[dict[str, Any]]:
    role = message["role"].lower()
    made: dict[str, Any] = {"role": role, "content": ""}
    images, calls, results, thinking = [], [], [], ""
    for block in message["content"] or ():
        match block["type"]:
            case "text":
                made["content"] += block["text"] or ""
            case "image":
                if block["source"] is None:
                    raise RefusedError(RefusalCause.CONTENT, "invalid image source")
                images.append(_image(block["source"]))
            case "tool_use":
                for name in ("id", "name"):
                    if not block[name]:
                        raise RefusedError(RefusalCause.CONTENT, f"tool_use block missing required '{name}' field")
                calls.append(_call(block))
            case "server_tool_use":
                calls.append(_call(block))
            case "tool_result":
                results.append({"role": "tool", **_result(block["content"])})
            case "thinking":
                thinking = block["thinking"] or ""
    made |= {name: value for name, value in (("images", images), ("tool_calls", calls)) if value}
    mine = [made] if made["content"] or images or calls or thinking else []
    return [*results, *mine] if role == "user" else [*mine, *results]


def _call(block: dict[str, Any]) -> dict[str, Any]:
    return {"function": {"name": block["name"], "arguments": block["input"] or {}}}


def _image(source: dict[str, Any]) -> str:
    if source["type"] != "base64":
        raise RefusedError(
            RefusalCause.CONTENT, f"invalid image source type: {source['type']}. Only base64 images are supported."
        )
    if isinstance(decoded := base64_bytes(source["data"]), str):
        raise RefusedError(RefusalCause.CONTENT, f"invalid base64 image data: {decoded}")
    data: str = source["data"]
    return data


def _result(content: Any) -> dict[str, Any]:
    if isinstance(content, str):
        return {"content": content}
    text, images = "", []
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            text += part["text"]
        elif part.get("type") == "image":
            source = part.get("source")
            if not isinstance(source, dict):
                raise RefusedError(RefusalCause.CONTENT, "invalid tool_result image source")
            given = {name: source.get(name) for name in ("type", "data")}
            images.append(_image({name: value if isinstance(value, str) else "" for name, value in given.items()}))
    return {"content": text, **({"images": images} if images else {})}


def _tool(tool: dict[str, Any], world: World) -> dict[str, Any]:
    if tool["type"].startswith("web_search"):
        return {"type": "function", "function": {"name": "web_search", "parameters": {"type": "object"}}}
    schema = tool["input_schema"]
    read = decode(go_json(schema), parameters_type(world.version), world.version)
    if isinstance(read, GoError):
        raise RefusedError(RefusalCause.TOOLS, f"invalid input_schema for tool {quote(tool['name'])}: {read.text}")
    function = {"name": tool["name"], "description": tool["description"], "parameters": schema or {}}
    return {"type": "function", "function": function}
