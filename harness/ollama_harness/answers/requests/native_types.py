"""The request types of Ollama's own endpoints, by version, and the types in them that decode themselves.

Source: api/types.go of the versions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.go.go_types import (
    ANY,
    BOOL,
    INT,
    RAW,
    STRING,
    Bytes,
    Custom,
    Field,
    GoError,
    GoSlice,
    GoType,
    Int,
    Map,
    Ordered,
    Pointer,
    Struct,
)
from ollama_harness.recordings.versions import order

__all__ = ["DURATION", "FOREVER_S", "OPTIONS", "request_type", "think_value"]

#: What a negative keep_alive means.
FOREVER_S = math.inf


# --- types that decode themselves -------------------------------------------------------------------------------------


def _duration(value: Any, _: str) -> float | GoError:
    """Seconds of a keep_alive: a number of them, or text as Go's time.ParseDuration reads it."""
    match value:
        case bool():
            return GoError("Unsupported type: 'bool'")
        case None:
            return GoError("Unsupported type: '%!s(<nil>)'")
        case list():
            return GoError("Unsupported type: '[]interface {}'")
        case dict():
            return GoError("Unsupported type: 'map[string]interface {}'")
        case str():
            parsed = parse_duration(value)
            return FOREVER_S if isinstance(parsed, float) and parsed < 0 else parsed
        case _:
            return FOREVER_S if value < 0 else float(value)


_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^.0-9]*)")
_LONGEST_NS = 1 << 63


def parse_duration(text: str) -> float | GoError:
    """Seconds, or the error of time.ParseDuration. Source: Go, time/format.go."""
    bad = GoError(f"time: invalid duration {_time_quote(text)}")
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0.0
    if not rest:
        return bad
    total_ns = 0
    while rest:
        match = _PART.match(rest)
        whole, _, fraction, unit = match.groups(default="") if match else ("", "", "", "")
        if not match or not (whole or fraction):
            return bad
        if int(whole or "0") >= _LONGEST_NS:
            return bad
        if not unit:
            return GoError(f"time: missing unit in duration {_time_quote(text)}")
        if unit not in _UNITS_NS:
            return GoError(f"time: unknown unit {_time_quote(unit)} in duration {_time_quote(text)}")
        total_ns += int(whole or "0") * _UNITS_NS[unit] + int(float(f"0.{fraction or 0}") * _UNITS_NS[unit])
        if total_ns > _LONGEST_NS:
            return bad
        rest = rest[match.end() :]
    if sign > 0 and total_ns == _LONGEST_NS:
        return bad
    return sign * total_ns / 1e9


def _time_quote(text: str) -> str:
    """The quoting of package time: every byte that is no printable ASCII as `\\xff`."""
    quoted = ""
    for character in text:
        if not " " <= character < "\x80":
            quoted += "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))
        else:
            quoted += f"\\{character}" if character in '"\\' else character
    return f'"{quoted}"'


_LEVELS = ("high", "medium", "low")


def think_value(value: Any, version: str) -> bool | str | GoError:
    """A value of `think` (since 0.11.0): true, false, or how much."""
    levels = (*_LEVELS, "max") if order(version) >= order("0.18.0") else _LEVELS
    named = ", ".join(f'"{level}"' for level in levels)
    match value:
        case None:
            return False
        case bool():
            return value
        case str() if value in levels:
            return value
        case str():
            return GoError(f"invalid think value: {quote(value)} (must be {named}, true, or false)")
        case _:
            return GoError(f"think must be a boolean or string ({named}, true, or false)")


def _lower_role(message: Any, _: str) -> Any:
    return {**message, "role": message["role"].lower()}


def _one_or_more(value: Any) -> GoType:
    return STRING if value is None or isinstance(value, str) else _TEXTS


DURATION = Custom(name="api.Duration", inner=ANY, then=_duration)
_THINK = Custom(name="api.ThinkValue", then=think_value)
_TEXTS = GoSlice(of=STRING)
_ANYS = GoSlice(of=ANY)
_PROPERTY_TYPE = Custom(name="api.PropertyType", choose=_one_or_more)
_IMAGES = GoSlice(of=Bytes(name="api.ImageData"))


# --- tools and messages -----------------------------------------------------------------------------------------------


