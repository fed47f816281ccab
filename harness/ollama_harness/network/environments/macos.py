"""Environments: the system proxy of macOS."""

from __future__ import annotations

from collections.abc import Mapping

from ollama_harness.network.environments.environment import Environment
from ollama_harness.network.settings import Mac, System

#: What System Settings holds unless it is changed.
_DEFAULT = ("*.local", "169.254/16")


def _mac(
    name: str,
    summary: str,
    mac: Mac,
    *,
    variables: Mapping[str, str] | None = None,
    proxy: str = "refuses",
    story: bool = False,
) -> Environment:
    return Environment(
        name=name,
        summary=summary,
        mac=mac,
        system=System.MACOS,
        variables=variables or {},
        proxy=proxy,
        story=story,
    )


TITLE = "macOS: the proxies of the system configuration, and the hosts that bypass them."

ENVIRONMENTS = [
    _mac("mac-default", "a system proxy with the default exceptions", Mac(http="{proxy}", exceptions=_DEFAULT)),
    _mac(
        "mac-excluded",
        "a system proxy with localhost and 127.0.0.1 excepted",
        Mac(http="{proxy}", https="{proxy}", exceptions=(*_DEFAULT, "localhost", "127.0.0.1")),
        story=True,
    ),
    _mac("mac-network", "127/8 excepted", Mac(http="{proxy}", exceptions=("127/8",))),
    _mac("mac-simple", "simple host names excluded", Mac(http="{proxy}", exclude_simple=True)),
    _mac("mac-https-only", "a proxy for https only", Mac(https="{proxy}", exceptions=_DEFAULT)),
    _mac("mac-socks", "a SOCKS proxy only", Mac(socks="{proxy}", exceptions=_DEFAULT)),
    _mac(
        "mac-gone",
        "the proxy program has gone",
        Mac(http="{proxy}", exceptions=("localhost", "127.0.0.1")),
        proxy="gone",
    ),
    _mac(
        "mac-and-no-proxy",
        "a system proxy, and NO_PROXY=localhost,127.0.0.1,::1",
        Mac(http="{proxy}", exceptions=_DEFAULT),
        variables={"NO_PROXY": "localhost,127.0.0.1,::1"},
    ),
]
