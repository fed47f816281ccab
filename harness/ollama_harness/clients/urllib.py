"""urllib.request of the standard library: https://docs.python.org/3/library/urllib.request.html#examples"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, EventLines, Job
from ollama_harness.oracle.words import Layer


def session(job: Job) -> AbstractContextManager[Any]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return nullcontext(urllib.request.urlopen if job.trust_env else direct.open)


def exchange(job: Job, urlopen: Any) -> Iterator[Any]:
    request = urllib.request.Request(job.target, job.request.content, job.headers, method=job.request.method)
    if job.request.json is not None:
        request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=job.read_timeout_s) as response:
        if job.request.streams_events:
            gathered = EventLines()
            for line in response:
                if (event := gathered.add(line)) is not None:
                    yield event
        elif job.request.streams:
            for line in response:
                yield json.loads(line)
        elif job.request.method != "HEAD" and "json" in response.headers.get_content_type():
            yield json.load(response)


CLIENTS = [
    Client(
        name="urllib",
        distribution="",
        layer=Layer.HTTP,
        contract=Contract(
            # URLError and the socket's exceptions are OSErrors. The response is one of http.client.
            exceptions=frozenset(
                {
                    "builtins.OSError",
                    "http.client.HTTPException",
                    "json.decoder.JSONDecodeError",
                    "builtins.UnicodeDecodeError",
                }
            ),
            source="https://docs.python.org/3/library/urllib.request.html#urllib.request.urlopen",
            read_timeout="timeout= of every call",
            default_timeout="none",
            timeouts=frozenset({"builtins.TimeoutError", "urllib.error.URLError"}),
            proxy_rules=(
                "urllib reads the variables <scheme>_proxy in either case (lower case wins), and only if there is "
                "none, not even NO_PROXY, the proxies of the registry or of macOS. They are read at the first urlopen "
                "of a process and kept; NO_PROXY is read at every call. ALL_PROXY is not used. Variables are compared "
                "with the host's name, and the lists of Windows and macOS with the name and its port. A proxy of "
                "another scheme is opened as a URL of that scheme: https:// is used over TLS, and socks5:// is an "
                "unknown kind of URL."
            ),
            ignores_settings="urllib.request.build_opener(urllib.request.ProxyHandler({}))",
        ),
        exchange=exchange,
        session=session,
    )
]
