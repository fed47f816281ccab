"""The world that a server stands for: a version of Ollama, its models, and how it listens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.versions import Order, order

__all__ = ["Model", "World", "world_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that is there. `name` is the full short name, with its tag.

    `capabilities` are Ollama's own words: completion, tools, thinking, vision, embedding, insert.
    """

    name: str
    capabilities: frozenset[str] = frozenset({"completion"})


@dataclass(frozen=True, kw_only=True)
class World:
    """All that decides a refusal besides the request. `models` are by name with tag.

    With `any_model` a model that is not there can do everything. Ollama looks at Host only while it listens on
    `loopback`; `origins` is OLLAMA_ORIGINS. Without `cloud` models of the cloud are refused.
    """

    version: str
    models: Mapping[str, Model] = field(default_factory=dict)
    any_model: bool = False
    loopback: bool = True
    origins: tuple[str, ...] = ()
    cloud: bool = False

    @cached_property
    def order(self) -> Order:
        """What the version is compared by."""
        return order(self.version)

    def since(self, version: str) -> bool:
        """Whether this version of Ollama is at least that one."""
        return self.order >= order(version)


def world_of(recordings: Iterable[Recording], version: str, *, any_model: bool = False) -> World:
    """The world of these recordings: the models that a recorded request used with success, and what each could do."""
    models: dict[str, set[str]] = {}
    for one in recordings:
        asked = one.request.json if isinstance(one.request.json, dict) else {}
        name = asked.get("model") or asked.get("name")
        if one.response.status >= 400 or not isinstance(name, str) or one.request.path not in _ABLE:
            continue
        able = models.setdefault(name, set())
        able.add(_ABLE[one.request.path])
        able |= {
            word
            for field, word in (("tools", "tools"), ("think", "thinking"), ("suffix", "insert"))
            if asked.get(field)
        }
    found = {name: Model(name=name, capabilities=frozenset(able)) for name, able in models.items()}
    return World(version=version, models=found, any_model=any_model)


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
