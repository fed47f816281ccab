"""httpx, with threads and with asyncio: https://www.python-httpx.org/quickstart/#streaming-responses"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import replace
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, EventLines, Job
from ollama_harness.oracle.words import Layer


def session(job: Job) -> AbstractContextManager[Any]:
    import httpx

    return httpx.Client(timeout=job.read_timeout_s, trust_env=job.trust_env)


def session_async(job: Job) -> AbstractAsyncContextManager[Any]:
    import httpx

    return httpx.AsyncClient(timeout=job.read_timeout_s, trust_env=job.trust_env)


def exchange(job: Job, client: Any) -> Iterator[Any]:
    if job.request.streams:
        with client.stream(**_arguments(job)) as response:
            response.raise_for_status()
            gathered = EventLines()
            for line in response.iter_lines():
                if not job.request.streams_events:
                    yield json.loads(line)
                elif (event := gathered.add(line)) is not None:
                    yield event
    else:
        yield from _answer(client.request(**_arguments(job)))


async def exchange_async(job: Job, client: Any) -> AsyncIterator[Any]:
    if job.request.streams:
        async with client.stream(**_arguments(job)) as response:
            response.raise_for_status()
            gathered = EventLines()
            async for line in response.aiter_lines():
                if not job.request.streams_events:
                    yield json.loads(line)
                elif (event := gathered.add(line)) is not None:
                    yield event
    else:
        for record in _answer(await client.request(**_arguments(job))):
            yield record


def _arguments(job: Job) -> dict[str, Any]:
    request = job.request
    body = {"json": request.json} if request.json is not None else {"content": request.body}
    return {"method": request.method, "url": job.target, "headers": job.headers, **body}


def _answer(response: Any) -> Iterator[Any]:
    response.raise_for_status()
    if response.content and "json" in response.headers.get("Content-Type", ""):
        yield response.json()


_PROXY_RULES = (
    "httpx reads the settings once, when a client is made: the variables <scheme>_proxy and all_proxy in either case, "
    "and only if there is none, not even NO_PROXY, the proxies of the registry or of macOS. A proxy that it cannot "
    "read raises there, even if no request needs it; socks5 and socks5h need the package socksio. Only NO_PROXY "
    "excludes hosts. An entry is a name with all names below it, an address, or a URL with its scheme; * anywhere in "
    "the list means no proxy at all, .name covers only names below, and a network covers only its first address. "
    "ProxyOverride of Windows and the exceptions of macOS are never read."
)


def _contract(name: str) -> Contract:
    return replace(_CONTRACT, ignores_settings=f"httpx.{name}(trust_env=False)")


_CONTRACT = Contract(
    # The user's code calls json.loads, whose documentation names the last two.
    exceptions=frozenset({"httpx.HTTPError", "json.decoder.JSONDecodeError", "builtins.UnicodeDecodeError"}),
    source="https://www.python-httpx.org/exceptions/",
    read_timeout="timeout= of the client or of the call",
    default_timeout="5 s",
    timeouts=frozenset({"httpx.TimeoutException"}),
    proxy_rules=_PROXY_RULES,
)

CLIENTS = [
    Client(
        name="httpx",
        distribution="httpx",
        layer=Layer.HTTP,
        contract=_contract("Client"),
        exchange=exchange,
        session=session,
    ),
    Client(
        name="httpx-async",
        distribution="httpx",
        layer=Layer.HTTP,
        contract=_contract("AsyncClient"),
        exchange=exchange_async,
        session=session_async,
    ),
]
