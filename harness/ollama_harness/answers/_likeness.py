"""A model in the likeness of another: what Ollama says of one that nobody recorded.

What a model can do shows in four places: its capabilities, its template, a fact of its file (only one for embeddings
has a way of pooling), and, since 0.30.0, its entry in the list of models, which looks at the template only. Source:
server/images.go (`Capabilities`), server/routes.go (`GetModelInfo`, `ListHandler`); recordings.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from ollama_harness.recordings.versions import Order, order

__all__ = ["CAPABILITIES", "SOME_TIME", "able_entry", "digest_of", "entry_of", "said", "shown_as"]

#: What a model can be said to be able to do, in Ollama's order.
CAPABILITIES = ("completion", "tools", "thinking", "vision", "embedding", "insert")

#: When a model was changed, if nothing says when.
SOME_TIME = "2026-11-22T19:18:33.645331424Z"

#: The list of models says since here how long a context can be, and what a model is able to do.
_LISTS_MORE_SINCE = order("0.30.0")

_Able = frozenset[str]


def said(able: Collection[str]) -> list[str]:
    """The capabilities as /api/show lists them: a model that makes text is never called one for embeddings."""
    return [word for word in CAPABILITIES if word in able and not (word == "embedding" and "completion" in able)]


# --- what /api/show says ----------------------------------------------------------------------------------------------


def shown_as(show: Mapping[str, Any], name: str, *, was: _Able, able: _Able) -> Mapping[str, Any]:
    """What is said of one model, said of another, which is able to do this: its Modelfile names it."""
    made = dict(show)
    if isinstance(text := made.get("modelfile"), str):
        made["modelfile"] = text = re.sub(r"(?m)^# FROM .*$", lambda _: f"# FROM {name}", text, count=1)
    words, old_words = said(able), said(was)
    if words == old_words:
        return made
    if "capabilities" in made:
        made["capabilities"] = words
    if isinstance(old := made.get("template"), str) and _parts(words) != _parts(old_words):
        made["template"] = _template(words)
        made["modelfile"] = str(text).replace(f'{old}"', f'{made["template"]}"', 1)
    if isinstance(facts := made.get("model_info"), Mapping):
        made["model_info"] = _pooled(facts, pools="embedding" in words)
    return made


def _parts(words: Collection[str]) -> set[str]:
    """The capabilities that a template gives."""
    return {"tools", "thinking", "insert"}.intersection(words)


def _template(words: Collection[str]) -> str:
    """A template that gives a model these capabilities."""
    able = {word: word in words for word in CAPABILITIES}
    tools = "{{- if .Tools }}<|im_start|>system\n{{ range .Tools }}{{ . }}\n{{ end }}<|im_end|>\n{{ end }}\n"
    thought = "{{ if .Thinking }}<think>{{ .Thinking }}</think>\n{{ end }}" * able["thinking"]
    calls = "{{ range .ToolCalls }}{{ .Function }}{{ end }}" * able["tools"]
    message = "<|im_start|>{{ .Role }}\n" + thought + "{{ .Content }}" + calls + "<|im_end|>\n"
    chat = "{{- range .Messages }}" + message + "{{ end }}<|im_start|>assistant\n"
    chat = tools * able["tools"] + chat + "{{ if .Think }}<think>{{ end }}" * able["thinking"]
    if not able["insert"]:
        return chat
    insert = "<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}<|fim_middle|>"
    return "{{- if .Suffix }}" + insert + "{{ else }}" + chat + "{{ end }}"


def _pooled(facts: Mapping[str, Any], *, pools: bool) -> dict[str, Any]:
    """The facts of a file, in the order of their names, with a way of pooling or without."""
    key = f"{facts.get('general.architecture', 'llama')}.pooling_type"
    others = {name: value for name, value in facts.items() if name != key}
    return dict(sorted({**others, key: facts.get(key, 1)}.items())) if pools else others


# --- what /api/tags says ----------------------------------------------------------------------------------------------


def entry_of(show: Mapping[str, Any], name: str, able: _Able, version: Order) -> dict[str, Any]:
    """The entry of a model that no list has, made of what is said of the model itself."""
    known, facts = show.get("details") or {}, show.get("model_info") or {}
    details = {
        "parent_model": known.get("parent_model", "") if version >= _LISTS_MORE_SINCE else "",
        "format": known.get("format", "gguf"),
        "family": known.get("family", ""),
        "families": known.get("families"),
        "parameter_size": known.get("parameter_size", ""),
        "quantization_level": known.get("quantization_level", ""),
    }
    entry = {
        "modified_at": show.get("modified_at", SOME_TIME),
        "size": _size_bytes(facts, str(details["quantization_level"])),
        "digest": digest_of(name),
        "details": details,
    }
    if version < _LISTS_MORE_SINCE:
        return entry
    architecture = facts.get("general.architecture")
    lengths = {what: facts.get(f"{architecture}.{what}", 0) for what in ("context_length", "embedding_length")}
    return {**entry, "details": {**details, **lengths}, "capabilities": _listed(able)}


def digest_of(name: str) -> str:
    """A digest that no other model has."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def able_entry(entry: Mapping[str, Any], able: _Able) -> Mapping[str, Any]:
    """The entry of a model that is now able to do this."""
    return {**entry, "capabilities": _listed(able)} if "capabilities" in entry else entry


def _listed(able: _Able) -> list[str]:
    """The capabilities as the list has them: one for embeddings is said to make text."""
    return said((able | {"completion"}) - {"embedding"})


def _size_bytes(facts: Mapping[str, Any], quantization: str) -> int:
    """About how large a file is: Q4_1 has some five bits for each weight, F16 has 16."""
    bits = re.search(r"\d+", quantization)
    weights = facts.get("general.parameter_count")
    if bits is None or not isinstance(weights, int):
        return 0
    return weights * (int(bits[0]) + quantization.startswith("Q")) // 8
