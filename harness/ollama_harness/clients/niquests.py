"""niquests, which goes on from requests and has the same calls: https://niquests.readthedocs.io/en/latest/user/quickstart.html

Below them is urllib3-future, so that little of what they do is shared.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ollama_harness.clients.adapter import Client, Contract, Job
from ollama_harness.clients.requests import exchange
from ollama_harness.oracle.reference import Layer


def session(job: Job) -> AbstractContextManager[Any]:
    import niquests

    session: Any = niquests.Session()
    session.trust_env = job.trust_env
    return session  # type: ignore[no-any-return]


CLIENTS = [
    Client(
        name="niquests",
        distribution="niquests",
        layer=Layer.HTTP,
        contract=Contract(
            # The user's code calls json.loads, whose documentation names the last two.
            exceptions=frozenset(
                {"niquests.exceptions.RequestException", "json.decoder.JSONDecodeError", "builtins.UnicodeDecodeError"}
            ),
            source="https://niquests.readthedocs.io/en/latest/user/quickstart.html#errors-and-exceptions",
            read_timeout="timeout= of every call",
            default_timeout="120 s",
            timeouts=frozenset({"niquests.exceptions.Timeout"}),
        ),
        exchange=exchange,
        session=session,
        optional=True,
    )
]
