"""The pytest plugin: fixtures for other people's tests.

def test_my_program_notices_a_cut(fake_ollama):
    fake_ollama.play("chat-stream", close_at(after_record(3)))
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ollama_harness.server.fake_ollama import FakeOllama

__all__ = ["fake_ollama"]


@pytest.fixture
def fake_ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOllama]:
    """A running FakeOllama of the newest recorded version, at full speed, with `OLLAMA_HOST` pointing to it.

    `no_proxy` covers it too, so that a proxy of the machine cannot come between.
    """
    from ollama_harness.server.fake_ollama import (
        FakeOllama,  # imported late, so that coverage of a user's run sees all of it
    )

    with FakeOllama(speed=0) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        yield server
        server.check()
