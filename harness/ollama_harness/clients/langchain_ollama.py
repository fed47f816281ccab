"""langchain-ollama, with threads and with asyncio: https://docs.langchain.com/oss/python/integrations/chat/ollama"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
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

#: Fields of a request that it makes itself, and those of a message that have a place in LangChain's messages.
_MADE = ("messages", "options", "stream", "tools")
_OF_MESSAGES = frozenset({"content", "images", "role", "tool_calls", "tool_name"})


def session(job: Job) -> AbstractContextManager[Any]:
    from langchain_ollama import ChatOllama

    kwargs = {"timeout": job.read_timeout_s, "trust_env": job.trust_env}
    model = ChatOllama(base_url=job.url or None, client_kwargs=kwargs, **_arguments(job.request))
    return nullcontext(model.bind_tools(job.request.json["tools"]) if "tools" in job.request.json else model)


def exchange(job: Job, model: Any) -> Iterator[Any]:
    messages = _messages(job.request)
    # invoke() asks for a stream as well, unless its user says so.
    for part in model.stream(messages) if job.request.streams else [model.invoke(messages, stream=False)]:
        yield from _pieces(part)


async def exchange_async(job: Job, model: Any) -> AsyncIterator[Any]:
    messages = _messages(job.request)
    if job.request.streams:
        async for chunk in model.astream(messages):
            for piece in _pieces(chunk):
                yield piece
    else:
        for piece in _pieces(await model.ainvoke(messages, stream=False)):
            yield piece


def _arguments(request: Request) -> dict[str, Any]:
    body = request.json
    given = {ours: body[name] for name, ours in _FIELDS.items() if name in body}
    return {**given, **body.get("options", {})}


def _messages(request: Request) -> list[dict[str, Any]]:
    return [_message(**one) for one in request.json["messages"]]


def _message(
    role: str, content: str, images: Sequence[str] = (), tool_calls: Sequence[Any] = (), tool_name: str = ""
) -> dict[str, Any]:
    """A message of Ollama's in LangChain's form. Its calls have ids, and their results name them."""
    parts = ({"type": "image_url", "image_url": f"data:image/png;base64,{image}"} for image in images)
    functions = (call["function"] for call in tool_calls)
    calls = [{"name": one["name"], "args": one["arguments"], "id": one["name"]} for one in functions]
    return {
        "role": role,
        "content": [{"type": "text", "text": content}, *parts] if images else content,
        **({"tool_calls": calls} if calls else {}),
        **({"tool_call_id": tool_name} if tool_name else {}),
    }


def _pieces(message: Any) -> Iterator[Any]:
    """What a message says, or a chunk of one. Its role is a class, and the ids of its calls are its own: neither is of
    the answer.
    """
    if thinking := message.additional_kwargs.get("reasoning_content"):
        yield {"thinking": thinking}
    if message.content:
        yield {"text": message.content}
    for call in message.tool_calls:
        yield {"tool_call": {"name": call["name"], "arguments": call["args"]}}
    if reason := message.response_metadata.get("done_reason"):
        yield {"finish_reason": reason}
    if usage := message.usage_metadata:
        yield {"usage": {"input": usage["input_tokens"], "output": usage["output_tokens"]}}


def unsupported(request: Request) -> str | None:
    """The reason why ChatOllama cannot make this request, or None if it can."""
    from langchain_ollama import ChatOllama
    from pydantic import TypeAdapter

    fields = {*_FIELDS, *_MADE}
    if (reason := refused_by_framework("ChatOllama", fields, request, of_messages=_OF_MESSAGES)) is not None:
        return reason
    if unknown := request.json.get("options", {}).keys() - ChatOllama.model_fields.keys():
        return f"ChatOllama does not take {', '.join(sorted(unknown))}"
    if not isinstance(request.json.get("stream", True), bool):
        return "it sends stream: true or false only"
    for name, value in _arguments(request).items():
        try:
            TypeAdapter(ChatOllama.model_fields[name].annotation).validate_python(value)
        except ValueError:
            return f"ChatOllama takes no such {name}"
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
