"""Scenarios: network settings."""

from __future__ import annotations

from ollama_harness.matrix.scenarios.scenario import SHORT, Requirement, Scenario, Source
from ollama_harness.network.environments import ENVIRONMENTS, Environment
from ollama_harness.network.required import required


def _source(one: Environment) -> Source | None:
    """Who says which way the request must go, at the first form of URL where anybody does."""
    for host in () if one.disputed else one.hosts:
        asked = required(one.settings(), one.url(host) or "http://127.0.0.1:11434")
        if asked.route is not None:
            return Source(asked.source, f"The way is {asked.route}: {asked.because}.")
    return None


TITLE = "ENVIRONMENTS: one good answer, and a client's process born into different network settings."

SCENARIOS = [
    Scenario(
        name=one.name,
        summary=one.summary,
        recordings=SHORT,
        environment=one,
        by_default=one.story,
        source=_source(one),
        requirement=Requirement.OBSERVE if _source(one) is None else Requirement.MUST,
        read_timeout_s=1.0 if one.proxy == "hang" else 10.0,
    )
    for one in ENVIRONMENTS.values()
]
