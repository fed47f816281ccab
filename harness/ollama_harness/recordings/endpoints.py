"""Which request a body answers, where only a name and the body itself can tell.

A body of one's own has no meta file. Its name may begin with a method and a path (`POST v1 chat completions`), with a
path (`api-chat-two-tools`) or as recordings do (`v1-chat-two-tools`); or its objects are those of one endpoint only.

Sources: docs/api.md of ollama/ollama, and the API references of OpenAI and Anthropic, for the objects.
"""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

from ollama_harness.files.json_text import ndjson_lines
from ollama_harness.recordings.recording import STREAMS_BY_DEFAULT, Request
from ollama_harness.recordings.records import items_of

__all__ = ["Endpoint", "endpoint_at", "endpoint_of", "frames_in", "is_endpoint", "request_for"]

#: A method and a path.
Endpoint = tuple[str, str]

#: The endpoints that recordings have, and how the name of a recording begins.
_ENDPOINTS: dict[str, Endpoint] = {
    "chat": ("POST", "/api/chat"),
    "generate": ("POST", "/api/generate"),
    "embed": ("POST", "/api/embed"),
    "embeddings": ("POST", "/api/embeddings"),
    "v1 chat": ("POST", "/v1/chat/completions"),
    "v1 completions": ("POST", "/v1/completions"),
    "v1 embeddings": ("POST", "/v1/embeddings"),
    "v1 responses": ("POST", "/v1/responses"),
    "v1 messages": ("POST", "/v1/messages"),
    "v1 models": ("GET", "/v1/models"),
    "v1 images": ("POST", "/v1/images/generations"),
    "v1 audio": ("POST", "/v1/audio/transcriptions"),
    "pull": ("POST", "/api/pull"),
    "push": ("POST", "/api/push"),
    "create": ("POST", "/api/create"),
    "copy": ("POST", "/api/copy"),
    "delete": ("DELETE", "/api/delete"),
    "show": ("POST", "/api/show"),
    "tags": ("GET", "/api/tags"),
    "ps": ("GET", "/api/ps"),
    "version": ("GET", "/api/version"),
    "status": ("GET", "/api/status"),
    "api me": ("POST", "/api/me"),
    "root": ("GET", "/"),
}

#: Endpoints whose path ends with a name.
_OPEN_ENDED = ("/v1/models/", "/api/blobs/")

