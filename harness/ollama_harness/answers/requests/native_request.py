"""A request to one of Ollama's own endpoints that run a model, decoded; and errors as these endpoints send them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_types import GoError
from ollama_harness.answers.reply import Reply, go_json, json_reply
from ollama_harness.answers.requests.model_use import Use, find_model, ref_name
from ollama_harness.answers.requests.native_types import request_type
from ollama_harness.answers.world import CAPABILITIES, Model, World
from ollama_harness.recordings.versions import order

__all__ = [
    "EMBEDDING_PATHS",
    "NATIVE_PATHS",
    "SPEAKING_PATHS",
    "NativeRequest",
    "embeds",
    "first_value",
    "read",
    "refuse",
    "request_of",
    "speaks",
    "to_run",
]

SPEAKING_PATHS = ("/api/chat", "/api/generate")
EMBEDDING_PATHS = ("/api/embed", "/api/embeddings")
NATIVE_PATHS = (*SPEAKING_PATHS, *EMBEDDING_PATHS)

_USES = {f"/api/{use}": use for use in (Use.CHAT, Use.GENERATE, Use.EMBED, Use.EMBEDDINGS)}
_ALL_ABLE = frozenset(CAPABILITIES)


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """A decoded body: `fields` as the request's type has them."""

    use: Use
    fields: dict[str, Any]

    @property
    def model(self) -> str:
        name: str = self.fields["model"]
        return name

    @property
    def speaks(self) -> bool:
        """Whether it is for text, and not for embeddings."""
        return self.use in (Use.CHAT, Use.GENERATE)

    @property
    def is_empty(self) -> bool:
        """Whether it only loads the model, or unloads it."""
        return not (self.fields["messages"] if self.use is Use.CHAT else self.fields.get("prompt"))

    def unloads(self, version: str) -> bool:
        """Whether it asks for nothing but to unload the model; before 0.11.8 anything below a second counts as zero."""
        after_s = self.fields["keep_alive"]
        if after_s is None or not self.speaks or not self.is_empty:
            return False
        return bool(after_s == 0 or (after_s < 1 and order(version) < order("0.11.8")))

    def texts(self) -> list[str] | None:
        """The texts to embed; None if the input is of another type."""
        if self.use is Use.EMBEDDINGS:
            return [self.fields["prompt"]] if self.fields["prompt"] else []
        match self.fields["input"]:
            case None | "":
                return []
            case str() as text:
                return [text]
            case list() as texts if all(isinstance(text, str) for text in texts):
                return texts
        return None


@lru_cache(maxsize=8)  # each rule asks for it
def _decoded(body: bytes, path: str, version: str) -> NativeRequest | GoError:
    type_ = request_type(path, version)
    assert type_ is not None
    decoded = decode(body, type_, version)
    return decoded if isinstance(decoded, GoError) else NativeRequest(_USES[path], decoded)


def read(asked: Asked, world: World) -> NativeRequest | GoError | None:
    """The request, or why its body cannot be decoded; None for any other endpoint."""
    if asked.path not in _USES or asked.method != "POST":
        return None
    return _decoded(asked.body, asked.path, world.version)


def request_of(asked: Asked, world: World) -> NativeRequest | None:
    """The request, if its body can be decoded."""
    found = read(asked, world)
    return found if isinstance(found, NativeRequest) else None


def to_run(asked: Asked, world: World) -> tuple[NativeRequest, Model] | None:
    """A request that a model is scheduled for: the model is there, and the request is not to unload it."""
    request = request_of(asked, world)
    if request is None or request.unloads(world.version):
        return None
    model = find_model(request.model, world)
    if model is None and not isinstance(name := ref_name(request.model, world), str) and world.has_any(name):
        model = Model(name=name.short, capabilities=_ALL_ABLE)
    return (request, model) if model else None


def speaks(asked: Asked, world: World) -> tuple[NativeRequest, Model] | None:
    """A request that a model is to answer with text."""
    found = to_run(asked, world)
    return found if found and found[0].speaks and not found[0].is_empty else None


def embeds(asked: Asked, world: World) -> tuple[NativeRequest, Model, list[str]] | None:
    """A request for the embeddings of at least one text."""
    found = to_run(asked, world)
    if found is None or found[0].speaks:
        return None
    texts = found[0].texts()
    return (*found, texts) if texts else None


def refuse(status: int, text: str) -> Reply:
    """An error that comes before any record."""
    return json_reply(status, {"error": text})


def first_value(request: NativeRequest, world: World, status: int, text: str) -> Reply:
    """An error in the place of the first record: of a stream, in chunks; before 0.12.6 it is a line with status 200."""
    if request.fields["stream"] is False:
        return refuse(status, text)
    body = go_json({"error": text})
    if world.since("0.12.6"):
        return Reply(status=status, body=body, headers=(("Content-Type", "application/json"),), chunked=True)
    return Reply(status=200, body=body + b"\n", headers=(("Content-Type", "application/x-ndjson"),), chunked=True)
