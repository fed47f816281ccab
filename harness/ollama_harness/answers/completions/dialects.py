"""The dialects by route."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_harness.answers.completions.dialect import Dialect
from ollama_harness.answers.completions.native import CHAT, GENERATE

__all__ = ["DIALECTS"]

DIALECTS: Mapping[str, Dialect] = {
    "/api/chat": CHAT,
    "/api/generate": GENERATE,
}
