"""A fake Ollama that replays recorded streams, breaks them at exact places, and judges how clients handle that.

Each name is imported when it is first used, because a client's process must not pay for the server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_harness.errors import HarnessError
    from ollama_harness.oracle.reference import reference
    from ollama_harness.recordings.recording import Recording
    from ollama_harness.recordings.store import RecordingStore
    from ollama_harness.script.script import Script
    from ollama_harness.server.fake_ollama import FakeOllama
    from ollama_harness.server.proxy import FakeProxy

__version__ = "0.1.0"

__all__ = ["FakeOllama", "FakeProxy", "HarnessError", "Recording", "RecordingStore", "Script", "reference"]

_HOMES = {
    "FakeOllama": "ollama_harness.server.fake_ollama",
    "FakeProxy": "ollama_harness.server.proxy",
    "HarnessError": "ollama_harness.errors",
    "RecordingStore": "ollama_harness.recordings.store",
    "Recording": "ollama_harness.recordings.recording",
    "Script": "ollama_harness.script.script",
    "reference": "ollama_harness.oracle.reference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
