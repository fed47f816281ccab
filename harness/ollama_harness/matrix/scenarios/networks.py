"""Scenarios: network settings."""

from __future__ import annotations

from ollama_harness.matrix.scenarios.scenario import ONE_OF_EACH, Requirement, Scenario, Source
from ollama_harness.network.environments import ENVIRONMENTS, Environment
from ollama_harness.network.required import required


def _source(one: Environment) -> Source | None:
    """The document that requires a route, for the first form of the URL for which one does."""
    for host in () if one.disputed else one.hosts:
        route = required(one.settings(), one.url(host) or "http://127.0.0.1:11434")
        if route.route is not None:
            return Source(route.source, f"The route is {route.route}: {route.because}.")
    return None


TITLE = "ENVIRONMENTS: one good answer, and a client's process that starts with different network settings."

SCENARIOS = [
    Scenario(
        name=one.name,
        summary=one.summary,
        recordings=ONE_OF_EACH,
        environment=one,
        by_default=one.story,
        source=_source(one),
        requirement=Requirement.OBSERVE if _source(one) is None else Requirement.MUST,
        read_timeout_s=1.0 if one.proxy == "hang" else 10.0,
    )
    for one in ENVIRONMENTS.values()
]
