"""The table of environments, with one list for each group, and the variables of a process in one of them."""

from __future__ import annotations

from ollama_harness.errors import UnknownName
from ollama_harness.network.environments import (
    host_names,
    macos,
    no_proxy,
    ollama_host_forms,
    proxy_behaviour,
    proxy_variables,
    runtimes,
    windows,
)
from ollama_harness.network.environments.environment import HOSTS, OLLAMA_HOST, Environment
from ollama_harness.network.environments.process_variables import clean_environment

__all__ = ["ENVIRONMENTS", "GROUPS", "HOSTS", "OLLAMA_HOST", "Environment", "clean_environment", "environment"]

#: The groups by title, in the order of the reports.
GROUPS: dict[str, list[Environment]] = {
    module.TITLE: module.ENVIRONMENTS
    for module in (windows, proxy_variables, no_proxy, macos, ollama_host_forms, host_names, proxy_behaviour, runtimes)
}

#: All environments by name, in the same order.
ENVIRONMENTS: dict[str, Environment] = {one.name: one for group in GROUPS.values() for one in group}


def environment(name: str) -> Environment:
    """One environment.

    Raises: UnknownName.
    """
    if name not in ENVIRONMENTS:
        raise UnknownName("environment", name, ENVIRONMENTS)
    return ENVIRONMENTS[name]
