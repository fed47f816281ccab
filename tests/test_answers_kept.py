"""What is answered once is kept: for a request that comes again, while other models are loaded, at another time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ollama_harness.answers import Asked, Model, World, answer
from ollama_harness.answers.world import LoadedModel

pytestmark = pytest.mark.same_everywhere

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODEL = Model(name="m:latest")
WORLD = World(version="0.32.15", models={MODEL.name: MODEL})
LOADED = WORLD.with_loaded(
    LoadedModel(model=MODEL, context_length=4096, keep_alive_s=60.0, expires_at=NOON + timedelta(minutes=1))
)


def chat(at: datetime, name: str = "nosuch") -> Asked:
    body = f'{{"model":"{name}","messages":[]}}'.encode()
    return Asked(method="POST", target="/api/chat", headers=(("Host", "localhost"),), body=body, at=at)


def test_a_refusal_is_kept_whatever_is_loaded_and_whenever_it_is_asked() -> None:
    first = answer(chat(NOON), WORLD)
    assert first is not None
    assert answer(chat(NOON + timedelta(seconds=1)), LOADED) is first
    assert answer(chat(NOON), replace(WORLD, models={"nosuch:latest": Model(name="nosuch:latest")})) is None


def test_what_is_loaded_is_never_kept() -> None:
    asked = Asked(method="GET", target="/api/ps", headers=(("Host", "localhost"),), at=NOON)
    bodies = [answer(replace(asked, at=at), LOADED) for at in (NOON, NOON + timedelta(minutes=2))]
    empty = answer(asked, WORLD)
    assert empty is not None
    assert [found.reply.body == empty.reply.body for found in bodies if found] == [False, True]


def test_a_reply_that_changes_the_models_keeps_what_is_loaded_now() -> None:
    copy = Asked(
        method="POST",
        target="/api/copy",
        headers=(("Host", "localhost"),),
        body=b'{"source":"m","destination":"n"}',
    )
    worlds = [found.reply.world for world in (WORLD, LOADED) if (found := answer(copy, world)) is not None]
    assert [len(world.loaded) for world in worlds if world] == [0, 1]
