"""Experiments: a claim about ollama/ollama#9549, and trials that differ only in what is claimed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

from ollama_harness.faults import Fault
from ollama_harness.matrix.scenarios.scenario import Source
from ollama_harness.network.environments import Environment, environment
from ollama_harness.recordings.recording import Headers

__all__ = [
    "AS_REPORTED",
    "BUILT_ON_HTTPX",
    "CLIENTS",
    "HTTP_PROXY",
    "NO_PROXY",
    "NO_SETTINGS",
    "ClaimKind",
    "Conditions",
    "Experiment",
    "Trial",
    "changed",
    "differences",
]

BUILT_ON_HTTPX = ("httpx", "httpx-async", "ollama", "ollama-async")
CLIENTS = (*BUILT_ON_HTTPX, "requests", "urllib")

#: The value of NO_PROXY that all these libraries understand.
NO_PROXY = "localhost,127.0.0.1,::1"

#: Fields of an environment that do not change its behaviour.
_LABELS = {"name", "summary", "story", "explains", "disputed", "hosts"}


class ClaimKind(StrEnum):
    """The kind of a claim."""

    EXPLANATION = "explanation"
    REMEDY = "remedy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """All conditions of a request. `fresh`: in a new virtual environment.

    Each client makes the request `times` times, one after the other, each with its own client object.
    """

    environment: Environment
    recording: str = "0.32.15/generate-stream"
    faults: tuple[Fault, ...] = ()
    read_timeout_s: float = 10.0
    headers: Headers = ()
    clients: tuple[str, ...] = CLIENTS
    host: str = "127.0.0.1"
    times: int = 1
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`where` is what stays the same, and `what` is what varies. `given`: with the claimed cause or remedy."""

    where: str
    what: str
    given: bool
    conditions: Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One claim and its trials. `title` is the claim in a few words, `source` where it is made (None: not found).

    `note` describes the trials further. It states no result.
    """

    name: str
    kind: ClaimKind
    title: str
    claim: str
    source: Source | None
    trials: tuple[Trial, ...]
    note: str = ""

    @property
    def varies(self) -> frozenset[str]:
        """The conditions in which the trials of one place differ."""
        return frozenset(
            name
            for one in self.trials
            for other in self.trials
            if one.where == other.where
            for name in differences(one.conditions, other.conditions)
        )


def differences(one: Conditions, other: Conditions) -> frozenset[str]:
    """The names of the conditions that differ; for an environment `environment.registry` and so on."""
    found = {each.name for each in fields(one) if getattr(one, each.name) != getattr(other, each.name)}
    if "environment" in found:
        found.remove("environment")
        a, b = one.environment, other.environment
        names = (each.name for each in fields(a) if each.name not in _LABELS)
        found |= {f"environment.{name}" for name in names if getattr(a, name) != getattr(b, name)}
    return frozenset(found)


def changed(trial: Trial, what: str, *, given: bool, conditions: Conditions) -> Trial:
    """The same place with other conditions."""
    return Trial(where=trial.where, what=what, given=given, conditions=conditions)


#: The places of experiments.
AS_REPORTED = Trial(
    where="Windows system proxy",
    what="as reported",
    given=False,
    conditions=Conditions(environment=environment("issue-9549")),
)
HTTP_PROXY = Trial(
    where="HTTP_PROXY variable",
    what="as it is",
    given=False,
    conditions=Conditions(environment=environment("http-proxy")),
)
NO_SETTINGS = Trial(
    where="no proxy", what="as it is", given=False, conditions=Conditions(environment=environment("nothing-set"))
)
