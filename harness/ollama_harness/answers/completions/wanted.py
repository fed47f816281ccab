"""What a request wants, whatever API it came over: the fields that decide about its answer.

A request to a compatible endpoint is translated to one of Ollama's own first, as Ollama itself does. So there is one
reading of all requests, and the answers of all routes can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_value import value_of
from ollama_harness.answers.requests.model_use import Use, find_model
from ollama_harness.answers.requests.native_request import NativeRequest, request_of
from ollama_harness.answers.requests.translation import translation
from ollama_harness.answers.world import World
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.versions import order

__all__ = ["Tool", "Wanted", "wanted_of"]

#: From this version on a model that can think does so unless a request forbids it.
_THINKS_BY_DEFAULT_SINCE = "0.12.5"

#: The routes whose tools are functions by themselves.
_BARE_TOOLS = ("/v1/responses", "/v1/messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call. `schema` is the JSON Schema of its arguments, as the request has it."""

    name: str
    schema: Any = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A request that a model answers.

    `path` is the route that was asked, `use` what the model is used for, `model` the name as it was asked for.
    `thinks` says whether the answer has thinking. `tools` are those that can be called: none right after the result of
    a call; `called` are those that were called before. `format` is "", "json" or a JSON Schema. `num_predict` is None
    for no limit. `prompt` is the last message, `conversation` all messages in one text. `only_loads` and `unloads` are
    requests without a prompt. `texts` are those to embed. `body` is the request's own JSON, for what only one API has,
    and `sent` are its bytes.
    """

    path: str
    use: Use
    version: str
    model: str
    stream: bool
    thinks: bool = False
    tools: tuple[Tool, ...] = ()
    after_call: bool = False
    called: frozenset[str] = frozenset()
    format: Any = ""
    num_predict: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    raw: bool = False
    inserts: bool = False
    only_loads: bool = False
    unloads: bool = False
    texts: tuple[str, ...] = ()
    dimensions: int = 0
    prompt: str = ""
    conversation: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    sent: bytes = b"{}"

    @property
    def is_json(self) -> bool:
        """Whether the answer is to be JSON. An empty schema allows any."""
        return bool(self.format != "")

    @property
    def embeds(self) -> bool:
        """Whether it wants vectors."""
        return self.use in (Use.EMBED, Use.EMBEDDINGS)

    def since(self, version: str) -> bool:
        """Whether the answer is one of this version of Ollama or of a later one."""
        return order(self.version) >= order(version)

    @property
    def seed(self) -> int:
        """A number that depends on the request alone: the same request gets the same bytes."""
        text = json.dumps([self.path, self.body], sort_keys=True, ensure_ascii=True)
        return int.from_bytes(sha256(text.encode()).digest()[:8])


def wanted_of(asked: Asked, world: World) -> Wanted | None:
    """What a request wants; None if no model is to answer it, or if it cannot be read."""
    translated = translation(asked, world)
    if translated is not None and translated.native is None:
        return None
    native = asked if translated is None or translated.native is None else translated.native
    request = request_of(native, world)
    if request is None:
        return None
    body = first_object(asked.body, world.version)
    fields, options = request.fields, request.fields.get("options") or {}
    messages = fields.get("messages") or []
    after_call = bool(messages) and messages[-1]["role"] == "tool"
    takes_tools = request.use is Use.CHAT and not after_call
    return Wanted(
        path=asked.path,
        use=request.use,
        version=world.version,
        model=request.model,
        stream=_streams(request) and not (request.is_empty and translated is None),  # a load is one piece
        thinks=_thinks(request, world, if_able=translated.think if translated else None),
        tools=tuple(_tools(body, asked.path)) if takes_tools else (),
        after_call=after_call,
        called=_called(messages),
        format=_format(fields.get("format")),
        num_predict=_limit(options.get("num_predict")),
        stop=_stops(options.get("stop")),
        logprobs=bool(fields.get("logprobs")),
        top_logprobs=fields.get("top_logprobs") or 0,
        raw=bool(fields.get("raw")),
        inserts=bool(fields.get("suffix")),
        only_loads=request.speaks and request.is_empty,
        unloads=request.unloads(world.version),
        texts=() if request.speaks else tuple(request.texts() or ()),
        dimensions=fields.get("dimensions") or 0,
        prompt=str(messages[-1]["content"] if messages else fields.get("prompt") or ""),
        conversation="\n".join(_texts(fields)),
        body=body,
        sent=asked.body,
    )


def first_object(body: bytes, version: str) -> Mapping[str, Any]:
    """The first value of a body, which is all that Go reads."""
    read = value_of(body, version)
    return _by_name(read[0]) if isinstance(read, tuple) else {}


def _by_name(value: Any) -> Mapping[str, Any]:
    """An object by the names of its fields, which Go finds whatever their case."""
    return {name.lower(): each for name, each in value.items()} if isinstance(value, Mapping) else {}


def _streams(request: NativeRequest) -> bool:
    return request.speaks and request.fields.get("stream") is not False


def _thinks(request: NativeRequest, world: World, *, if_able: bool | None) -> bool:
    """Whether the answer has thinking: it is asked for, or the model is known to think, and does so by default.

    `if_able` is what is asked of a model only if it can think.
    """
    if not request.speaks or not world.since("0.9.0"):
        return False
    think = request.fields.get("think")
    if think is not None:
        return think is not False
    model = find_model(request.model, world)
    if model is not None and "thinking" not in model.capabilities:
        return False
    if if_able is not None:
        return if_able
    return model is not None and model.thinks_unasked and world.since(_THINKS_BY_DEFAULT_SINCE)


def _tools(body: Mapping[str, Any], path: str) -> list[Tool]:
    """The tools that have a name. Only the two newest APIs have it beside `type`, the others at `function`."""
    found = []
    for one in map(_by_name, body.get("tools") or ()):
        function = one if path in _BARE_TOOLS else _by_name(one.get("function"))
        if isinstance(name := function.get("name"), str) and name:
            found.append(Tool(name=name, schema=function.get("parameters") or function.get("input_schema")))
    return found


def _texts(fields: Mapping[str, Any]) -> list[str]:
    """What a request tells the model, the instructions first."""
    said = [fields.get("system"), fields.get("prompt"), *(each["content"] for each in fields.get("messages") or ())]
    return [text for text in said if isinstance(text, str)]


def _called(messages: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The tools that were called in this conversation."""
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return frozenset(call["function"]["name"] for call in calls)


def _format(value: Any) -> Any:
    """The raw JSON of `format`: "json", a schema, or "" for none."""
    try:
        read = parse_json(value.encode()) if isinstance(value, str) else value
    except ValueError:
        return ""
    return read if isinstance(read, Mapping) or read == "json" else ""


def _limit(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


def _stops(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else ()
    return tuple(text for text in texts if isinstance(text, str) and text)
