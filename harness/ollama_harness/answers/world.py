"""The world that a server stands for: a version of Ollama, its models, and how it listens.

A world is a value. What a request changes (a model copied, made, pulled, deleted, loaded or unloaded) gives the next
world; the server keeps the last one. It has no clock: what expires does so at a time, and who asks says when.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from ollama_harness.answers._likeness import CAPABILITIES, SOME_TIME, able_entry, digest_of, entry_of, said, shown_as
from ollama_harness.answers.model_name import ModelName, parse_name
from ollama_harness.files.json_text import parse_json
from ollama_harness.recordings.versions import Order, order

__all__ = [
    "CAPABILITIES",
    "MODELS_FOLDER",
    "LoadedModel",
    "Model",
    "World",
    "nearest",
    "parse_model",
]

#: Where the recorded servers keep their models.
MODELS_FOLDER = "/usr/share/ollama/.ollama/models"


_CONTEXT_LENGTH, _SHORTEST_CONTEXT = 4096, 4
_NUM_CTX = re.compile(r"(?m)^num_ctx +(\d{1,18})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that is there. `name` is the full short name, with its tag.

    `capabilities` are Ollama's own words: completion, tools, thinking, vision, embedding, insert. `entry` is what
    /api/tags says of it besides its name, `show` what /api/show says. `memory_bytes` is its size when it is loaded.
    One that is not `listed` is there, but was made after the recorded list of models. One that is able to think does so
    unless a request forbids it, or with `thinks_unasked` false only when one asks for it.
    """

    name: str
    capabilities: frozenset[str] = frozenset({"completion"})
    entry: Mapping[str, Any] = field(default_factory=dict)
    show: Mapping[str, Any] = field(default_factory=dict)
    memory_bytes: int = 0
    listed: bool = True
    thinks_unasked: bool = True

    @property
    def modified_at(self) -> str:
        return str(self.entry.get("modified_at", SOME_TIME))

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
    def layers(self) -> dict[str, int]:
        """The digests of its layers with their sizes in bytes, in the order of its manifest."""
        texts = [str(self.show.get(part) or "") for part in ("template", "system")]
        if options := self.options:
            text = json.dumps(options, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            texts.append("".join(f"\\u{ord(one):04x}" if one in "<>&" else one for one in text) + "\n")
        files = [text.encode("utf-8", "replace") for text in texts if text]
        size = self.entry.get("size", 0) - sum(map(len, files))
        return {self.weights: size, **{f"sha256:{hashlib.sha256(file).hexdigest()}": len(file) for file in files}}

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

    def context_length(self, options: Mapping[str, Any] | None) -> int:
        """`num_ctx` of a request's options, or else of the model, within what the model was trained with.

        Source: server/sched.go (`load`), llm/server.go (`NewLlamaServer`).
        """
        asked = (options or {}).get("num_ctx")
        if not isinstance(asked, int | float):
            own = _NUM_CTX.search(str(self.show.get("parameters") or ""))
            asked = int(own[1]) if own else _CONTEXT_LENGTH
        length = int(asked)
        facts = self.show.get("model_info") or {}
        trained = facts.get(f"{facts.get('general.architecture')}.context_length")
        most = trained if isinstance(trained, int) and trained > 0 else length
        return max(_SHORTEST_CONTEXT, min(length, most))

    def called(self, name: str, able: frozenset[str] | None = None) -> Model:
        """The same model under another name, and able to do this."""
        able = self.capabilities if able is None else able
        show = shown_as(self.show, name, was=self.capabilities, able=able)
        return replace(self, name=name, capabilities=able, show=show, entry=able_entry(self.entry, able))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in memory until `expires_at`, which is `keep_alive_s` after its last use; `math.inf` is for ever."""

    model: Model
    context_length: int
    keep_alive_s: float
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """All that decides a refusal besides the request. `models` are by name with tag.

    Worlds are equal if no rule can tell them apart but one that asks what is loaded: so what was answered in one can be
    kept, though every chat loads its model anew.

    With `any_model` a model that is not there can do everything. Ollama looks at Host only while it listens on
    `loopback`; `origins` is OLLAMA_ORIGINS. Without `cloud` models of the cloud are refused.

    `registries` are the hosts that models can be pulled from, `pulled` the names that were, and `incomplete` those of
    which a registry has the manifest and not all layers. `blobs` are the digests of
    the files that were uploaded, `recorded` those that a recording speaks of. `changed` says that the models are no
    longer those of the recordings, so that a recorded list of them is wrong. `gone` are the keys of names that were
    deleted, which `any_model` does not bring back. `loaded` are the models in memory, by the
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
    incomplete: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    recorded: frozenset[str] = frozenset()
    changed: bool = False
    gone: frozenset[str] = frozenset()
    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)

    @cached_property
    def _rules_see(self) -> tuple[object, ...]:
        """What rules see of it. The models are compared by identity: a change makes another mapping."""
        return tuple(
            id(value) if each.name == "models" else value
            for each in fields(self)
            if each.name != "loaded"
            for value in (getattr(self, each.name),)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, World) and self._rules_see == other._rules_see

    def __hash__(self) -> int:
        return hash(self._rules_see)

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
        return replace(self, models={**kept, made.name: made}, gone=self.gone - {key}, changed=True)

    def without(self, model: Model) -> World:
        """A world in which this model was deleted."""
        kept = {name: one for name, one in self.models.items() if one is not model}
        return replace(self, models=kept, gone=self.gone | {parse_name(model.name).key}, changed=True)

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
        """A model for this world: the one that is there, or one made in the likeness of the nearest.

        It is able to do what it is said to be, or if nothing is said, what it was, or to make text.
        """
        short = parse_name(name).short
        found = self.find(name)
        able = frozenset(capabilities or (found.capabilities if found else ("completion",)))
        if able != {"embedding"}:
            able |= {"completion"}
        if found is not None:
            return found.called(short, able)
        like = nearest(self.models.values(), able)
        if like is None:
            return Model(name=short, capabilities=able, entry=entry_of({}, short, able, self.order))
        made = like.called(short, able)
        return replace(made, entry={**made.entry, "digest": digest_of(short)})

    def has_any(self, name: ModelName) -> bool:
        """Whether a name that is not listed has a model: with `any_model` each valid one, until it is deleted."""
        return self.any_model and name.is_valid and name.key not in self.gone

    def there(self, name: ModelName) -> Model | None:
        """The model of this name; with `any_model` every name of a valid form has one.

        One that is not known is able to do everything, and thinks only when it is asked to.
        """
        if (found := self.find(name)) is not None or not self.has_any(name):
            return found
        return replace(self.model(name.full, *CAPABILITIES), thinks_unasked=False)

    def _next_time(self) -> str:
        """A second after the last change: a clock would give other bytes to the same requests."""
        last = max((model.modified_at for model in self.models.values()), default=SOME_TIME)
        try:
            later = datetime.fromisoformat(last[:19]) + timedelta(seconds=1)
        except (ValueError, OverflowError):
            return SOME_TIME
        return later.isoformat() + last[19:]


def nearest(models: Iterable[Model], able: frozenset[str]) -> Model | None:
    """The model that is able to do the same, or the most of the same; of several the first."""
    wanted = set(said(able))
    return min(models, key=lambda model: len(wanted.symmetric_difference(said(model.capabilities))), default=None)


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
