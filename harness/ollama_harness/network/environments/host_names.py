"""Environments: names of this machine."""

from __future__ import annotations

from ollama_harness.network.environments.environment import Environment

_IPV6_FIRST = {"localhost": ("::1", "127.0.0.1")}

TITLE = "What `localhost` is, and what listens there."

ENVIRONMENTS = [
    Environment(
        name="localhost-is-ipv6-first",
        summary="localhost is ::1 first, and the server listens on both",
        names=_IPV6_FIRST,
    ),
    Environment(
        name="server-on-ipv4-only",
        summary="localhost is ::1 first, and the server listens on 127.0.0.1 only, as Ollama does",
        names=_IPV6_FIRST,
        ipv6=False,
        hosts=("localhost", "127.0.0.1"),
    ),
    Environment(
        name="other-program-on-ipv6",
        summary="localhost is ::1 first, and another program listens there on the same port",
        names=_IPV6_FIRST,
        beside=True,
    ),
]
