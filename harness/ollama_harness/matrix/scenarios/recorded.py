"""Scenarios: recordings as they are."""

from __future__ import annotations

from ollama_harness.matrix.scenarios.scenario import (
    ERRORS,
    ERRORS_IN_STREAM,
    STREAMING,
    STREAMS,
    Layer,
    Scenario,
    Source,
)

TITLE = "Recordings as they are: what Ollama really sends, with its own errors and crashes."

#: The statistics in the terminal record.
_STATISTICS = (
    "model",
    "created_at",
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)

#: The details of a model that all versions send.
_DETAILS = ("format", "family", "parameter_size", "quantization_level")

_TOOL_CALLS = Source("https://docs.ollama.com/capabilities/tool-calling", "Tool calls are part of the message.")

SCENARIOS = [
    Scenario(
        name="stream",
        summary="a complete streamed answer",
        recordings=STREAMS,
        subject=_STATISTICS,
        source=STREAMING,
    ),
    Scenario(
        name="stream-variants",
        summary="cold, long, one token, raw, stopped by a sequence, with a system prompt, with a history",
        recordings=(
            "generate-cold",
            "generate-long",
            "generate-one-token",
            "generate-raw",
            "generate-stop-sequence",
            "generate-system",
            "chat-history",
        ),
        subject=_STATISTICS,
        source=STREAMING,
    ),
    Scenario(
        name="single-answer",
        summary="an answer in one piece: stream: false",
        recordings=(
            "generate-nonstream",
            "generate-long-nonstream",
            "chat-nonstream",
        ),
        subject=_STATISTICS,
        source=STREAMING,
    ),
    Scenario(
        name="load-answer",
        summary="a request that only loads or unloads a model: one object with `done_reason`, and no text, to a client "
        "that may have asked for a stream",
        recordings=("generate-*load", "chat-*load"),
        source=Source(
            "https://github.com/langchain-ai/langchain/issues/31482",
            "An agent always ended with done_reason load and an empty answer.",
        ),
    ),
    Scenario(
        name="unicode",
        summary="many scripts, emoji, and everything that JSON escapes",
        recordings=("generate-unicode", "chat-unicode", "generate-escapes"),
        source=Source("https://www.rfc-editor.org/rfc/rfc8259#section-8.1", "JSON between systems is UTF-8."),
    ),
    Scenario(
        name="next-line",
        summary="U+0085 raw inside a string: Go does not escape it, and it ends no line",
        recordings=("generate-nel",),
        source=Source(
            "https://github.com/ndjson/ndjson-spec",
            "Records end with LF; U+0085 is legal inside a JSON string and ends nothing.",
        ),
        over_v1="no recording over /v1 has the character: raw-u0085 puts it there",
    ),
    Scenario(
        name="tools",
        summary="tool calls, streamed and not, and a tool that is not called",
        recordings=("chat-tools-*", "!chat-tools-unsupported", "!chat-tools-two-*", "!chat-tools-same-*"),
        source=_TOOL_CALLS,
    ),
    Scenario(
        name="two-tool-calls",
        summary="two calls in one turn: both are yielded",
        recordings=("chat-tools-two-*", "chat-tools-same-nonstream"),
        source=_TOOL_CALLS,
    ),
    Scenario(
        name="same-tool-call-twice",
        summary="two calls of the same tool with the same arguments, streamed: both are yielded",
        recordings=("chat-tools-same-stream",),
        source=_TOOL_CALLS,
    ),
    Scenario(
        name="thinking",
        summary="thinking before the answer, or in place of it, streamed and not",
        recordings=("chat-think-*", "generate-think-*", "!chat-think-unsupported", "!chat-think-default"),
        source=Source("https://docs.ollama.com/capabilities/thinking", "Thinking has a field of its own."),
    ),
    Scenario(
        name="thinking-by-default",
        summary="thinking before the answer to a request that does not say whether the model shall think",
        recordings=("chat-think-default",),
        source=Source(
            "https://docs.ollama.com/capabilities/thinking", "Thinking is on by default for models that can think."
        ),
        over_v1="no recording over /v1 leaves that open",
    ),
    Scenario(
        name="format",
        summary="answers in JSON, free and by schema",
        recordings=("generate-format-*", "chat-format-*"),
        source=Source("https://docs.ollama.com/capabilities/structured-outputs", "format takes json or a schema."),
    ),
    Scenario(
        name="logprobs",
        summary="log probabilities beside the text",
        recordings=("generate-logprobs", "chat-logprobs"),
        subject=(
            "logprobs.token",
            "logprobs.logprob",
            "logprobs.top_logprobs.token",
            "logprobs.top_logprobs.logprob",
        ),
        source=STREAMING,
    ),
    Scenario(
        name="progress",
        summary="a pull, streamed and not, of a new model and of an existing one",
        recordings=("pull-stream", "pull-again", "pull-nonstream"),
        subject=("digest", "total", "completed"),
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md#pull-a-model",
            "A stream of status objects; the last says success, none says done.",
        ),
    ),
    Scenario(
        name="embed",
        summary="embeddings of one text, of many, of none, and the older route",
        recordings=("embed-*", "embeddings-legacy", "!embed-unsupported", "!embed-too-long"),
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings",
            "Input is one text or a list of texts; the answer is one object, no stream.",
        ),
    ),
    Scenario(
        name="models",
        summary="lists and descriptions: tags, ps, show, version",
        recordings=("tags", "ps-*", "show", "version"),
        subject=(
            "models.size",
            "models.digest",
            *(f"{whose}.{field}" for whose in ("models.details", "details") for field in _DETAILS),
            "modelfile",
            "parameters",
            "template",
            "model_info",
            "capabilities",
        ),
        source=Source(
            "https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models",
            "One object with the list of models.",
        ),
    ),
    Scenario(
        name="error-status",
        summary="every request that Ollama refuses with a status",
        recordings=(
            "error-*",
            "*-unsupported",
            "show-missing",
            "embed-too-long",
            "pull-missing-nonstream",
            "generate-suffix",
            "fault-runner-killed-*-nonstream",
            "!error-double-slash",  # redirects are not errors
            "!error-trailing-slash*",
            "!error-*-context-overflow",  # answered, with a shorter prompt
        ),
        source=ERRORS,
    ),
    Scenario(
        name="error-in-stream",
        summary="errors that real servers gave in the stream of a pull",
        recordings=("pull-missing", "pull-missing-layer", "pull-refused", "pull-insecure-forbidden"),
        layer=Layer.OLLAMA,
        source=ERRORS_IN_STREAM,
    ),
]