_CAN_STREAM = STREAMS_BY_DEFAULT | {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"}

_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete", "options"})
_EVENT_END = re.compile(rb"(?:\r\n|\r(?!\n)|\n){2}")

#: A body that says nothing of its endpoint in so many records does not say it later.
_MOST_LOOKED_AT = 100

#: What a model is called in a request that is made up, if the body does not name one.
_MODEL = "my-model"


def is_endpoint(path: str) -> bool:
    """Whether a path is one of Ollama's."""
    return path in {known for _, known in _ENDPOINTS.values()} or path.startswith(_OPEN_ENDED)


def endpoint_of(name: str, suffix: str, body: bytes) -> Endpoint | None:
    """The endpoint whose answer a body is: by its name, or else by the objects in it; None if neither tells."""
    return _named(name, suffix) or next(filter(None, map(_told_by, _records(suffix, body))), None)


def endpoint_at(path: str) -> Endpoint:
    """The endpoint of a path; POST for one that is not known."""
    return next((known for known in _ENDPOINTS.values() if known[1] == path), ("POST", path))


def request_for(endpoint: Endpoint, suffix: str, body: bytes) -> Request:
    """A request that may have got this body, for one that is not known: the smallest that Ollama accepts."""
    method, path = endpoint
    models = (found for record in _records(suffix, body) if (found := _model_in(record)))
    model = next(models, _MODEL)
    said = [{"role": "user", "content": "Hello"}]
    asked: dict[str, dict[str, Any]] = {
        "/api/chat": {"model": model, "messages": said},
        "/api/generate": {"model": model, "prompt": "Hello"},
        "/api/embed": {"model": model, "input": "Hello"},
        "/api/embeddings": {"model": model, "prompt": "Hello"},
        "/v1/chat/completions": {"model": model, "messages": said},
        "/v1/completions": {"model": model, "prompt": "Hello"},
        "/v1/embeddings": {"model": model, "input": "Hello"},
        "/v1/responses": {"model": model, "input": "Hello"},
        "/v1/messages": {"model": model, "max_tokens": 1024, "messages": said},
        "/api/pull": {"model": model},
        "/api/push": {"model": model},
        "/api/create": {"model": model, "from": model},
        "/api/copy": {"source": model, "destination": f"{model}-copy"},
        "/api/delete": {"model": model},
        "/api/show": {"model": model},
    }
    value = asked.get(path) if method in ("POST", "DELETE") else None
    streams = suffix in (".sse", ".ndjson")
    if value is not None and path in _CAN_STREAM and streams != (path in STREAMS_BY_DEFAULT):
        value["stream"] = streams
    return Request(method=method, path=path, json=value, any_content=True)


def frames_in(suffix: str, body: bytes) -> Iterator[bytes]:
    """The records of a body of one's own, byte for byte: its lines, its events (with any line ends), or all of it."""
    if suffix == ".ndjson":
        yield from ndjson_lines(body)
    elif suffix == ".sse":
        start = 0
        for found in _EVENT_END.finditer(body):
            yield body[start : found.end()]
            start = found.end()
        if start < len(body):
            yield body[start:]
    elif body:
        yield body


def _named(name: str, suffix: str) -> Endpoint | None:
    """The endpoint that a name begins with."""
    words = _words(name)
    if words and words[0] in _METHODS and (found := _longest(words[1:])):
        return words[0].upper(), found[1]
    found = _longest(words)
    return found if found and _can_send(found, suffix) else None


def _longest(words: list[str]) -> Endpoint | None:
    """The endpoint of which most words begin a name."""
    spelled = [(_words(text), endpoint) for short, endpoint in _ENDPOINTS.items() for text in (short, endpoint[1])]
    able = [(len(parts), endpoint) for parts, endpoint in spelled if parts and words[: len(parts)] == parts]
    return max(able)[1] if able else None


def _words(text: str) -> list[str]:
    return re.findall("[0-9a-z]+", urllib.parse.unquote(text).lower())


def _can_send(endpoint: Endpoint, suffix: str) -> bool:
    """Whether the answers of an endpoint can have this form: /v1 sends events, and /api lines."""
    return {".sse": endpoint[1].startswith("/v1/"), ".ndjson": endpoint[1] in STREAMS_BY_DEFAULT}.get(suffix, True)


def _records(suffix: str, body: bytes) -> Iterator[dict[str, Any]]:
    """The first objects in a body; what is no JSON is passed over."""
    for frame in itertools.islice(frames_in(suffix, body), _MOST_LOOKED_AT):
        for item in items_of("text/event-stream" if suffix == ".sse" else "", frame):
            if isinstance(item.value, dict):
                yield item.value


def _told_by(record: dict[str, Any]) -> Endpoint | None:
    """The only endpoint that sends such an object."""
    match record:
        case {"object": "chat.completion.chunk" | "chat.completion"}:
            return _ENDPOINTS["v1 chat"]
        case {"object": "text_completion"}:
            return _ENDPOINTS["v1 completions"]
        case {"object": "list", "data": [{"object": "embedding"}, *_]}:
            return _ENDPOINTS["v1 embeddings"]
        case {"object": "list", "data": [{"object": "model"}, *_]}:
            return _ENDPOINTS["v1 models"]
        case {"object": "response"}:
            return _ENDPOINTS["v1 responses"]
        case {"type": str(type_)} if type_.startswith("response."):
            return _ENDPOINTS["v1 responses"]
        case {"type": "message" | "message_start" | "message_delta" | "message_stop"}:
            return _ENDPOINTS["v1 messages"]
        case {"type": "content_block_start" | "content_block_delta" | "content_block_stop"}:
            return _ENDPOINTS["v1 messages"]
        case {"message": {"role": str()}}:
            return _ENDPOINTS["chat"]
        case {"response": str()}:
            return _ENDPOINTS["generate"]
        case {"embeddings": list()}:
            return _ENDPOINTS["embed"]
        case {"embedding": list()}:
            return _ENDPOINTS["embeddings"]
        case {"models": [{"expires_at": str()}, *_]}:
            return _ENDPOINTS["ps"]
        case {"models": [{"name": str()}, *_]}:
            return _ENDPOINTS["tags"]
        case {"details": dict(), "model_info": dict()}:
            return _ENDPOINTS["show"]
        case {"version": str()} if len(record) == 1:
            return _ENDPOINTS["version"]
    return None


def _model_in(record: dict[str, Any]) -> str:
    """The model that an object names, at its top or in the response or message that it holds; "" if none."""
    inner: Iterable[Any] = (record, record.get("response"), record.get("message"))
    names = (one.get("model") for one in inner if isinstance(one, dict))
    return next((name for name in names if isinstance(name, str) and name), "")
