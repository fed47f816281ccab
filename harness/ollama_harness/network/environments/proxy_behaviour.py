"""Environments: what a proxy does."""

from __future__ import annotations

from ollama_harness.network.environments.environment import Environment


def _proxy(mode: str, summary: str) -> Environment:
    return Environment(
        name=f"proxy-{mode.replace('.', '-')}",
        summary=f"HTTP_PROXY, and the proxy {summary}",
        variables={"HTTP_PROXY": "http://{proxy}"},
        proxy=mode,
        hosts=("127.0.0.1",),
    )


TITLE = "What the proxy does with a request that reaches it: local proxy programs, company proxies, login pages."

ENVIRONMENTS = [
    _proxy("forwards", "forwards"),
    _proxy("buffers", "forwards, and keeps back the answer until it is complete"),
    _proxy("adds-chunking", "forwards, and chunks the answer again"),
    _proxy("strips-chunking", "forwards, and ends the answer by closing"),
    _proxy("http-1.0", "forwards, and answers with HTTP/1.0"),
    _proxy("gzips", "forwards, and compresses the answer"),
    _proxy("html-403", "answers 403 with a page"),
    _proxy("html-407", "asks for a password"),
    _proxy("privoxy-500", "answers 500 with Privoxy's page"),
    _proxy("squid-503", "answers 503 with Squid's page"),
    _proxy("redirect-302", "redirects to a login page"),
    _proxy("captive-portal-200", "answers 200 with a login page"),
    _proxy("empty", "closes without an answer"),
    _proxy("reset", "resets the connection"),
    _proxy("hang", "never answers"),
]
