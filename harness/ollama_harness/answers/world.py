"""The world that a server stands for: a version of Ollama, its models, and how it listens.

A world is a value. What a request changes (a model copied, made, pulled, deleted, loaded or unloaded) gives the next
world; the server keeps the last one. It has no clock: what expires does so at a time, and who asks says when.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from ollama_harness.answers.model_name import ModelName, parse_name
from ollama_harness.errors import RecordingError
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.versions import Order, order

__all__ = [
    "CAPABILITIES",
    "MODELS_FOLDER",
    "LoadedModel",
    "Model",
    "World",
    "parse_model",
    "shown_as",
    "world_of",
]

#: What a model can be said to be able to do.
CAPABILITIES = ("completion", "tools", "thinking", "vision", "embedding", "insert")

#: Where the recorded servers keep their models.
MODELS_FOLDER = "/usr/share/ollama/.ollama/models"

#: When a model was changed, if nothing says when.
_SOME_TIME = "2026-11-22T19:18:33.645331424Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that is there. `name` is the full short name, with its tag.

    `capabilities` are Ollama's own words: completion, tools, thinking, vision, embedding, insert. `entry` is what
    /api/tags says of it besides its name, `show` what /api/show says. `memory_bytes` is its size when it is loaded.
    One that is not `listed` is there, but was made after the recorded list of models.
    """

    name: str
    capabilities: frozenset[str] = frozenset({"completion"})
    entry: Mapping[str, Any] = field(default_factory=dict)
    show: Mapping[str, Any] = field(default_factory=dict)
    memory_bytes: int = 0
    listed: bool = True

    @property
    def modified_at(self) -> str:
        return str(self.entry.get("modified_at", _SOME_TIME))

    @property
    def modified_s(self) -> int:
        """The same in whole seconds since 1970."""
        try:
            return int(datetime.fromisoformat(self.modified_at[:19]).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return 0

    @property
    def weights(self) -> str:
        """The digest of the layer that holds the weights."""
        found = re.search(r"(?m)^FROM .*sha256-([0-9a-f]{64})", str(self.show.get("modelfile", "")))
        return f"sha256:{found[1] if found else self.entry.get('digest', '0' * 64)}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The digests of its layers, in the order of its manifest."""
        texts = [str(self.show.get(part) or "") for part in ("template", "system")]
        if options := self.options:
            text = json.dumps(options, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            texts.append("".join(f"\\u{ord(one):04x}" if one in "<>&" else one for one in text) + "\n")
        digests = (hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts if text)
        return (self.weights, *(f"sha256:{digest}" for digest in digests))

    @property
    def options(self) -> dict[str, Any]:
        """The parameters that `show` has as text, a line for each value."""
        found: dict[str, list[Any]] = {}
        for line in str(self.show.get("parameters") or "").splitlines():
            name, _, text = line.partition(" ")
            try:
                value = parse_json(text.strip().encode())
            except ValueError:
                value = text.strip()
            found.setdefault(name, []).append(value)
        return {name: values if name == "stop" or len(values) > 1 else values[0] for name, values in found.items()}

    def called(self, name: str) -> Model:
        """The same model under another name."""
        return replace(self, name=name, show=shown_as(self.show, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in memory until `expires_at`, which is `keep_alive_s` after its last use; `math.inf` is for ever."""

    model: Model
    context_length: int
    keep_alive_s: float
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """All that decides a refusal besides the request. `models` are by name with tag. Worlds are compared by identity,
    so that what was answered in one can be kept.

    With `any_model` a model that is not there can do everything. Ollama looks at Host only while it listens on
    `loopback`; `origins` is OLLAMA_ORIGINS. Without `cloud` models of the cloud are refused.

    `registries` are the hosts that models can be pulled from, `pulled` the names that were. `blobs` are the digests of
    the files that were uploaded, `recorded` those that a recording speaks of. `changed` says that the models are no
    longer those of the recordings, so that a recorded list of them is wrong. `loaded` are the models in memory, by the
    key of their name; some may have expired.
    """

    version: str
    models: Mapping[str, Model] = field(default_factory=dict)
    any_model: bool = False
    loopback: bool = True
    origins: tuple[str, ...] = ()
    cloud: bool = False
    registries: frozenset[str] = frozenset()
    pulled: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    recorded: frozenset[str] = frozenset()
    changed: bool = False
    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)

    @cached_property
    def order(self) -> Order:
        """What the version is compared by."""
        return order(self.version)

    def since(self, version: str) -> bool:
        """Whether this version of Ollama is at least that one."""
        return self.order >= order(version)

    @cached_property
    def _by_key(self) -> Mapping[str, Model]:
        return {parse_name(name).key: model for name, model in self.models.items()}

    def find(self, name: str | ModelName) -> Model | None:
        """The model of a name in any of its forms, as Ollama finds it: without case, defaults filled in."""
        return self._by_key.get((parse_name(name) if isinstance(name, str) else name).key)

    @cached_property
    def layers(self) -> frozenset[str]:
        """The digests of all layers that are there."""
        return frozenset(layer for model in self.models.values() for layer in model.layers)

    @property
    def listed(self) -> tuple[Model, ...]:
        """The models as Ollama lists them: the last changed first."""
        return tuple(sorted((one for one in self.models.values() if one.listed), key=lambda model: -model.modified_s))

    def with_model(self, model: Model) -> World:
        """A world in which this model was just made, in the place of one of the same name."""
        key = parse_name(model.name).key
        kept = {name: one for name, one in self.models.items() if parse_name(name).key != key}
        made = replace(model, entry={**model.entry, "modified_at": self._next_time()}, listed=True)
        return replace(self, models={**kept, made.name: made}, changed=True)

    def without(self, model: Model) -> World:
        """A world in which this model was deleted."""
        kept = {name: one for name, one in self.models.items() if one is not model}
        return replace(self, models=kept, changed=True)

    def loaded_at(self, now: datetime) -> tuple[LoadedModel, ...]:
        """The models that are in memory at this time, as Ollama lists them: the one that stays the longest first."""
        there = (one for one in self.loaded.values() if now < one.expires_at)
        return tuple(sorted(there, key=lambda one: one.expires_at, reverse=True))

    def with_loaded(self, one: LoadedModel) -> World:
        """A world in which this model is in memory."""
        return self._with_memory({**self.loaded, parse_name(one.model.name).key: one})

    def without_loaded(self, model: Model) -> World:
        """A world in which this model is not in memory."""
        key = parse_name(model.name).key
        if key not in self.loaded:
            return self
        return self._with_memory({name: one for name, one in self.loaded.items() if name != key})

    def _with_memory(self, loaded: Mapping[str, LoadedModel]) -> World:
        """The same world but for what is loaded. Each answer makes one: what is computed of the models is kept."""
        world = object.__new__(World)
        world.__dict__.update(self.__dict__, loaded=loaded)
        return world

    def with_blob(self, digest: str) -> World:
        """A world in which this file was uploaded."""
        return replace(self, blobs=self.blobs | {digest})

    def only(self, *models: Model) -> World:
        """A world with exactly these models, each as a recording has it if there is one of its name."""
        return replace(self, models={model.name: model for model in models}, changed=True)

    def model(self, name: str, *capabilities: str) -> Model:
        """A model for this world: the one that is there, or one made in the likeness of the first.

        It is able to do what it is said to be, or if nothing is said, what its likeness is.
        """
        short = parse_name(name).short
        found = self.find(name)
        like = found or next(iter(self.models.values()), Model(name=short, entry=_plain_entry(short)))
        able = frozenset(capabilities or (like.capabilities if found else ("completion",)))
        if able != {"embedding"}:
            able |= {"completion"}
        made = replace(like.called(short), capabilities=able)
        listed = {"capabilities": [word for word in CAPABILITIES if word in able]}
        return replace(
            made,
            entry={**made.entry, **listed} if "capabilities" in made.entry else made.entry,
            show={**made.show, **listed} if "capabilities" in made.show else made.show,
        )

    def _next_time(self) -> str:
        """A second after the last change: a clock would give other bytes to the same requests."""
        last = max((model.modified_at for model in self.models.values()), default=_SOME_TIME)
        try:
            later = datetime.fromisoformat(last[:19]) + timedelta(seconds=1)
        except (ValueError, OverflowError):
            return _SOME_TIME
        return later.isoformat() + last[19:]


def _plain_entry(name: str) -> dict[str, Any]:
    """What a list says of a model if no list was recorded."""
    details = {"parent_model": "", "format": "gguf", "family": "", "families": None}
    return {
        "modified_at": _SOME_TIME,
        "size": 0,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": {**details, "parameter_size": "", "quantization_level": ""},
    }


def parse_model(text: str) -> tuple[str, tuple[str, ...]]:
    """A model as the command line takes it, NAME or NAME=CAPABILITY,CAPABILITY: its name and what it can do.

    Raises: ValueError (no name of a model, or no capability).
    """
    name, _, words = text.partition("=")
    able = tuple(word.strip() for word in words.split(",") if word.strip())
    if not parse_name(name).is_valid:
        raise ValueError(f"{name!r} is no name of a model; give NAME or NAME=tools,thinking")
    if unknown := [word for word in able if word not in CAPABILITIES]:
        raise ValueError(f"{unknown[0]!r} is no capability; there are {', '.join(CAPABILITIES)}")
    return name, able


def world_of(recordings: Iterable[Recording], version: str, *, any_model: bool = False) -> World:
    """The world of these recordings.

    Its models are those that /api/tags lists first, or that a recorded request used with success, and each is able to
    do what /api/show says of it and what it was seen to do.
    """
    entries: dict[str, Mapping[str, Any]] = {}
    able: dict[str, set[str]] = {}
    shows: dict[str, Mapping[str, Any]] = {}
    memory: dict[str, int] = {}
    pulled, recorded = set[str](), set[str]()
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
        elif isinstance(name, str) and path in _ABLE:
            words = able.setdefault(parse_name(name).short, set())
            words.add(_ABLE[path])
            words |= {word for field, word in _NEEDED.items() if asked.get(field)}
    first_show, first_entry = next(iter(shows.values()), {}), next(iter(entries.values()), {})
    models = {}
    for name in {**entries, **able}:
        show = shows.get(name) or shown_as(first_show, name)
        said = entries.get(name) or first_entry or _plain_entry(name)
        entry = {key: value for key, value in said.items() if key not in ("name", "model")}
        seen = frozenset({*able.get(name, ()), *shows.get(name, {}).get("capabilities", ())})
        able_to = seen or frozenset(entry.get("capabilities", ["completion"]))
        needs = memory.get(name) or next(iter(memory.values()), entry.get("size", 0))
        models[name] = Model(
            name=name,
            capabilities=able_to,
            entry=entry,
            show=show,
            memory_bytes=needs,
            listed=name in entries or not entries,
        )
    names = [parse_name(name) for name in pulled]
    return World(
        version=version,
        models=models,
        any_model=any_model,
        registries=frozenset(name.host for name in names),
        pulled=frozenset(name.key for name in names),
        recorded=frozenset(recorded),
    )


def _listed(recording: Recording) -> list[Mapping[str, Any]]:
    """The models of a recorded list."""
    entries = _object(recording).get("models")
    found = (one for one in entries if isinstance(one, Mapping)) if isinstance(entries, list) else ()
    return [one for one in found if isinstance(one.get("name"), str)]


def _object(recording: Recording) -> Mapping[str, Any]:
    try:
        value = parse_json(recording.body)
    except (ValueError, RecordingError):
        return {}
    return value if isinstance(value, Mapping) else {}


def shown_as(show: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What is said of one model, said of another: its Modelfile names it."""
    if not isinstance(text := show.get("modelfile"), str):
        return show
    return {**show, "modelfile": re.sub(r"(?m)^# FROM .*$", lambda _: f"# FROM {name}", text, count=1)}


_BLOBS = "/api/blobs/"

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
