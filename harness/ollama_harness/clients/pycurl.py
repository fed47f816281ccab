"""pycurl, libcurl for Python: https://pycurl.io/docs/latest/curlmultiobject.html"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, EventLines, Job
from ollama_harness.oracle.reference import Layer


class Transfers:
    """A multi object, which keeps connections, and how the transfers ended that it has finished."""

    def __init__(self) -> None:
        import pycurl

        self.multi = pycurl.CurlMulti()
        self.ended: dict[Any, Exception | None] = {}

    def close(self) -> None:
        self.multi.close()

    def perform(self) -> None:
        """Read and write as much as is possible now."""
        import pycurl

        self.multi.perform()
        _, whole, failed = self.multi.info_read()
        self.ended |= dict.fromkeys(whole)
        self.ended |= {curl: pycurl.error(number, message) for curl, number, message in failed}


def session(_: Job) -> AbstractContextManager[Transfers]:
    return closing(Transfers())


def exchange(job: Job, transfers: Transfers) -> Iterator[Any]:
    request, gathered, received = job.request, EventLines(), bytearray()
    for data in _received(job, transfers):
        received += data
        while request.streams and (end := received.find(b"\n") + 1):
            line = bytes(received[:end])
            del received[:end]
            if not request.streams_events:
                yield json.loads(line)
            elif (event := gathered.add(line)) is not None:
                yield event
    if received and not request.streams_events:
        yield json.loads(received)


def _received(job: Job, transfers: Transfers) -> Iterator[bytes]:
    """The body as it comes."""
    received: list[bytes] = []
    curl = _transfer(job, received)
    transfers.multi.add_handle(curl)
    try:
        while curl not in transfers.ended:
            transfers.multi.select(1.0)
            transfers.perform()
            while received:
                yield received.pop(0)
        if (error := transfers.ended.pop(curl)) is not None:
            raise error
    finally:
        transfers.multi.remove_handle(curl)
        curl.close()


def _transfer(job: Job, received: list[bytes]) -> Any:
    import pycurl

    request = job.request
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, job.target)
    curl.setopt(pycurl.WRITEFUNCTION, received.append)
    curl.setopt(pycurl.FAILONERROR, 1)
    # Its read timeout: the transfer fails when for so many whole seconds less than one byte a second came.
    curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
    curl.setopt(pycurl.LOW_SPEED_TIME, math.ceil(job.read_timeout_s))
    if not job.trust_env:
        curl.setopt(pycurl.NOPROXY, "*")
    headers = list(request.headers)
    if request.content is not None:
        curl.setopt(pycurl.POSTFIELDS, request.content)
    if request.json is not None:
        headers.append(("Content-Type", "application/json"))
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers])
    if request.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    else:
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
    return curl


CLIENTS = [
    Client(
        name="pycurl",
        distribution="pycurl",
        layer=Layer.HTTP,
        contract=Contract(
            # The user's code calls json.loads, whose documentation names the last two.
            exceptions=frozenset({"pycurl.error", "json.decoder.JSONDecodeError", "builtins.UnicodeDecodeError"}),
            source="https://pycurl.io/docs/latest/callbacks.html",
            read_timeout="LOW_SPEED_LIMIT and LOW_SPEED_TIME",
            timeouts=frozenset({"pycurl.error"}),
            default_timeout="none",
            reads_through="curl",
        ),
        exchange=exchange,
        session=session,
        optional=True,
    )
]
