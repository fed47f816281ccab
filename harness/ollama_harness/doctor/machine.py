"""Reads the network settings of this machine. Nothing is changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from ollama_harness.network import windows_registry
from ollama_harness.network.settings import Mac, Settings, System

__all__ = ["other_variables", "settings"]

_OTHERS = ("REQUEST_METHOD", "OLLAMA_HOST")


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that a new process would find."""
    system = System.here()
    variables = {name: value for name, value in environ.items() if _decides(name)}
    registry = windows_registry.read() if system is System.WINDOWS else None
    return Settings(system=system, variables=variables, registry=registry, mac=_mac())


def other_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a client's process besides `settings`. PYTHONPATH would hide modules of its Python."""
    return {name: value for name, value in environ.items() if not _decides(name) and name != "PYTHONPATH"}


def _decides(name: str) -> bool:
    return name.lower().endswith("_proxy") or name.upper() in _OTHERS


def _mac() -> Mac | None:
    if sys.platform != "darwin":
        return None
    import _scproxy  # type: ignore[import-not-found,unused-ignore]

    proxies: dict[str, str] = _scproxy._get_proxies()
    found: dict[str, Any] = _scproxy._get_proxy_settings()
    named = {scheme: url.rpartition("//")[2] for scheme, url in proxies.items() if scheme in ("http", "https", "socks")}
    return Mac(
        **named,
        exclude_simple=bool(found.get("exclude_simple")),
        exceptions=tuple(one for one in found.get("exceptions", ()) if one),
    )
