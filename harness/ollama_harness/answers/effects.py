"""What a good answer changes in the world: a model that was pulled is there, and one that ran is in memory.

A model stays in memory for as long as `keep_alive` says, counted from the end of the answer. A request without one
keeps what the model was loaded with. Another context length loads the model again. A deleted model stays in memory:
Ollama's command line unloads it first. Source: server/sched.go (`GetRunner`, `useLoadedRunner`, `needsReload`,
`expireRunner`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ollama_harness.answers.asked import Asked
from ollama_harness.answers.model_name import parse_name
from ollama_harness.answers.requests.model_use import ref_name
from ollama_harness.answers.requests.native_request import request_of
from ollama_harness.answers.requests.translation import translation
from ollama_harness.answers.rules.registry import brought
from ollama_harness.answers.world import LoadedModel, Model, World
from ollama_harness.script.script import Script

__all__ = ["after"]

#: OLLAMA_KEEP_ALIVE, as it is if nobody sets it.
_KEEP_ALIVE_S = 300.0

#: The longest duration that Go has, about 292 years: for ever.
_FOREVER_S = float((1 << 63) // 10**9)


def after(asked: Asked, world: World, script: Script) -> World:
    """The world when this script, the answer to this request, has been played; the same one if nothing changes."""
    head = script.head
    if head is None or head.status >= 300:
        return world
    if (model := brought(asked, world)) is not None:
        is_new = world.find(model.name) is None and script.body.rstrip().endswith(b'"status":"success"}')
        return world.with_model(model) if is_new else world
    if (native := _native(asked, world)) is None or (request := request_of(native, world)) is None:
        return world
    if (model := _model(request.model, world)) is None:
        return world
    if request.unloads(world.version):
        return world.without_loaded(model)
    return _run(model, request.fields, world, now=asked.at, end=_later(asked.at, script.ending.at_s))


def _native(asked: Asked, world: World) -> Asked | None:
    """The request as one to Ollama's own endpoints."""
    translated = translation(asked, world)
    return asked if translated is None else translated.native


def _model(name: str, world: World) -> Model | None:
    """The model of this name; one in the likeness of another if every name is there."""
    parsed = ref_name(name, world)
    if isinstance(parsed, str):
        return None
    if (found := world.find(parsed)) is not None or not world.has_any(parsed):
        return found
    loaded = world.loaded.get(parsed.key)
    return world.model(parsed.short) if loaded is None else loaded.model


def _run(model: Model, fields: Mapping[str, Any], world: World, *, now: datetime, end: datetime) -> World:
    """The world in which this model has run until `end`."""
    context_length = model.context_length(fields.get("options"))
    keep_alive_s = fields["keep_alive"]
    if keep_alive_s is None:
        before = world.loaded.get(parse_name(model.name).key)
        goes_on = before is not None and now < before.expires_at and before.context_length == context_length
        keep_alive_s = before.keep_alive_s if goes_on and before is not None else _KEEP_ALIVE_S
    if keep_alive_s == 0:  # not until `end`: a client that has the answer may ask before the clock has moved on
        return world.without_loaded(model)
    loaded = LoadedModel(
        model=model,
        context_length=context_length,
        keep_alive_s=keep_alive_s,
        expires_at=_later(end, keep_alive_s),
    )
    return world.with_loaded(loaded)


def _later(moment: datetime, after_s: float) -> datetime:
    return moment + timedelta(seconds=min(after_s, _FOREVER_S))