def _struct(name: str, *fields: tuple[str, GoType]) -> Struct:
    return Struct(name=name, fields=tuple(Field(name=key, type=type_) for key, type_ in fields))


def _anonymous(*fields: tuple[str, str, GoType]) -> Struct:
    """A struct without a name, from Go names, tags and types: errors show its whole text."""
    text = "; ".join(f"{go} {type_.name} {quote(f'json:{quote(tag)}')}" for go, tag, type_ in fields)
    return _struct(f"struct {{ {text} }}", *((tag.partition(",")[0], type_) for _, tag, type_ in fields))


def _tools(version: str) -> GoSlice:
    now = order(version)
    items: list[tuple[str, GoType]] = [("items", ANY)] if now >= order("0.9.0") else []
    if now >= order("0.12.0"):
        parameters = _struct(
            "api.ToolFunctionParameters",
            ("type", STRING),
            ("$defs", ANY),
            ("items", ANY),
            ("required", _TEXTS),
            ("properties", _ordered_properties() if now >= order("0.14.0") else Map(of=_tool_property())),
        )
    elif now >= order("0.9.0"):
        properties = _anonymous(
            ("Type", "type", _PROPERTY_TYPE),
            ("Items", "items,omitempty", ANY),
            ("Description", "description", STRING),
            ("Enum", "enum,omitempty", _ANYS),
        )
        parameters = _anonymous(
            ("Type", "type", STRING),
            ("Defs", "$defs,omitempty", ANY),
            ("Items", "items,omitempty", ANY),
            ("Required", "required", _TEXTS),
            ("Properties", "properties", Map(of=properties)),
        )
    else:
        properties = _anonymous(
            ("Type", "type", STRING),
            ("Description", "description", STRING),
            ("Enum", "enum,omitempty", _TEXTS),
        )
        parameters = _anonymous(
            ("Type", "type", STRING),
            ("Required", "required", _TEXTS),
            ("Properties", "properties", Map(of=properties)),
        )
    function = _struct("api.ToolFunction", ("name", STRING), ("description", STRING), ("parameters", parameters))
    return GoSlice(name="api.Tools", of=_struct("api.Tool", ("type", STRING), *items, ("function", function)))


def _tool_property() -> Struct:
    return _recursive("anyOf", lambda one: GoSlice(of=one))


def _ordered_properties() -> Pointer:
    one = _recursive(
        "anyOf",
        lambda one: GoSlice(of=one),
        ("properties", lambda one: Pointer(to=Ordered(name="api.ToolPropertiesMap", of=one))),
        ("required", lambda _: _TEXTS),
    )
    return Pointer(to=Ordered(name="api.ToolPropertiesMap", of=one))


def _recursive(first: str, make: Any, *more: tuple[str, Any]) -> Struct:
    """api.ToolProperty, which holds itself: its fields are set when it is there."""
    one = Struct(name="api.ToolProperty", fields=())
    fields = [
        (first, make(one)),
        ("type", _PROPERTY_TYPE),
        ("items", ANY),
        ("description", STRING),
        ("enum", _ANYS),
        *((name, of(one)) for name, of in more),
    ]
    object.__setattr__(one, "fields", tuple(Field(name=name, type=type_) for name, type_ in fields))
    return one


def _messages(version: str) -> GoSlice:
    now = order(version)
    arguments: GoType = Map(name="api.ToolCallFunctionArguments", of=ANY)
    if now >= order("0.14.0"):
        arguments = Ordered(name="api.ToolCallFunctionArguments", of=ANY)
    function = _struct("api.ToolCallFunction", ("index", INT), ("name", STRING), ("arguments", arguments))
    calls: list[tuple[str, GoType]] = [("id", STRING)] if now >= order("0.12.10") else []
    fields: list[tuple[str, GoType]] = [("role", STRING), ("content", STRING)]
    if now >= order("0.9.0"):
        fields.append(("thinking", STRING))
    fields.append(("images", _IMAGES))
    fields.append(("tool_calls", GoSlice(of=_struct("api.ToolCall", *calls, ("function", function)))))
    if now >= order("0.9.6"):
        fields.append(("tool_name", STRING))
    if now >= order("0.12.10"):
        fields.append(("tool_call_id", STRING))
    alias = _struct("api.Alias", *fields)
    return GoSlice(of=Custom(name="api.Message", inner=alias, then=_lower_role))


