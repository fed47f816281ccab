"""anthropic, with threads and with asyncio, as Ollama's documentation shows it:
https://docs.ollama.com/api/anthropic-compatibility
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from ollama_harness.clients import _typed_calls
from ollama_harness.clients.adapter import Client, Contract, ExchangeFunction, Job, SessionFactory, Yields
from ollama_harness.oracle.words import Layer
from ollama_harness.recordings.recording import Request


def session(job: Job) -> Any:
    import anthropic

    http = anthropic.DefaultHttpxClient(trust_env=job.trust_env)
    return anthropic.Anthropic(base_url=job.url, api_key="ollama", timeout=job.read_timeout_s, http_client=http)


def session_async(job: Job) -> Any:
    import anthropic

    http = anthropic.DefaultAsyncHttpxClient(trust_env=job.trust_env)
    return anthropic.AsyncAnthropic(base_url=job.url, api_key="ollama", timeout=job.read_timeout_s, http_client=http)


def exchange(job: Job, client: Any) -> Iterator[Any]:
    create = client.messages.create
    answer = create(**_typed_calls.arguments(create, job.request))
    if job.request.streams:
        for event in answer:
            yield from _of_event(event)
    else:
        yield from _of_message(answer)


async def exchange_async(job: Job, client: Any) -> AsyncIterator[Any]:
    create = client.messages.create
    answer = await create(**_typed_calls.arguments(create, job.request))
    if job.request.streams:
        async for event in answer:
            for piece in _of_event(event):
                yield piece
    else:
        for piece in _of_message(answer):
            yield piece


def _of_event(event: Any) -> Iterator[Any]:
    """The pieces of an event of a streamed message."""
    match event.type:
        case "message_start":
            yield from _of_message(event.message)
        case "content_block_start":
            yield from _of_block(event.content_block, index=event.index)
        case "content_block_delta":
            match event.delta.type:
                case "text_delta":
                    yield {"text": event.delta.text}
                case "thinking_delta":
                    yield {"thinking": event.delta.thinking}
                case "input_json_delta":
                    yield {"tool_call": {"arguments": event.delta.partial_json, "index": event.index}}
        case "message_delta":
            if event.delta.stop_reason:
                yield {"finish_reason": event.delta.stop_reason}
            yield _usage(event.usage)


def _of_message(message: Any) -> Iterator[Any]:
    """The pieces of a whole message, or of the beginning of one."""
    yield {"role": message.role}
    for block in message.content:
        yield from _of_block(block)
    if message.stop_reason:
        yield {"finish_reason": message.stop_reason}
    yield _usage(message.usage)


def _of_block(block: Any, **index: int) -> Iterator[Any]:
    """The piece of a block. One that begins in a stream has an `index`, and its input, still empty, comes in parts."""
    match block.type:
        case "text":
            yield {"text": block.text}
        case "thinking":
            yield {"thinking": block.thinking}
        case "tool_use":
            given = "" if index and not block.input else block.input
            yield {"tool_call": {"name": block.name, "arguments": given, "id": block.id, **index}}


def _usage(usage: Any) -> Any:
    return {"usage": {"input": usage.input_tokens, "output": usage.output_tokens}}


def unsupported(request: Request) -> str | None:
    """The reason why no call of the library makes this request, or None if one does."""
    from anthropic.resources.messages import Messages

    return _typed_calls.refused(Messages.create, request)


_CONTRACT = Contract(
    exceptions=frozenset({"anthropic.APIError"}),
    source="https://platform.claude.com/docs/en/api/sdks/python#handling-errors",
    read_timeout="timeout= of the client or of the call",
    default_timeout="600 s",
    timeouts=frozenset({"anthropic.APITimeoutError"}),
    retries=2,
    reads_through="httpx",
)


def _client(name: str, exchange: ExchangeFunction, session: SessionFactory) -> Client:
    return Client(
        name=name,
        distribution="anthropic",
        layer=Layer.OLLAMA,
        contract=_CONTRACT,
        exchange=exchange,
        session=session,
        imports=("anthropic", "anthropic.resources.messages"),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        paths=("/v1/messages",),
        unsupported=unsupported,
    )


CLIENTS = [_client("anthropic", exchange, session), _client("anthropic-async", exchange_async, session_async)]
