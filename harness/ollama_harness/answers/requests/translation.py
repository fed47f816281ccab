"""What becomes of a request to a compatible endpoint: a refusal of the middleware, or a request to one of Ollama's own.

Source: server/routes.go (`GenerateRoutes`), middleware/openai.go, middleware/anthropic.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_types import GoError, Struct
from ollama_harness.answers.reply import go_json
from ollama_harness.answers.requests import _anthropic, _images, _openai, responses
from ollama_harness.answers.requests.refused import RefusalCause, RefusedError
from ollama_harness.answers.world import World
from ollama_harness.recordings.error_shapes import ErrorShape
from ollama_harness.recordings.recording import Headers

__all__ = ["ROUTES", "Translation", "translation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """A route: the type of its requests by version, what they become, and the endpoint that answers them.

    The middleware of one that `heads_first` sets the head of a stream before the handler is asked; errors keep it.
    One with `think` drops thinking where the model is not able to think, and says here what it asks for.
    """

    type: Callable[[str], Struct]
    become: Callable[[dict[str, Any], World], dict[str, Any]]
    handler: str
    think: Callable[[dict[str, Any], World], bool | None] = lambda *_: None
    shape: ErrorShape = ErrorShape.OPENAI
    since: str = ""
    before: str = ""
    heads_first: bool = False

    def is_in(self, world: World) -> bool:
        """Whether this version has the route."""
        return (not self.since or world.since(self.since)) and not (self.before and world.since(self.before))


ROUTES = {
    "/v1/chat/completions": _Route(type=_openai.chat_type, become=_openai.to_chat, handler="/api/chat"),
    "/v1/completions": _Route(type=_openai.completion_type, become=_openai.to_generate, handler="/api/generate"),
    "/v1/embeddings": _Route(type=_openai.embed_type, become=_openai.to_embed, handler="/api/embed"),
    "/v1/responses": _Route(
        type=responses.responses_type,
        become=responses.to_chat,
        handler="/api/chat",
        since="0.13.3",
        heads_first=True,
    ),
    "/v1/messages": _Route(
        type=_anthropic.messages_type,
        become=_anthropic.to_chat,
        handler="/api/chat",
        think=_anthropic.think_of,
        shape=ErrorShape.ANTHROPIC,
        since="0.14.0",
        heads_first=True,
    ),
    "/v1/images/generations": _Route(
        type=_images.generation_type,
        become=_images.to_generate_of("prompt", "model"),
        handler="/api/generate",
        since="0.14.3",
        before="0.32.6",
    ),
    "/v1/images/edits": _Route(
        type=_images.edit_type,
        become=_images.to_generate_of("prompt", "model", "image"),
        handler="/api/generate",
        since="0.14.3",
        before="0.32.6",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What the middleware makes of a request: what it refuses, or the request to one of Ollama's own endpoints.

    `think` is whether the model is to think if it can, where the request to Ollama's own endpoint leaves that out.
    """

    shape: ErrorShape = ErrorShape.OPENAI
    refused: RefusedError | None = None
    native: Asked | None = None
    think: bool | None = None
    head: Headers = ()


_STREAM_HEAD = (("Cache-Control", "no-cache"), ("Connection", "keep-alive"))


def translation(asked: Asked, world: World) -> Translation | None:
    """What becomes of a request; None if its route is none of these."""
    route = ROUTES.get(asked.path)
    if route is None or asked.method != "POST" or not route.is_in(world):
        return None
    return _become(asked.body, asked.path, world.version)


@lru_cache(maxsize=16)
def _become(body: bytes, path: str, version: str) -> Translation:
    route, world = ROUTES[path], World(version=version)
    request = decode(body, route.type(version), version)
    if isinstance(request, GoError):
        return Translation(shape=route.shape, refused=RefusedError(RefusalCause.BODY, request.text))
    try:
        native = route.become(request, world)
    except RefusedError as refused:
        return Translation(shape=route.shape, refused=refused.with_traceback(None))
    return Translation(
        shape=route.shape,
        native=Asked(method="POST", target=route.handler, body=go_json(native)),
        think=route.think(request, world),
        head=_STREAM_HEAD if route.heads_first and native["stream"] else (),
    )