# --- requests ---------------------------------------------------------------------------------------------------------


@cache
def request_type(path: str, version: str) -> Struct | None:
    """The type of the body that an endpoint of a version takes."""
    common: tuple[tuple[str, GoType], ...] = (("keep_alive", Pointer(to=DURATION)), ("options", Map(of=ANY)))
    now = order(version)
    match path:
        case "/api/embeddings":
            return _struct("api.EmbeddingRequest", ("model", STRING), ("prompt", STRING), *common)
        case "/api/embed":
            size: tuple[tuple[str, GoType], ...] = (("dimensions", INT),) if now >= order("0.11.11") else ()
            truncate: tuple[str, GoType] = ("truncate", Pointer(to=BOOL))
            return _struct("api.EmbedRequest", ("model", STRING), ("input", ANY), truncate, *size, *common)
        case "/api/chat":
            own: tuple[tuple[str, GoType], ...] = (("messages", _messages(version)), ("tools", _tools(version)))
            name = "api.ChatRequest"
        case "/api/generate":
            own = (
                ("prompt", STRING),
                ("suffix", STRING),
                ("system", STRING),
                ("template", STRING),
                ("context", GoSlice(of=INT)),
                ("raw", BOOL),
                ("images", _IMAGES),
            )
            if order("0.14.3") <= now < order("0.32.6"):
                own += tuple((side, Int(name="int32", bits=32)) for side in ("width", "height", "steps"))
            name = "api.GenerateRequest"
        case _:
            return None
    fields = [("model", STRING), *own, ("stream", Pointer(to=BOOL)), ("format", RAW), *common]
    if now >= order("0.11.0"):
        fields.append(("think", Pointer(to=_THINK)))
    elif now >= order("0.9.0"):
        fields.append(("think", Pointer(to=BOOL)))
    if now >= order("0.11.5"):
        fields.append(("_debug_render_only", BOOL))
    if now >= order("0.12.6"):
        fields += [("truncate", Pointer(to=BOOL)), ("shift", Pointer(to=BOOL))]
    if now >= order("0.12.11"):
        fields += [("logprobs", BOOL), ("top_logprobs", INT)]
    return _struct(name, *fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionKind:
    """What an option has to be, in the words of Ollama, and the versions that have it (an empty bound is none)."""

    words: str
    since: str = ""
    before: str = ""

    def holds_in(self, version: str) -> bool:
        now = order(version)
        return (not self.since or order(self.since) <= now) and (not self.before or now < order(self.before))


_INTEGER, _FLOAT = OptionKind(words="integer"), OptionKind(words="float32")

#: Source: api/types.go (`Options`, `Runner`, `FromMap`).
OPTIONS: Mapping[str, OptionKind] = {
    "num_keep": _INTEGER,
    "seed": _INTEGER,
    "num_predict": _INTEGER,
    "top_k": _INTEGER,
    "repeat_last_n": _INTEGER,
    "num_ctx": _INTEGER,
    "num_batch": _INTEGER,
    "num_gpu": _INTEGER,
    "main_gpu": _INTEGER,
    "num_thread": _INTEGER,
    "top_p": _FLOAT,
    "min_p": _FLOAT,
    "typical_p": _FLOAT,
    "temperature": _FLOAT,
    "repeat_penalty": _FLOAT,
    "presence_penalty": _FLOAT,
    "frequency_penalty": _FLOAT,
    "use_mmap": OptionKind(words="boolean"),
    "stop": OptionKind(words="array"),
    "mirostat": OptionKind(words="integer", before="0.9.0"),
    "mirostat_tau": OptionKind(words="float32", before="0.9.0"),
    "mirostat_eta": OptionKind(words="float32", before="0.9.0"),
    "low_vram": OptionKind(words="boolean", before="0.9.0"),
    "f16_kv": OptionKind(words="boolean", before="0.9.0"),
    "logits_all": OptionKind(words="boolean", before="0.9.0"),
    "vocab_only": OptionKind(words="boolean", before="0.9.0"),
    "use_mlock": OptionKind(words="boolean", before="0.9.0"),
    "draft_num_predict": OptionKind(words="integer", since="0.30.0"),
}
