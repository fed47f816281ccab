"""How each route of each version puts a completion into records, and how records are read back."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_harness.answers.completions.dialects.dialect import Dialect, answered
from ollama_harness.answers.completions.dialects.embeddings import EMBEDDING_ROUTES, embedded
from ollama_harness.answers.completions.dialects.messages import MESSAGES
from ollama_harness.answers.completions.dialects.native import CHAT, GENERATE
from ollama_harness.answers.completions.dialects.openai import CHAT_COMPLETIONS, TEXT_COMPLETIONS
from ollama_harness.answers.completions.dialects.responses import RESPONSES

__all__ = ["DIALECTS", "EMBEDDING_ROUTES", "Dialect", "answered", "embedded"]

DIALECTS: Mapping[str, Dialect] = {
    "/api/chat": CHAT,
    "/api/generate": GENERATE,
    "/v1/chat/completions": CHAT_COMPLETIONS,
    "/v1/completions": TEXT_COMPLETIONS,
    "/v1/messages": MESSAGES,
    "/v1/responses": RESPONSES,
}
