"""pydantic-ai, whose model and provider for Ollama speak chat completions: https://ai.pydantic.dev/models/ollama/

The requests are made as its page on direct requests shows: https://ai.pydantic.dev/direct/
An agent reads its answers by the same classes. It is asynchronous only: its synchronous calls run the same code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from ollama_harness.clients._typed_calls import refused_by_framework
from ollama_harness.clients.adapter import Client, Contract, Job, Yields
from ollama_harness.oracle.reference import Layer
from ollama_harness.recordings.recording import Request

#: Fields of a request that are settings, under the names that it gives them.
_SETTINGS = {
    "temperature": "temperature",
    "seed": "seed",
    "max_tokens": "max_tokens",
    "logprobs": "openai_logprobs",
    "top_logprobs": "openai_top_logprobs",
    "reasoning_effort": "openai_reasoning_effort",
}

#: Fields of a request that it makes itself.
_MADE = ("model", "messages", "stream", "stream_options", "tools", "response_format")


def session(job: Job) -> AbstractAsyncContextManager[Any]:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.providers.ollama import OllamaProvider

    model: AbstractAsyncContextManager[Any] = OllamaModel(
        job.request.json["model"], provider=OllamaProvider(base_url=f"{job.url}/v1")
    )
    return model


async def exchange(job: Job, model: Any) -> AsyncIterator[Any]:
    from pydantic_ai.direct import model_request_stream

    body = job.request.json
    settings = {ours: body[name] for name, ours in _SETTINGS.items() if name in body}
    if "response_format" in body:
        settings["extra_body"] = {"response_format": body["response_format"]}
    async with model_request_stream(
        model,
        [_message(one) for one in body["messages"]],
        model_settings={"timeout": job.read_timeout_s, **settings},
        model_request_parameters=_parameters(body.get("tools", ())),
    ) as stream:
        async for event in stream:
            for piece in _of_event(event):
                yield piece
        if stream.finish_reason:
            yield {"finish_reason": stream.finish_reason}
        if stream.usage.has_values():
            yield {"usage": {"input": stream.usage.input_tokens, "output": stream.usage.output_tokens}}


def _message(one: Any) -> Any:
    from pydantic_ai import messages

    match one["role"]:
        case "system":
            return messages.ModelRequest([messages.SystemPromptPart(one["content"])])
        case "assistant":
            return messages.ModelResponse([messages.TextPart(one["content"])])
        case _:
            return messages.ModelRequest.user_text_prompt(one["content"])


def _parameters(tools: Any) -> Any:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    functions = [tool["function"] for tool in tools]
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=one["name"], description=one.get("description"), parameters_json_schema=one["parameters"]
            )
            for one in functions
        ]
    )


def _of_event(event: Any) -> Any:
    """The pieces of an event: a part that starts, or more of one. The ids of calls may be of its own making."""
    match event.event_kind:
        case "part_start":
            match event.part.part_kind:
                case "text":
                    yield {"text": event.part.content}
                case "thinking":
                    yield {"thinking": event.part.content}
                case "tool-call":
                    call = {"name": event.part.tool_name, "index": event.index}
                    yield {"tool_call": {**call, "arguments": event.part.args or ""}}
        case "part_delta":
            match event.delta.part_delta_kind:
                case "text":
                    yield {"text": event.delta.content_delta}
                case "thinking":
                    yield {"thinking": event.delta.content_delta or ""}
                case "tool_call":
                    yield {"tool_call": {"arguments": event.delta.args_delta or "", "index": event.index}}


def unsupported(request: Request) -> str | None:
    """The reason why its model cannot make this request, or None if it can."""
    return refused_by_framework("OllamaModel", {*_SETTINGS, *_MADE}, request)


CLIENTS = [
    Client(
        name="pydantic-ai",
        distribution="pydantic-ai-slim",
        layer=Layer.OLLAMA,
        contract=Contract(
            exceptions=frozenset(
                {"pydantic_ai.exceptions.ModelAPIError", "pydantic_ai.exceptions.UnexpectedModelBehavior"}
            ),
            source="https://ai.pydantic.dev/api/exceptions/",
            read_timeout="timeout= of the model's settings",
            default_timeout="600 s",
            retries=2,
            reads_through="httpx",
        ),
        exchange=exchange,
        session=session,
        imports=("pydantic_ai", "pydantic_ai.models.ollama", "pydantic_ai.providers.ollama", "pydantic_ai.direct"),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        paths=("/v1/chat/completions",),
        unsupported=unsupported,
    )
]
