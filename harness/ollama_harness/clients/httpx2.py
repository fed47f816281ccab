"""httpx2, which goes on from httpx and has the same calls, with threads and with asyncio:
https://github.com/pydantic/httpx2/blob/main/docs/quickstart.md
"""

from __future__ import annotations

from typing import Any

from ollama_harness.clients.adapter import Client, Contract, ExchangeFunction, Job, SessionFactory
from ollama_harness.clients.httpx import exchange, exchange_async
from ollama_harness.oracle.words import Layer


def session(job: Job) -> Any:
    import httpx2

    return httpx2.Client(timeout=job.read_timeout_s, trust_env=job.trust_env)


def session_async(job: Job) -> Any:
    import httpx2

    return httpx2.AsyncClient(timeout=job.read_timeout_s, trust_env=job.trust_env)


_CONTRACT = Contract(
    # The user's code calls json.loads, whose documentation names the last two.
    exceptions=frozenset({"httpx2.HTTPError", "json.decoder.JSONDecodeError", "builtins.UnicodeDecodeError"}),
    source="https://github.com/pydantic/httpx2/blob/main/docs/exceptions.md",
    read_timeout="timeout= of the client or of the call",
    default_timeout="5 s",
    timeouts=frozenset({"httpx2.TimeoutException"}),
    proxy_rules=(
        "httpx2 finds its proxy as httpx does. In NO_PROXY a network counts, too, and no entry of that list makes it "
        "raise."
    ),
)


def _client(name: str, exchange: ExchangeFunction, session: SessionFactory) -> Client:
    return Client(
        name=name,
        distribution="httpx2",
        layer=Layer.HTTP,
        contract=_CONTRACT,
        exchange=exchange,
        session=session,
        optional=True,
    )


CLIENTS = [_client("httpx2", exchange, session), _client("httpx2-async", exchange_async, session_async)]
