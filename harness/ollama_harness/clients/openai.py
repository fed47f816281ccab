"""openai, with threads and with asyncio, as Ollama's documentation shows it: chat completions and responses.

https://docs.ollama.com/api/openai-compatibility
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ollama_harness.clients import _typed_calls
from ollama_harness.clients.adapter import Client, Contract, ExchangeFunction, Job, SessionFactory, Yields
from ollama_harness.oracle.words import Layer
from ollama_harness.recordings.recording import Request


def session(job: Job) -> Any:
    import openai

    http = openai.DefaultHttpxClient(trust_env=job.trust_env)
    return openai.OpenAI(base_url=f"{job.url}/v1", api_key="ollama", timeout=job.read_timeout_s, http_client=http)


def session_async(job: Job) -> Any:
    import openai

    http = openai.DefaultAsyncHttpxClient(trust_env=job.trust_env)
    return openai.AsyncOpenAI(base_url=f"{job.url}/v1", api_key="ollama", timeout=job.read_timeout_s, http_client=http)


def chat(job: Job, client: Any) -> Iterator[Any]:
    create = client.chat.completions.create
    answer = create(**_typed_calls.arguments(create, job.request))
    for part in answer if job.request.streams else [answer]:
        yield from _of_completion(part)


async def chat_async(job: Job, client: Any) -> AsyncIterator[Any]:
    create = client.chat.completions.create
    answer = await create(**_typed_calls.arguments(create, job.request))
    async for part in answer if job.request.streams else _only(answer):
        for piece in _of_completion(part):
            yield piece


def responses(job: Job, client: Any) -> Iterator[Any]:
    create = client.responses.create
    answer = create(**_typed_calls.arguments(create, job.request))
    if job.request.streams:
        for event in answer:
            yield from _of_event(event)
    else:
        yield from _of_response(answer)


async def responses_async(job: Job, client: Any) -> AsyncIterator[Any]:
    create = client.responses.create
    answer = await create(**_typed_calls.arguments(create, job.request))
    if job.request.streams:
        async for event in answer:
            for piece in _of_event(event):
                yield piece
    else:
        for piece in _of_response(answer):
            yield piece


async def _only(value: Any) -> AsyncIterator[Any]:
    yield value


# -------------------------------------------------------------------------------------------------------------- pieces


def _of_completion(part: Any) -> Iterator[Any]:
    """The pieces of a chunk, or of a whole completion."""
    for choice in part.choices:
        said = choice.delta if part.object == "chat.completion.chunk" else choice.message
        if said.role:
            yield {"role": said.role}
        if thinking := getattr(said, "reasoning", None):  # a field of Ollama's, which the types let through
            yield {"thinking": thinking}
        if said.content:
            yield {"text": said.content}
        for call in said.tool_calls or ():
            yield _tool_call(call)
        if choice.finish_reason:
            yield {"finish_reason": choice.finish_reason}
    if part.usage:
        yield {"usage": {"input": part.usage.prompt_tokens, "output": part.usage.completion_tokens}}


def _tool_call(call: Any) -> Any:
    """A call, or a part of one: in a stream only the first part has a name and an id."""
    fields = {"name": call.function.name, "id": call.id, "index": getattr(call, "index", None)}
    given = {name: value for name, value in fields.items() if value is not None}
    return {"tool_call": {**given, "arguments": call.function.arguments or ""}}


def _of_event(event: Any) -> Iterator[Any]:
    """The pieces of an event of a streamed response."""
    match event.type:
        case "response.output_item.added" if event.item.type == "message":
            yield {"role": event.item.role}
        case "response.output_item.added" if event.item.type == "function_call":
            yield _of_call(event.item, index=event.output_index)
        case "response.function_call_arguments.delta":
            yield {"tool_call": {"arguments": event.delta, "index": event.output_index}}
        case "response.output_text.delta":
            yield {"text": event.delta}
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            yield {"thinking": event.delta}
        case "response.completed" | "response.incomplete" | "response.failed":
            yield from _of_end(event.response)
        case "error":
            yield {"error": event.message}


def _of_response(response: Any) -> Iterator[Any]:
    """The pieces of a whole response."""
    for item in response.output:
        match item.type:
            case "message":
                yield {"role": item.role}
                for part in item.content:
                    yield {"text": part.text}
            case "function_call":
                yield _of_call(item)
            case "reasoning":
                for part in item.summary:
                    yield {"thinking": part.text}
    yield from _of_end(response)


def _of_call(item: Any, **index: int) -> Any:
    return {"tool_call": {"name": item.name, "arguments": item.arguments, "id": item.call_id, **index}}


def _of_end(response: Any) -> Iterator[Any]:
    if response.error is not None:
        yield {"error": response.error.message}
    if response.status:
        yield {"finish_reason": response.status}
    if response.usage:
        yield {"usage": {"input": response.usage.input_tokens, "output": response.usage.output_tokens}}


# ------------------------------------------------------------------------------------------------------------- clients


def _chat_unsupported(request: Request) -> str | None:
    from openai.resources.chat.completions import Completions

    return _typed_calls.refused(Completions.create, request)


def _responses_unsupported(request: Request) -> str | None:
    from openai.resources.responses import Responses

    return _typed_calls.refused(Responses.create, request)


_CONTRACT = Contract(
    exceptions=frozenset({"openai.APIError"}),
    source="https://github.com/openai/openai-python#handling-errors",
    read_timeout="timeout= of the client or of the call",
    default_timeout="600 s",
    timeouts=frozenset({"openai.APITimeoutError"}),
    retries=2,
    reads_through="httpx",
)


def _client(
    name: str,
    path: str,
    exchange: ExchangeFunction,
    session: SessionFactory,
    unsupported: Callable[[Request], str | None],
) -> Client:
    return Client(
        name=name,
        distribution="openai",
        layer=Layer.OLLAMA,
        contract=_CONTRACT,
        exchange=exchange,
        session=session,
        imports=("openai", "openai.resources.chat.completions", "openai.resources.responses"),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        paths=(path,),
        unsupported=unsupported,
    )


_CHAT, _RESPONSES = "/v1/chat/completions", "/v1/responses"

CLIENTS = [
    _client("openai", _CHAT, chat, session, _chat_unsupported),
    _client("openai-async", _CHAT, chat_async, session_async, _chat_unsupported),
    _client("openai-responses", _RESPONSES, responses, session, _responses_unsupported),
    _client("openai-responses-async", _RESPONSES, responses_async, session_async, _responses_unsupported),
]
