"""ENVIRONMENTS: one good answer, and a client's process born into different network settings."""

from __future__ import annotations

from harness.environments import ENVIRONMENTS
from harness.scenarios.base import SHORT, Scenario

SCENARIOS = [
    Scenario(
        name=one.name,
        summary=one.summary,
        recordings=SHORT,
        environment=one,
        by_default=one.story,
        read_timeout_s=1.0 if one.proxy == "hang" else 10.0,
    )
    for one in ENVIRONMENTS.values()
]
