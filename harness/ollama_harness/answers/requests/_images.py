"""Requests to make and to change images, which Ollama had from 0.14.3 to 0.32.5.

Source: openai/openai.go (`ImageGenerationRequest`, `ImageEditRequest`), middleware/openai.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ollama_harness.answers.go.go_types import INT, STRING, Int, Pointer, Struct, fields
from ollama_harness.answers.requests.refused import RefusalCause, RefusedError
from ollama_harness.answers.world import World

__all__ = ["edit_type", "generation_type", "to_generate_of"]

_SEED = Pointer(to=Int(name="int64"))
_GENERATION = Struct(
    name="openai.ImageGenerationRequest",
    fields=fields(model=STRING, prompt=STRING, n=INT, size=STRING, response_format=STRING, seed=_SEED),
)
_EDIT = Struct(
    name="openai.ImageEditRequest",
    fields=fields(model=STRING, prompt=STRING, image=STRING, size=STRING, seed=_SEED),
)


def generation_type(_: str) -> Struct:
    """ImageGenerationRequest."""
    return _GENERATION


def edit_type(_: str) -> Struct:
    """ImageEditRequest."""
    return _EDIT


def to_generate_of(*required: str) -> Callable[[dict[str, Any], World], dict[str, Any]]:
    """What makes the body for /api/generate of a request that has to have these fields. It raises RefusedError."""

    def to_generate(request: dict[str, Any], _: World) -> dict[str, Any]:
        for name in required:
            if not request[name]:
                raise RefusedError(RefusalCause.REQUIRED, f"{name} is required")
        return {"model": request["model"], "prompt": request["prompt"]}

    return to_generate
