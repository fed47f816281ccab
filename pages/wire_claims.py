"""Claims about changes on Ollama's wire, to be compared with the recordings.

Source: docs/ollama-wire.md, section 6, which comes from Ollama's source at each tag.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_harness.gate.findings import Finding

__all__ = ["CLAIMS", "Claim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One change: the first stable version that has it, and the finding that would show it.

    `shows` is a part of the finding's text (`where: was -> now`). A claim without a rule cannot be seen in the
    recordings, and `unseen` says why. If the recordings show it in another version, `unlike` explains the difference.
    """

    since: str
    says: str
    rule: str = ""
    subject: str = ""
    shows: str = ""
    unseen: str = ""
    unlike: str = ""

    def matches(self, finding: Finding) -> bool:
        """Whether the finding shows the claim."""
        named = finding.rule == self.rule and finding.subject == self.subject
        return named and self.shows in f"{finding.where}: {finding.was} -> {finding.now}"


_CHAT, _GENERATE, _OPENAI = "POST /api/chat", "POST /api/generate", "POST /v1/chat/completions"
_NOT_ASKED = "no recording asks for it"

CLAIMS = (
    Claim(since="0.6.1", says="errors of embeddings are strings", unseen="no recording makes the runner fail there"),
    Claim(
        since="0.6.4",
        says="`capabilities` in show",
        rule="field-added",
        subject="POST /api/show",
        shows=".capabilities",
    ),
    Claim(
        since="0.6.6",
        says="CORS allows Openai-Beta",
        rule="header-value-changed",
        subject="OPTIONS /api/chat",
        shows="Openai-Beta",
    ),
    Claim(
        since="0.7.0",
        says="405 with Allow instead of 404",
        rule="error-status-changed",
        subject="GET /api/generate",
        shows="404 -> 405",
    ),
    Claim(
        since="0.7.0",
        says="progress with `stream: false` is its last object",
        unseen="the recorded ones succeed, and are one object before and after",
    ),
    Claim(
        since="0.8.0",
        says="tool calls and text are streamed as they come",
        rule="answer-in-pieces-changed",
        subject=_CHAT,
        shows="in one record -> in pieces",
    ),
    Claim(
        since="0.9.0", says="`thinking` and `think`", unseen="asked for once only, of a model that cannot: see 0.12.5"
    ),
    Claim(
        since="0.9.1",
        says="another text when the runner is gone",
        unseen="killed runners say the older text in all versions",
    ),
    Claim(
        since="0.12.10",
        says="tool calls have an `id`",
        rule="field-added",
        subject=_CHAT,
        shows="first .message.tool_calls[].id",
    ),
    Claim(
        since="0.10.0",
        says="`context_length` in ps",
        rule="field-added",
        subject="GET /api/ps",
        shows=".context_length",
    ),
    Claim(since="0.11.5", says="`_debug_info`", unseen=_NOT_ASKED),
    Claim(since="0.11.8", says="unload only at exactly zero", unseen=_NOT_ASKED),
    Claim(
        since="0.11.11",
        says="embed knows `dimensions`",
        rule="vector-length-changed",
        subject="POST /api/embed",
        shows="576 numbers -> 4 numbers",
    ),
    Claim(
        since="0.12.0",
        says="`done` before `done_reason` in chat",
        rule="field-order-changed",
        subject=_CHAT,
        shows="last: done_reason, done -> done, done_reason",
    ),
    Claim(
        since="0.12.0",
        says="another text when chat knows no such model",
        rule="error-text-changed",
        subject=_CHAT,
        shows="try pulling it first -> model 'nosuch' not found",
    ),
    Claim(
        since="0.12.5",
        says="thinking is on by default",
        rule="field-added",
        subject=_CHAT,
        shows="first .message.thinking",
    ),
    Claim(
        since="0.12.5",
        says="400 `does not support thinking`",
        rule="answer-refused",
        subject=_CHAT,
        shows="does not support thinking",
        unlike="the status is older, 0.9.6 sends it; what 0.12.11 changed is the text",
    ),
    Claim(
        since="0.12.6",
        says="an error as the first value of a stream has its status",
        rule="error-moved",
        subject=_CHAT,
        shows="200, failed -> 500",
    ),
    Claim(
        since="0.12.6",
        says="`truncate: false` is obeyed",
        rule="answer-refused",
        subject=_GENERATE,
        shows="the input length exceeds the context length",
    ),
    Claim(
        since="0.12.6",
        says="tool calls always have an `index`",
        rule="field-added",
        subject=_CHAT,
        shows="first .message.tool_calls[].function.index",
    ),
    Claim(since="0.12.11", says="logprobs", rule="field-added", subject=_GENERATE, shows="first .logprobs"),
    Claim(since="0.13.3", says="/v1/responses", rule="route-new", subject="POST /v1/responses", shows="404 -> 200"),
    Claim(since="0.14.0", says="/v1/messages", rule="route-new", subject="POST /v1/messages", shows="404 -> 200"),
    Claim(
        since="0.14.0",
        says="arguments of tools in their own order",
        unseen="the model's arguments have the same order either way",
    ),
    Claim(since="0.16.2", says="/api/status", rule="route-new", subject="GET /api/status", shows="404 -> 200"),
    Claim(
        since="0.18.0",
        says="400 `invalid model name`",
        rule="error-status-changed",
        subject=_GENERATE,
        shows="404 -> 400",
    ),
    Claim(
        since="0.23.1",
        says="redirects of odd paths are 307, not 301 (Go 1.26)",
        unseen="all the recorded servers were built with Go 1.26",
    ),
    Claim(
        since="0.30.0",
        says="`capabilities` and `context_length` in tags",
        rule="field-added",
        subject="GET /api/tags",
        shows=".capabilities",
    ),
    Claim(
        since="0.30.0",
        says="errors of llama-server are JSON inside a string",
        rule="error-text-changed",
        subject=_CHAT,
        shows='{"error":{"code":400',
    ),
    Claim(
        since="0.30.0",
        says="tool calls in the same object as `done: true`",
        unseen="with the recorded model's template they come in a record before, in all versions",
    ),
    Claim(
        since="0.32.6",
        says="OpenAI streams: role in the first chunk only, an empty delta at the finish",
        rule="field-gone",
        subject=_OPENAI,
        shows="middle .choices[].delta.role",
    ),
    Claim(since="0.14.3", says="image generation, until 0.32.5", unseen=_NOT_ASKED),
    Claim(since="0.18.0", says="cloud models pass through", unseen="the recorded servers reach no cloud"),
    Claim(since="0.20.0", says="/v1/audio/transcriptions", unseen=_NOT_ASKED),
)
