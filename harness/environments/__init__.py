"""The table of environments, one list for each group, and the birth of a process in one of them."""

from __future__ import annotations

from harness.environments import exclusions, hosts, mac, names, proxies, registry, variables
from harness.environments.base import HOSTS, OLLAMA_HOST, Environment
from harness.environments.birth import clean_environment
from harness.errors import UnknownName

__all__ = ["ENVIRONMENTS", "GROUPS", "HOSTS", "OLLAMA_HOST", "Environment", "clean_environment", "environment"]

#: The groups in the order of the reports, each with its module's first line.
GROUPS: dict[str, list[Environment]] = {
    (module.__doc__ or "").strip().partition("\n")[0]: module.ENVIRONMENTS
    for module in (registry, variables, exclusions, mac, hosts, names, proxies)
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
