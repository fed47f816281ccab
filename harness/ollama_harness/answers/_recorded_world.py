"""The world that recordings speak of: which models there were, and what each was able to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ollama_harness.answers._likeness import entry_of
from ollama_harness.answers.model_name import parse_name
from ollama_harness.answers.world import Model, World, nearest
from ollama_harness.errors import RecordingError
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.versions import order

__all__ = ["world_of"]


def world_of(recordings: Iterable[Recording], version: str, *, any_model: bool = False) -> World:
    """The world of these recordings.

    Its models are those that /api/tags lists first, or that a recorded request used with success, and each is able to
    do what /api/show says of it and what it was seen to do.
    """
    entries: dict[str, Mapping[str, Any]] = {}
    able: dict[str, set[str]] = {}
    shows: dict[str, Mapping[str, Any]] = {}
    memory: dict[str, int] = {}
    pulled, incomplete, recorded = set[str](), set[str](), set[str]()
    for one in recordings:
        asked = one.request.json if isinstance(one.request.json, dict) else {}
        path, name = one.request.path, asked.get("model") or asked.get("name")
        if one.response.status >= 400:
            continue
        if path.startswith(_BLOBS):
            recorded.add(path.removeprefix(_BLOBS))
        elif one.name == "tags":
            entries |= {entry["name"]: entry for entry in _listed(one)}
        elif path == "/api/ps":
            memory |= {entry["name"]: entry["size"] for entry in _listed(one) if isinstance(entry.get("size"), int)}
        elif isinstance(name, str) and path == "/api/show":
            shows[parse_name(name).short] = _object(one)
        elif isinstance(name, str) and path == "/api/pull" and b'"status":"success"' in one.body:
            pulled.add(name)
        elif isinstance(name, str) and path == "/api/pull" and one.body.endswith(_LAYER_MISSING):
            incomplete.add(parse_name(name).key)
        elif isinstance(name, str) and path in _ABLE:
            words = able.setdefault(parse_name(name).short, set())
            words.add(_ABLE[path])
            words |= {word for field, word in _NEEDED.items() if asked.get(field)}
    names = [parse_name(name) for name in pulled]
    return World(
        version=version,
        models=_models(entries, shows, able, memory, version),
        any_model=any_model,
        registries=frozenset(name.host for name in names),
        pulled=frozenset(name.key for name in names),
        incomplete=frozenset(incomplete),
        recorded=frozenset(recorded),
    )


def _models(
    entries: Mapping[str, Mapping[str, Any]],
    shows: Mapping[str, Mapping[str, Any]],
    used: Mapping[str, Iterable[str]],
    memory: Mapping[str, int],
    version: str,
) -> dict[str, Model]:
    """The models that were listed, used or shown. One that was not shown is made in the likeness of one that was."""
    any_memory = next(iter(memory.values()), 0)
    models: dict[str, Model] = {}
    names = {**entries, **used, **shows}
    for name in sorted(names, key=lambda name: name not in shows):
        show, entry = shows.get(name, {}), entries.get(name, {})
        able = frozenset({*used.get(name, ()), *show.get("capabilities", ())}) or frozenset(
            entry.get("capabilities", ["completion"])
        )
        like = nearest((models[one] for one in shows if one in models), able)
        if not show and like is not None:
            show = like.called(name, able).show
        entry = entry or entry_of(show, name, able, order(version))
        models[name] = Model(
            name=name,
            capabilities=able,
            entry={key: value for key, value in entry.items() if key not in ("name", "model")},
            show=show,
            memory_bytes=memory.get(name) or any_memory or entry.get("size", 0),
            listed=name in entries or not entries,
        )
    return {name: models[name] for name in names}


def _listed(recording: Recording) -> list[Mapping[str, Any]]:
    """The models of a recorded list."""
    entries = _object(recording).get("models")
    found = (one for one in entries if isinstance(one, Mapping)) if isinstance(entries, list) else ()
    return [one for one in found if isinstance(one.get("name"), str)]


def _object(recording: Recording) -> Mapping[str, Any]:
    return _parsed(recording.body)


@lru_cache(maxsize=128)  # each server asks for a world, and what is shown of a model is long
def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        value = parse_json(body)
    except (ValueError, RecordingError):
        return {}
    return value if isinstance(value, Mapping) else {}


_BLOBS = "/api/blobs/"

#: How a pull ends whose manifest is there and one of whose layers is not.
_LAYER_MISSING = b'{"error":"file does not exist"}\n'

#: What a request with this field needs.
_NEEDED = {"tools": "tools", "think": "thinking", "suffix": "insert"}

#: What a model that answers at an endpoint is able to do.
_ABLE = {
    "/api/chat": "completion",
    "/api/generate": "completion",
    "/api/embed": "embedding",
    "/api/embeddings": "embedding",
    "/v1/chat/completions": "completion",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
}
