"""requests: https://requests.readthedocs.io/en/latest/user/advanced/#streaming-requests"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, EventLines, Job
from ollama_harness.oracle.words import Layer


def session(job: Job) -> AbstractContextManager[Any]:
    import requests

    session = requests.Session()
    session.trust_env = job.trust_env
    return session


def exchange(job: Job, session: Any) -> Iterator[Any]:
    request = job.request
    with session.request(
        request.method,
        job.target,
        json=request.json,
        data=request.body,
        headers=job.headers,
        stream=request.streams,
        timeout=job.read_timeout_s,
    ) as response:
        response.raise_for_status()
        if request.streams_events:
            gathered = EventLines()
            for line in response.iter_lines():
                if (event := gathered.add(line)) is not None:
                    yield event
        elif request.streams:
            for line in response.iter_lines():
                if line:  # filter out keep-alive new lines, as the documentation says
                    yield json.loads(line)
        elif response.content and "json" in response.headers.get("Content-Type", ""):
            yield response.json()


CLIENTS = [
    Client(
        name="requests",
        distribution="requests",
        layer=Layer.HTTP,
        contract=Contract(
            # The user's code calls json.loads, as in the documentation's example. Its documentation names the last two.
            exceptions=frozenset(
                {"requests.exceptions.RequestException", "json.decoder.JSONDecodeError", "builtins.UnicodeDecodeError"}
            ),
            source="https://requests.readthedocs.io/en/latest/user/quickstart/#errors-and-exceptions",
            read_timeout="timeout= of every call",
            default_timeout="none",
            timeouts=frozenset({"requests.exceptions.Timeout"}),
            proxy_rules=(
                "requests reads the settings for each request. NO_PROXY is compared by its own rules and then by "
                "those of urllib: an entry is a name or the end of one, with or without the port, or for an IPv4 "
                "address also a network (127.0.0.0/8); an address with a port covers nothing. On Windows, without any "
                "<scheme>_proxy variable, ProxyOverride excludes hosts; its entries are read as patterns for the "
                "beginning of the name. The proxy is the first of http://host, http, all://host and all; one without "
                "a scheme is http. SOCKS needs the package PySocks."
            ),
            ignores_settings="session = requests.Session(); session.trust_env = False",
        ),
        exchange=exchange,
        session=session,
    )
]
