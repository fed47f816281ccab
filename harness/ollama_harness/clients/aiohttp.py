"""aiohttp: https://docs.aiohttp.org/en/stable/client_quickstart.html#streaming-response-content

The session reads no network settings, unless its user asks for that: `trust_env` is off.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, EventLines, Job
from ollama_harness.oracle.words import Layer


def session(job: Job) -> Any:
    import aiohttp

    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=job.read_timeout_s), raise_for_status=True)


async def exchange(job: Job, session: Any) -> AsyncIterator[Any]:
    request = job.request
    body = {"json": request.json} if request.json is not None else {"data": request.body}
    async with session.request(request.method, job.target, headers=job.headers, **body) as response:
        if request.streams_events:
            gathered = EventLines()
            async for line in response.content:
                if (event := gathered.add(line)) is not None:
                    yield event
        elif request.streams:
            async for line in response.content:
                yield json.loads(line)
        elif "json" in response.content_type and await response.read():
            yield await response.json()


CLIENTS = [
    Client(
        name="aiohttp",
        distribution="aiohttp",
        layer=Layer.HTTP,
        contract=Contract(
            # The user's code calls json.loads, whose documentation names the last two.
            exceptions=frozenset(
                {
                    "aiohttp.client_exceptions.ClientError",
                    "builtins.TimeoutError",
                    "json.decoder.JSONDecodeError",
                    "builtins.UnicodeDecodeError",
                }
            ),
            source="https://docs.aiohttp.org/en/stable/client_reference.html#client-exceptions",
            read_timeout="sock_read= of the ClientTimeout of the session or of the call",
            timeouts=frozenset({"aiohttp.client_exceptions.ServerTimeoutError"}),
            default_timeout="300 s for the whole exchange",
            variables=frozenset(),
            proxy_rules="aiohttp uses no proxy, unless its user asks for the variables: ClientSession(trust_env=True).",
        ),
        exchange=exchange,
        session=session,
        optional=True,
    )
]
