"""litellm, over Ollama's own API (`ollama_chat/`) and over chat completions (`openai/`):
https://docs.litellm.ai/docs/providers/ollama and https://docs.litellm.ai/docs/providers/openai_compatible

By default the import asks the network for a list of prices. Its documentation says how to use the list of the package,
and the process of this client does, so that a run asks nothing of the internet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ollama_harness.clients._typed_calls import refused_by_framework
from ollama_harness.clients.adapter import Client, Contract, ExchangeFunction, Job, Yields, nothing
from ollama_harness.oracle.reference import Layer
from ollama_harness.recordings.recording import Request

#: Fields of a request that a call passes to Ollama's own API under the same name. Options are arguments, too.
_FIELDS = ("model", "messages", "stream", "tools", "keep_alive", "think", "format", "options")

#: Arguments of a call that are fields of a request over chat completions.
_FIELDS_OF_OPENAI = (
    *("model", "messages", "stream", "stream_options", "tools", "temperature", "seed", "max_tokens"),
    *("response_format", "logprobs", "top_logprobs", "reasoning_effort"),
)


def exchange(job: Job, _: Any) -> Iterator[Any]:
    body = dict(job.request.json)
    options = body.pop("options", {})
    yield from _completion(job, f"ollama_chat/{body.pop('model')}", job.url, {**body, **options})


def exchange_openai(job: Job, _: Any) -> Iterator[Any]:
    body = dict(job.request.json)
    yield from _completion(job, f"openai/{body.pop('model')}", f"{job.url}/v1", {**body, "api_key": "ollama"})


def _completion(job: Job, model: str, base: str, arguments: dict[str, Any]) -> Iterator[Any]:
    import litellm

    streams = job.request.streams
    arguments["stream"] = streams
    answer = litellm.completion(model=model, api_base=base, timeout=job.read_timeout_s, **arguments)
    for part in answer if streams else [answer]:
        for choice in part.choices:
            yield from _of_choice(choice, choice.delta if streams else choice.message)


def _of_choice(choice: Any, said: Any) -> Iterator[Any]:
    """The pieces of a choice. The numbers of tokens are left out, because litellm counts them itself."""
    if thinking := getattr(said, "reasoning_content", None):
        yield {"thinking": thinking}
    if said.content:
        yield {"text": said.content}
    for call in said.tool_calls or ():
        name = {} if call.function.name is None else {"name": call.function.name}
        index = getattr(call, "index", None)
        at = {} if index is None else {"index": index}
        yield {"tool_call": {**name, **at, "arguments": call.function.arguments or ""}}
    if choice.finish_reason:
        yield {"finish_reason": choice.finish_reason}


def unsupported(request: Request) -> str | None:
    """The reason why its call for Ollama's own API cannot make this request, or None if it can."""
    return refused_by_framework("completion()", set(_FIELDS), request)


def unsupported_openai(request: Request) -> str | None:
    """The reason why its call for chat completions cannot make this request, or None if it can."""
    return refused_by_framework("completion()", set(_FIELDS_OF_OPENAI), request)


def _client(
    name: str, path: str, exchange: ExchangeFunction, unsupported: Callable[[Request], str | None], *, retries: int
) -> Client:
    return Client(
        name=name,
        distribution="litellm",
        layer=Layer.OLLAMA,
        contract=Contract(
            exceptions=frozenset({"openai.OpenAIError"}),
            source="https://docs.litellm.ai/docs/exception_mapping",
            read_timeout="timeout= of the call",
            default_timeout="600 s",
            timeouts=frozenset({"openai.APITimeoutError"}),
            retries=retries,
            reads_through="httpx",
        ),
        exchange=exchange,
        session=nothing,
        settings=(("LITELLM_LOCAL_MODEL_COST_MAP", "True"),),
        optional=True,
        warms_up=True,
        yields=Yields.PIECES,
        paths=(path,),
        unsupported=unsupported,
    )


CLIENTS = [
    _client("litellm", "/api/chat", exchange, unsupported, retries=0),
    _client("litellm-openai", "/v1/chat/completions", exchange_openai, unsupported_openai, retries=2),
]
