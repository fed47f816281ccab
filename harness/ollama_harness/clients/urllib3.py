"""urllib3: https://urllib3.readthedocs.io/en/stable/advanced-usage.html#streaming-and-i-o

It reads no network settings: a user who wants a proxy makes a ProxyManager.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, EventLines, Job
from ollama_harness.oracle.words import Layer


def session(job: Job) -> AbstractContextManager[Any]:
    import urllib3

    return urllib3.PoolManager(timeout=urllib3.Timeout(read=job.read_timeout_s))


def exchange(job: Job, pool: Any) -> Iterator[Any]:
    request = job.request
    body = {"json": request.json} if request.json is not None else {"body": request.body}
    call = {"method": request.method, "url": job.target, "headers": job.headers, **body}
    if not request.streams:
        response = pool.request(**call)
        _raise_for_status(response)
        if response.data and "json" in response.headers.get("Content-Type", ""):
            yield response.json()
        return
    with pool.request(**call, preload_content=False) as response:
        _raise_for_status(response)
        gathered = EventLines()
        for line in response:
            if not request.streams_events:
                yield json.loads(line)
            elif (event := gathered.add(line)) is not None:
                yield event


def _raise_for_status(response: Any) -> None:
    """urllib3 leaves that to its user."""
    from urllib3.exceptions import HTTPError

    if response.status >= 400:
        raise HTTPError(f"status {response.status}")


CLIENTS = [
    Client(
        name="urllib3",
        distribution="urllib3",
        layer=Layer.HTTP,
        contract=Contract(
            # The user's code calls json.loads, whose documentation names the last two.
            exceptions=frozenset(
                {"urllib3.exceptions.HTTPError", "json.decoder.JSONDecodeError", "builtins.UnicodeDecodeError"}
            ),
            source="https://urllib3.readthedocs.io/en/stable/user-guide.html#errors-exceptions",
            read_timeout="timeout= of the PoolManager or of the call",
            default_timeout="none",
            timeouts=frozenset({"urllib3.exceptions.TimeoutError"}),
            retries=3,
            variables=frozenset(),
            proxy_rules="urllib3 uses no proxy, unless its user makes a ProxyManager instead of a PoolManager.",
        ),
        exchange=exchange,
        session=session,
        optional=True,
    )
]
