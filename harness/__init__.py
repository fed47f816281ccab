"""A fake Ollama that replays real streams, breaks them at exact places, and judges what clients make of it.

Names are imported when first used: a client's process must not pay for the server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.errors import HarnessError
    from harness.library import Library
    from harness.proxy import FakeProxy
    from harness.recording import Recording
    from harness.reference import reference
    from harness.script import Script
    from harness.server import FakeOllama

__version__ = "0.1.0"

__all__ = ["FakeOllama", "FakeProxy", "HarnessError", "Library", "Recording", "Script", "reference"]

_HOMES = {
    "FakeOllama": "harness.server",
    "FakeProxy": "harness.proxy",
    "HarnessError": "harness.errors",
    "Library": "harness.library",
    "Recording": "harness.recording",
    "Script": "harness.script",
    "reference": "harness.reference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
