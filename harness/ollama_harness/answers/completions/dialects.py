"""The dialects by route."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_harness.answers.completions.dialect import Dialect
from ollama_harness.answers.completions.messages import MESSAGES
from ollama_harness.answers.completions.native import CHAT, GENERATE
from ollama_harness.answers.completions.openai import CHAT_COMPLETIONS, TEXT_COMPLETIONS
from ollama_harness.answers.completions.responses import RESPONSES

__all__ = ["DIALECTS"]

DIALECTS: Mapping[str, Dialect] = {
    "/api/chat": CHAT,
    "/api/generate": GENERATE,
    "/v1/chat/completions": CHAT_COMPLETIONS,
    "/v1/completions": TEXT_COMPLETIONS,
    "/v1/messages": MESSAGES,
    "/v1/responses": RESPONSES,
}
