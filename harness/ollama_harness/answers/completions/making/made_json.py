"""A JSON value that is valid for a JSON Schema: the arguments of a call, and the answer to a request with a `format`.

It is made of the request: the same schema and prompt give the same value. A string is a word of the prompt that looks
like a name, the next one each time, and a number is the next of the prompt's. So a weather tool is asked for Paris if
the user asked for Paris, and 7 and 8 are added if he asked for that. What a schema says by `not`, `if`, `contains` or
`patternProperties` is not looked at.

Source: JSON Schema 2020-12, the part that structured outputs use.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from json import JSONDecoder
from typing import Any

from ollama_harness.answers.completions.making._pattern import matches, text_for

__all__ = ["JsonMaker", "schema_in"]

#: From this depth on a value has only what its schema requires.
_DEEPEST = 4
#: How many braces of a text are looked at for a schema.
_MOST_OBJECTS = 64

_SENTENCE = "Hello! How can I help you today?"

#: Strings of a `format`.
_FORMATS = {
    "date-time": "2026-11-22T19:18:33Z",
    "date": "2026-11-22",
    "time": "19:18:33Z",
    "duration": "PT5M",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


class JsonMaker:
    """Makes values for one prompt. Each of its names and numbers is used once before the last one is used again."""

    def __init__(self, prompt: str) -> None:
        self._names = _names(prompt)
        self._numbers = [float(text) for text in re.findall(r"(?<![\w.])\d{1,9}(?:\.\d{1,9})?(?![\w.])", prompt)]
        self._known: Mapping[str, Any] = {}

    def value(self, schema: Any, known: Mapping[str, Any] | None = None) -> Any:
        """A value that is valid for `schema`. `known` are values by property name, for what the prompt does not say."""
        self._known = known or {}
        return self._value(schema, schema, "", 0)

    def _value(self, schema: Any, root: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping):
            return self._string({}, name)
        schema = _resolved(schema, root, depth)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._of_enum(schema["enum"])
        match _type_of(schema):
            case "object":
                return self._object(schema, root, depth)
            case "array":
                return self._array(schema, root, name, depth)
            case "integer":
                return self._number(schema, name, whole=True)
            case "number":
                return self._number(schema, name, whole=False)
            case "boolean":
                return self._known[name] if isinstance(self._known.get(name), bool) else True
            case "null":
                return None
        return self._string(schema, name)

    def _object(self, schema: Mapping[str, Any], root: Any, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        most = _size(schema, "maxProperties", 1 << 30)
        more_names = [name for name in properties if depth < _DEEPEST and name not in required]
        optional = more_names[: max(0, most - len(set(required)))]
        chosen = [name for name in properties if name in required or name in optional]
        made = {name: self._value(properties[name], root, name, depth + 1) for name in chosen}
        more = schema.get("additionalProperties")
        for name in required:
            if name not in made:
                made[name] = self._value(more if isinstance(more, Mapping) else {}, root, name, depth + 1)
        for index in range(len(made), _size(schema, "minProperties", 0)):
            made[f"key{index}"] = self._value(more if isinstance(more, Mapping) else {}, root, "", depth + 1)
        return made

    def _array(self, schema: Mapping[str, Any], root: Any, name: str, depth: int) -> list[Any]:
        given = schema.get("prefixItems")
        firsts = given if isinstance(given, list) else []
        least, most = _size(schema, "minItems", 0), _size(schema, "maxItems", 1 << 30)
        wanted = max(least, min(1, most) if depth < _DEEPEST else 0, min(len(firsts), most))
        items = [self._value(firsts[at] if at < len(firsts) else schema.get("items"), root, name, depth + 1)
                 for at in range(min(wanted, 1000))]  # fmt: skip
        return _distinct(items) if schema.get("uniqueItems") else items

    def _number(self, schema: Mapping[str, Any], name: str, *, whole: bool) -> int | float:
        known = self._known.get(name)
        candidates = [known] if isinstance(known, int | float) and not isinstance(known, bool) else []
        for number in (*self._numbers, *candidates, 1, 42, *_near_bounds(schema)):
            if _in_bounds(number, schema) and (not whole or float(number).is_integer()):
                _use(self._numbers, number)
                return int(number) if float(number).is_integer() else float(number)
        return 1

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        least, most = _size(schema, "minLength", 0), _size(schema, "maxLength", 1 << 30)
        known = self._known.get(name)
        candidates = [known] if isinstance(known, str) and known else []
        if isinstance(pattern := schema.get("pattern"), str):
            names = (text for text in (*self._names, *candidates) if least <= len(text) <= most)
            matching = next((text for text in names if matches(pattern, text)), None) or text_for(pattern, least)
            if matching is not None:
                _use(self._names, matching)
                return matching
        made = _FORMATS.get(str(schema.get("format"))) or next(iter((*self._names, *candidates)), _SENTENCE)
        _use(self._names, made)
        while len(made) < least:
            made += " " + _SENTENCE
        return made[: max(least, min(len(made), most))]

    def _of_enum(self, values: list[Any]) -> Any:
        """The first that the prompt names, else the first."""
        texts = {name.lower() for name in self._names}
        return next((value for value in values if isinstance(value, str) and value.lower() in texts), values[0])


def _use(values: list[Any], value: Any) -> None:
    """Take away the first of some values, if it is this one; the last one stays."""
    if len(values) > 1 and values[0] == value:
        values.pop(0)


def schema_in(text: str) -> Mapping[str, Any] | None:
    """The schema that a text tells: the first JSON Schema of an object in it, or the keys that it names in quotes.

    A model that is told a schema in its prompt keeps to it.
    """
    decoder, at = JSONDecoder(), text.find("{")
    for _ in range(_MOST_OBJECTS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, end = None, at + 1
        if isinstance(value, Mapping) and isinstance(value.get("properties"), Mapping):
            return value
        at = text.find("{", end)
    names = re.findall(r"[\"'`]([A-Za-z_]\w{0,40})[\"'`]", text) if re.search(r"\b(?:keys?|fields?)\b", text) else []
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}} if names else None


def _resolved(schema: Mapping[str, Any], root: Any, depth: int) -> Mapping[str, Any]:
    """A schema without $ref, anyOf, oneOf and allOf: the first choice is taken, deep down one that ends."""
    for _ in range(64):
        if isinstance(ref := schema.get("$ref"), str):
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            target = _at(root, ref)
            schema = {**(target if isinstance(target, Mapping) else {}), **rest}
        elif choices := [each for key in ("anyOf", "oneOf") for each in _schemas(schema.get(key))]:
            chosen = choices[0] if depth < _DEEPEST else min(choices, key=lambda each: _refers(each))
            schema = _merged({k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}, chosen)
        elif parts := _schemas(schema.get("allOf")):
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            for part in parts:
                target = _at(root, part["$ref"]) if isinstance(part.get("$ref"), str) else part
                rest = _merged(rest, target if isinstance(target, Mapping) else {})
            schema = rest
        else:
            return schema
    return {}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    if isinstance(one.get("properties"), Mapping) and isinstance(other.get("properties"), Mapping):
        merged["properties"] = {**one["properties"], **other["properties"]}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _schemas(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _refers(schema: Mapping[str, Any]) -> bool:
    return "$ref" in schema or any(key in schema for key in ("properties", "items"))


def _at(root: Any, ref: str) -> Any:
    """What a reference inside the same document points to."""
    found = root
    for step in ref.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return {}
        found = found[key]
    return found


def _type_of(schema: Mapping[str, Any]) -> str:
    type_ = schema.get("type")
    if isinstance(type_, list):
        type_ = next((each for each in type_ if each != "null"), "null")
    if isinstance(type_, str):
        return type_
    for key, name in (("properties", "object"), ("items", "array"), ("prefixItems", "array")):
        if key in schema:
            return name
    return "number" if any(key in schema for key in _BOUNDS) else "string"


def _size(schema: Mapping[str, Any], key: str, default: int) -> int:
    value = schema.get(key)
    return int(value) if isinstance(value, int | float) and 0 <= value < 1 << 31 else default


def _near_bounds(schema: Mapping[str, Any]) -> Iterator[float]:
    """Numbers at the bounds, and just inside."""
    step = schema.get("multipleOf")
    step = step if isinstance(step, int | float) and step > 0 else 1
    for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        bound = schema.get(key)
        if isinstance(bound, int | float) and math.isfinite(bound):
            first = math.ceil(bound / step) * step
            yield from (bound, first, first + step, first - step, bound + 0.5, bound - 0.5)
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(low, int | float) and isinstance(high, int | float):
        yield (low + high) / 2
    yield from (0, step)


def _in_bounds(number: float, schema: Mapping[str, Any]) -> bool:
    bounds = {key: bound for key in _BOUNDS if isinstance(bound := schema.get(key), int | float)}
    step = bounds.get("multipleOf", 0)
    return (
        bounds.get("minimum", -math.inf) <= number <= bounds.get("maximum", math.inf)
        and (bounds.get("exclusiveMinimum", -math.inf) < number < bounds.get("exclusiveMaximum", math.inf))
        and (step <= 0 or float(number / step).is_integer())
    )


def _distinct(items: list[Any]) -> list[Any]:
    """The same list with a number behind each text or number that is there already, and the other truth value."""
    return [item if index == 0 else _other(item, index) for index, item in enumerate(items)]


def _other(item: Any, index: int) -> Any:
    match item:
        case bool():
            return not item
        case str():
            return f"{item} {index + 1}"
        case int() | float():
            return item + index
    return item


def _names(prompt: str) -> list[str]:
    """Words of a prompt that look like names: in quotes, or with a capital inside a sentence."""
    quoted = re.findall(r"[\"'“]([^\"'“”\n]{1,80})[\"'”]", prompt)
    capital = re.findall(r"(?<=[\w,;] )([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)", prompt)
    return [*quoted, *(name for name in capital if name != "I")]
