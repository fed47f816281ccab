"""Whether llama.cpp can make a grammar of a JSON Schema, which then holds the model to it.

It knows a part of JSON Schema, and it makes no grammar at all where it meets anything else: a schema that says nothing
of its type, a reference that leads nowhere, a pattern without its two anchors.

Source: llama.cpp, common/json-schema-to-grammar.cpp (`resolve_refs`, `visit`); ollama/ollama#8325 (patterns).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["has_grammar"]

_PRIMITIVES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
_STRING_FORMATS = frozenset(("date", "date-time", "time", "uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5"))

#: A schema deeper than this is not looked at further down.
_DEEPEST = 100


def has_grammar(schema: Mapping[str, Any]) -> bool:
    """Whether this schema becomes a grammar."""
    refs = set(_refs(schema))
    return all(_target(schema, ref) is not None for ref in refs) and _is_known(schema, schema, frozenset())


def _refs(value: Any, depth: int = 0) -> Iterator[str]:
    """All references inside of a value; beside one, nothing else is looked at."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for each in value:
            yield from _refs(each, depth + 1)
    elif isinstance(value, Mapping):
        if "$ref" in value:
            yield str(value["$ref"])
        else:
            for each in value.values():
                yield from _refs(each, depth + 1)


def _target(root: Any, ref: str) -> Any:
    """What a reference leads to; None where that is nothing. Only those into the same document are followed."""
    if ref.startswith("https://"):
        return {}
    found = root if ref.startswith("#/") else None
    for step in ref.split("/")[1:]:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _is_known(schema: Any, root: Any, followed: frozenset[str]) -> bool:
    """Whether a schema, and all that it is made of, is of a kind that has a grammar."""
    if not isinstance(schema, Mapping):
        return schema is None or schema == []
    type_ = schema.get("type")
    if "$ref" in schema:
        ref = str(schema["$ref"])
        return ref in followed or _is_known(_target(root, ref), root, followed | {ref})
    if "oneOf" in schema or "anyOf" in schema:
        return _are_known(schema.get("oneOf", schema.get("anyOf")), root, followed)
    if isinstance(type_, list):
        return all(str(each) in _PRIMITIVES for each in type_)
    if "const" in schema or "enum" in schema:
        return True
    more = schema.get("additionalProperties", True)
    if type_ in (None, "object") and ("properties" in schema or more is not True):
        inner = schema.get("properties") or {}
        values = list(inner.values()) if isinstance(inner, Mapping) else []
        return _are_known([*values, *([more] if isinstance(more, Mapping) else [])], root, followed)
    if type_ in (None, "object") and "allOf" in schema:
        return True
    if type_ in (None, "array") and ("items" in schema or "prefixItems" in schema):
        items = schema.get("items", schema.get("prefixItems"))
        return _are_known(items if isinstance(items, list) else [items], root, followed)
    if type_ in (None, "string") and "pattern" in schema:
        pattern = str(schema["pattern"])
        return len(pattern) > 1 and pattern[0] == "^" and pattern[-1] == "$"
    if type_ is None and str(schema.get("format")) in _STRING_FORMATS:
        return True
    return not schema or (isinstance(type_, str) and type_ in _PRIMITIVES)


def _are_known(schemas: Any, root: Any, followed: frozenset[str]) -> bool:
    return isinstance(schemas, list) and all(_is_known(each, root, followed) for each in schemas)
