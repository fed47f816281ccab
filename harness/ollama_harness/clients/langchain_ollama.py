"""langchain-ollama, with threads and with asyncio: https://docs.langchain.com/oss/python/integrations/chat/ollama"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ollama_harness.clients._typed_calls import refused_by_framework
from ollama_harness.clients.adapter import Client, Contract, ExchangeFunction, Job, SessionFactory, Yields
from ollama_harness.oracle.words import Layer
from ollama_harness.recordings.recording import Request

#: Fields of a request that are arguments of ChatOllama, under the names that it gives them.
_FIELDS = {name: name for name in ("model", "format", "keep_alive", "logprobs", "top_logprobs")} | {
    "think": "reasoning"
}

#: Fields of a request that it makes itself.
_MADE = ("messages", "options", "stream", "tools")


def session(job: Job) -> AbstractContextManager[Any]:
    from langchain_ollama import ChatOllama

    kwargs = {"timeout": job.read_timeout_s, "trust_env": job.trust_env}
    model = ChatOllama(base_url=job.url or None, client_kwargs=kwargs, **_arguments(job.request))
    return nullcontext(model.bind_tools(job.request.json["tools"]) if "tools" in job.request.json else model)


def exchange(job: Job, model: Any) -> Iterator[Any]:
    for chunk in model.stream(job.request.json["messages"]):
        yield from _of_chunk(chunk)


async def exchange_async(job: Job, model: Any) -> AsyncIterator[Any]:
    async for chunk in model.astream(job.request.json["messages"]):
        for piece in _of_chunk(chunk):
            yield piece


def _arguments(request: Request) -> dict[str, Any]:
    body = request.json
    given = {ours: body[name] for name, ours in _FIELDS.items() if name in body}
    return {**given, **body.get("options", {})}


def _of_chunk(chunk: Any) -> Iterator[Any]:
    """The pieces of a chunk. Its role is a class, and the ids of its calls are its own: neither is of the answer."""
    if thinking := chunk.additional_kwargs.get("reasoning_content"):
        yield {"thinking": thinking}
    if chunk.content:
        yield {"text": chunk.content}
    for call in chunk.tool_calls:
        yield {"tool_call": {"name": call["name"], "arguments": call["args"]}}
    if reason := chunk.response_metadata.get("done_reason"):
        yield {"finish_reason": reason}
    if usage := chunk.usage_metadata:
        yield {"usage": {"input": usage["input_tokens"], "output": usage["output_tokens"]}}


def unsupported(request: Request) -> str | None:
    """The reason why ChatOllama cannot make this request, or None if it can."""
    from langchain_ollama import ChatOllama

    if (reason := refused_by_framework("ChatOllama", {*_FIELDS, *_MADE}, request)) is not None:
        return reason
    if not request.streams:
        return "invoke() streams as well; there is no call for an answer in one piece"
    if not request.json["messages"]:
        return "ChatOllama needs a message"
    if unknown := request.json.get("options", {}).keys() - ChatOllama.model_fields.keys():
        return f"ChatOllama does not take {', '.join(sorted(unknown))}"
    return None


_CONTRACT = Contract(
    # It documents no exceptions of its own. Those of ollama, on which it is built, pass through it.
    exceptions=frozenset({"ollama._types.ResponseError", "builtins.ConnectionError"}),
    source="https://github.com/ollama/ollama-python#errors",
    read_timeout="client_kwargs={'timeout': …}, which it passes to httpx",
    default_timeout="none",
    reads_through="ollama",
)


def _client(name: str, exchange: ExchangeFunction, session: SessionFactory) -> Client:
    return Client(
        name=name,
        distribution="langchain-ollama",
        layer=Layer.OLLAMA,
        contract=_CONTRACT,
        exchange=exchange,
        session=session,
        imports=("langchain_ollama",),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        paths=("/api/chat",),
        unsupported=unsupported,
    )


CLIENTS = [_client("langchain-ollama", exchange, session), _client("langchain-ollama-async", exchange_async, session)]
