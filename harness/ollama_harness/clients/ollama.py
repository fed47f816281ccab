"""ollama, the official library, with threads and with asyncio: https://github.com/ollama/ollama-python"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import replace
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, Job
from ollama_harness.oracle.words import Layer
from ollama_harness.recordings.recording import Request

#: The function of the library for each request.
_CALLS = {
    ("POST", "/api/generate"): "generate",
    ("POST", "/api/chat"): "chat",
    ("POST", "/api/embed"): "embed",
    ("POST", "/api/embeddings"): "embeddings",
    ("POST", "/api/pull"): "pull",
    ("POST", "/api/show"): "show",
    ("GET", "/api/tags"): "list",
    ("GET", "/api/ps"): "ps",
}


def session(job: Job) -> AbstractContextManager[Any]:
    import ollama

    return ollama.Client(host=job.url or None, timeout=job.read_timeout_s, trust_env=job.trust_env)


def session_async(job: Job) -> AbstractAsyncContextManager[Any]:
    import ollama

    return ollama.AsyncClient(host=job.url or None, timeout=job.read_timeout_s, trust_env=job.trust_env)


def exchange(job: Job, client: Any) -> Iterator[Any]:
    answer = getattr(client, _CALLS[job.request.method, job.request.path])(**_arguments(job.request))
    if job.request.streams:
        for part in answer:
            yield _plain(part)
    else:
        yield _plain(answer)


async def exchange_async(job: Job, client: Any) -> AsyncIterator[Any]:
    answer = await getattr(client, _CALLS[job.request.method, job.request.path])(**_arguments(job.request))
    if job.request.streams:
        async for part in answer:
            yield _plain(part)
    else:
        yield _plain(answer)


def unsupported(request: Request) -> str | None:
    """The reason why no call of the library makes this request, or None if one does."""
    import inspect

    import ollama

    name = _CALLS.get((request.method, request.path))
    if name is None:
        return f"it has no call for {request.method} {request.path}"
    if request.headers:
        return "its calls take no headers"
    if request.body is not None or (request.method == "POST" and request.json is None):
        return "its calls send only JSON objects"
    arguments = _arguments(request)
    unknown = arguments.keys() - inspect.signature(getattr(ollama.Client, name)).parameters.keys()
    if unknown:
        return f"{name}() does not take {', '.join(sorted(unknown))}"
    if not isinstance(arguments.get("stream", True), bool):
        return f"{name}() takes stream=True or False only"
    if arguments and not arguments.get("model"):
        return f"{name}() refuses an empty model before it sends anything"
    if not isinstance(arguments.get("format", ""), dict) and arguments.get("format") not in (None, "", "json"):
        return f"{name}() takes a schema or json as a format"
    try:
        ollama.Options.model_validate(arguments.get("options") or {})
    except ValueError:
        return "its Options do not take values of such types"
    return None


def _arguments(request: Request) -> dict[str, Any]:
    arguments = dict(request.json or {})
    if request.streams:
        arguments["stream"] = True  # the library does not stream by default, the server does
    return arguments


def _plain(part: Any) -> Any:
    """A typed answer as JSON: only the fields that are set, with the names of the wire."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


_CONTRACT = Contract(
    # The public name is ollama.ResponseError. Classes are compared by the module that defines them.
    exceptions=frozenset({"ollama._types.ResponseError", "builtins.ConnectionError"}),
    source="https://github.com/ollama/ollama-python#errors",
    read_timeout="timeout= of the client, which passes it to httpx",
    default_timeout="none",
    proxy_rules=(
        "ollama is httpx underneath and takes its route. It makes a client when it is imported, from OLLAMA_HOST: if "
        "that or a proxy cannot be read, the import raises, whatever host a program gives later."
    ),
)


def _contract(name: str) -> Contract:
    return replace(_CONTRACT, ignores_settings=f"ollama.{name}(trust_env=False)")


CLIENTS = [
    Client(
        name="ollama",
        distribution="ollama",
        layer=Layer.OLLAMA,
        contract=_contract("Client"),
        exchange=exchange,
        session=session,
        paths=("/api/*",),
        unsupported=unsupported,
    ),
    Client(
        name="ollama-async",
        distribution="ollama",
        layer=Layer.OLLAMA,
        contract=_contract("AsyncClient"),
        exchange=exchange_async,
        session=session_async,
        paths=("/api/*",),
        unsupported=unsupported,
    ),
]
