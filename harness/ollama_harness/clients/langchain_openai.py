"""langchain-openai, over chat completions and over responses: https://docs.langchain.com/oss/python/integrations/chat/openai

Its asynchronous half converts with the same functions what the other half of openai yields, so the synchronous half is
enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from ollama_harness.clients._typed_calls import refused_by_framework
from ollama_harness.clients.adapter import Client, Contract, Job, SessionFactory, Yields
from ollama_harness.oracle.reference import Layer
from ollama_harness.recordings.recording import Request

#: Fields of a request that are arguments of ChatOpenAI, under the names that it gives them.
_FIELDS = {
    name: name
    for name in ("model", "temperature", "seed", "max_tokens", "logprobs", "top_logprobs", "reasoning_effort")
} | {"max_output_tokens": "max_tokens", "reasoning": "reasoning"}

#: Fields of a request that are arguments of a call, or that it makes itself.
_OF_CALL = ("messages", "stream", "stream_options", "tools", "response_format")


def session(job: Job) -> AbstractContextManager[Any]:
    return nullcontext(_model(job))


def session_responses(job: Job) -> AbstractContextManager[Any]:
    return nullcontext(_model(job, use_responses_api=True))


def _model(job: Job, **settings: Any) -> Any:
    from langchain_openai import ChatOpenAI

    body = job.request.json
    settings |= {ours: body[name] for name, ours in _FIELDS.items() if name in body}
    if "stream_options" in body:
        settings["stream_usage"] = body["stream_options"]["include_usage"]
    model = ChatOpenAI(base_url=f"{job.url}/v1", api_key="ollama", timeout=job.read_timeout_s, **settings)
    tools = [_as_chat_completions_have_it(tool) for tool in body.get("tools", ())]
    model = model.bind_tools(tools) if tools else model
    return model.bind(response_format=body["response_format"]) if "response_format" in body else model


def _as_chat_completions_have_it(tool: Any) -> Any:
    """A tool in the form in which bind_tools() takes it, over both APIs."""
    return tool if "function" in tool else {"type": "function", "function": {**tool, "type": None}}


def exchange(job: Job, model: Any) -> Iterator[Any]:
    for chunk in model.stream(_messages(job.request)):
        yield from _of_chunk(chunk)


def _messages(request: Request) -> Any:
    body = request.json
    return body["messages"] if "messages" in body else body["input"]


def _of_chunk(chunk: Any) -> Iterator[Any]:
    """The pieces of a chunk. Its role is a class, which is not of the answer."""
    for block in chunk.content_blocks:
        match block["type"]:
            case "reasoning":
                yield {"thinking": block.get("reasoning", "")}
            case "text":
                yield {"text": block["text"]}
    for call in chunk.tool_call_chunks:
        given = {name: call[name] for name in ("name", "id", "index") if call[name] is not None}
        yield {"tool_call": {**given, "arguments": call["args"] or ""}}
    if reason := chunk.response_metadata.get("finish_reason") or chunk.response_metadata.get("status"):
        yield {"finish_reason": reason}
    if usage := chunk.usage_metadata:
        yield {"usage": {"input": usage["input_tokens"], "output": usage["output_tokens"]}}


def unsupported(request: Request) -> str | None:
    """The reason why ChatOpenAI cannot make this request, or None if it can."""
    if isinstance(request.json, dict) and isinstance(words := request.json.get("input"), str | list):
        messages = [{"role": "user", "content": words}] if isinstance(words, str) else words
        others = {name: value for name, value in request.json.items() if name != "input"}
        request = replace(request, json={**others, "messages": messages})
    return refused_by_framework("ChatOpenAI", {*_FIELDS, *_OF_CALL}, request)


_CONTRACT = Contract(
    # It documents no exceptions of its own. Those that it raises are exceptions of openai, too.
    exceptions=frozenset({"openai.APIError"}),
    source="https://github.com/openai/openai-python#handling-errors",
    read_timeout="timeout= of ChatOpenAI",
    default_timeout="600 s",
    timeouts=frozenset({"openai.APITimeoutError"}),
    retries=2,
    reads_through="httpx",
)


def _client(name: str, path: str, session: SessionFactory, *, drops_thinking: bool) -> Client:
    return Client(
        name=name,
        distribution="langchain-openai",
        layer=Layer.OLLAMA,
        contract=_CONTRACT,
        exchange=exchange,
        session=session,
        imports=("langchain_openai",),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        drops_thinking=drops_thinking,
        paths=(path,),
        unsupported=unsupported,
    )


CLIENTS = [
    # Its documentation says that fields which are not OpenAI's are not extracted, and thinking is one over this API.
    _client("langchain-openai", "/v1/chat/completions", session, drops_thinking=True),
    _client("langchain-openai-responses", "/v1/responses", session_responses, drops_thinking=False),
]
