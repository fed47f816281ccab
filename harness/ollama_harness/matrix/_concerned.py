"""Which clients a scenario concerns."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ollama_harness.clients.adapter import Client
from ollama_harness.matrix.scenarios import Scenario
from ollama_harness.network.environments import OLLAMA_HOST, Environment
from ollama_harness.oracle.reference import Layer
from ollama_harness.recordings.recording import Recording

__all__ = ["has_call", "hosts"]


def has_call(one: Client, recording: Recording) -> bool:
    """Whether a client has a call for the path of a recording."""
    return any(fnmatchcase(recording.request.path, pattern) for pattern in one.paths)


def hosts(one: Client, scenario: Scenario, recording: Recording) -> tuple[str, ...]:
    """The forms of the URL for a client; none if the scenario does not concern the client."""
    if one.earns is not None and None not in one.earns and scenario.name not in one.earns:
        return ()
    if not has_call(one, recording):
        return ()
    if scenario.environment is None:
        return ("",)
    if not _is_tried(one, scenario.environment):
        return ()
    reads_ollama_host = one.layer is Layer.OLLAMA and one.contract.reads_any([OLLAMA_HOST]) and not one.is_canary
    return tuple(host for host in scenario.environment.hosts if host != OLLAMA_HOST or reads_ollama_host)


def _is_tried(one: Client, environment: Environment) -> bool:
    """Whether an environment concerns a client."""
    contract = one.contract
    if environment.switch and environment.switch not in (contract.variables or ()):
        return False
    return environment.for_all or (contract.reads_any(environment.variables) and not contract.reads_through)
