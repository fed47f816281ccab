"""llama-index-llms-ollama: https://developers.llamaindex.ai/python/examples/llm/ollama/

Its asynchronous half is a copy of the same code on the other half of ollama, so the synchronous half is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ollama_harness.clients._typed_calls import refused_by_framework
from ollama_harness.clients.adapter import Client, Contract, Job, Yields
from ollama_harness.oracle.reference import Layer
from ollama_harness.recordings.recording import Request

#: Fields of a request that the constructor takes, under the names that it gives them.
_FIELDS = {"model": "model", "keep_alive": "keep_alive", "think": "thinking", "options": "additional_kwargs"}

#: What it takes as thinking.
_THINKING = (None, True, False, "low", "medium", "high")

#: Fields of a request that the call takes.
_OF_CALL = ("messages", "stream", "tools", "format")


def session(job: Job) -> AbstractContextManager[Any]:
    from llama_index.llms.ollama import Ollama

    body = job.request.json
    given = {ours: body[name] for name, ours in _FIELDS.items() if name in body}
    # With the context window of the documentation's example it asks for no model first, which might not be there.
    return nullcontext(Ollama(base_url=job.url, request_timeout=job.read_timeout_s, context_window=8000, **given))


def exchange(job: Job, llm: Any) -> Iterator[Any]:
    body = job.request.json
    messages = [_message(one) for one in body["messages"]]
    named = {name: body[name] for name in ("tools", "format") if name in body}
    if job.request.streams:
        calls = 0
        for part in llm.stream_chat(messages, **named):
            yield from _of_response(part, part.delta, part.additional_kwargs.get("thinking_delta"), calls)
            calls = len(_blocks(part, "tool_call"))
    else:
        answer = llm.chat(messages, **named)
        thinking = "".join(block.content for block in _blocks(answer, "thinking"))
        yield from _of_response(answer, answer.message.content, thinking, 0)


def _message(one: Any) -> Any:
    from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock

    called = [call["function"] for call in one.get("tool_calls", ())]
    calls = [ToolCallBlock(tool_name=call["name"], tool_kwargs=call["arguments"]) for call in called]
    return ChatMessage(role=one["role"], blocks=[TextBlock(text=one["content"]), *calls])


def _of_response(response: Any, text: str | None, thinking: str | None, calls: int) -> Iterator[Any]:
    """The pieces of a response. Each of a stream has all calls so far, and `calls` of them were there before."""
    if thinking:
        yield {"thinking": thinking}
    if text:
        yield {"text": text}
    for block in _blocks(response, "tool_call")[calls:]:
        yield {"tool_call": {"name": block.tool_name, "arguments": block.tool_kwargs}}
    if reason := response.raw.get("done_reason"):
        yield {"finish_reason": reason}
    if usage := response.raw.get("usage"):
        yield {"usage": {"input": usage["prompt_tokens"], "output": usage["completion_tokens"]}}


def _blocks(response: Any, kind: str) -> list[Any]:
    return [block for block in response.message.blocks if block.block_type == kind]


def unsupported(request: Request) -> str | None:
    """The reason why its calls cannot make this request, or None if they can."""
    fields, of_messages = {*_FIELDS, *_OF_CALL}, {"role", "content", "tool_calls", "tool_name"}
    if (reason := refused_by_framework("Ollama()", fields, request, of_messages=of_messages)) is not None:
        return reason
    if isinstance(text := request.json.get("format"), str) and text != "json":
        return f"the types of ollama do not take {text!r} as format"
    if (thinking := request.json.get("think")) not in _THINKING:
        return f"Ollama() does not take {thinking!r} as thinking"
    return None


CLIENTS = [
    Client(
        name="llama-index",
        distribution="llama-index-llms-ollama",
        layer=Layer.OLLAMA,
        contract=Contract(
            # It documents no exceptions of its own. Those of ollama, on which it is built, pass through it.
            exceptions=frozenset({"ollama._types.ResponseError", "builtins.ConnectionError"}),
            source="https://github.com/ollama/ollama-python#errors",
            read_timeout="request_timeout= of Ollama(), which it passes to httpx",
            default_timeout="30 s",
            reads_through="ollama",
        ),
        exchange=exchange,
        session=session,
        imports=("llama_index.llms.ollama",),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        paths=("/api/chat",),
        unsupported=unsupported,
    )
]
