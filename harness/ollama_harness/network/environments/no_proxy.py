"""Environments: NO_PROXY.

No standard defines it: https://about.gitlab.com/blog/we-need-to-talk-no-proxy/ compares five programs.
"""

from __future__ import annotations

from ollama_harness.network.environments.environment import Environment


def _no_proxy(name: str, value: str, summary: str, *, story: bool = False) -> Environment:
    variables = {"HTTP_PROXY": "http://{proxy}", "NO_PROXY": value}
    return Environment(name=name, summary=f"NO_PROXY={summary}", variables=variables, story=story)


TITLE = "NO_PROXY in every form that people write, beside HTTP_PROXY."

ENVIRONMENTS = [
    _no_proxy("no-proxy-name", "localhost", "localhost"),
    _no_proxy("no-proxy-address", "127.0.0.1", "127.0.0.1"),
    _no_proxy("no-proxy-list", "localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1: the fix", story=True),
    _no_proxy("no-proxy-blanks", "localhost, 127.0.0.1, ::1", "with a blank after each comma"),
    _no_proxy("no-proxy-upper", "LOCALHOST", "LOCALHOST"),
    _no_proxy("no-proxy-dot", ".localhost", ".localhost"),
    _no_proxy("no-proxy-star-dot", "*.localhost", "*.localhost"),
    _no_proxy("no-proxy-star", "*", "*"),
    _no_proxy("no-proxy-star-in-list", "example.com,*", "example.com,*"),
    _no_proxy("no-proxy-glob", "127.*", "127.*"),
    _no_proxy("no-proxy-network", "127.0.0.0/8", "127.0.0.0/8", story=True),
    _no_proxy("no-proxy-desktop", "localhost,127.0.0.0/8,::1", "localhost,127.0.0.0/8,::1, as desktops export it"),
    _no_proxy("no-proxy-ipv6", "::1", "::1"),
    _no_proxy("no-proxy-ipv6-brackets", "[::1]", "[::1]", story=True),
    _no_proxy("no-proxy-ipv6-network", "::1/128", "::1/128"),
    _no_proxy("no-proxy-port", "localhost:{port}", "localhost:port"),
    _no_proxy("no-proxy-address-port", "127.0.0.1:{port}", "127.0.0.1:port"),
    _no_proxy("no-proxy-other-port", "localhost:1", "localhost:1, another port"),
    _no_proxy("no-proxy-semicolons", "localhost;127.0.0.1", "with semicolons, as in Windows' dialogue"),
    _no_proxy("no-proxy-local", "<local>", "<local>, as in Windows' dialogue"),
    _no_proxy("no-proxy-url", "http://localhost", "http://localhost"),
    _no_proxy("no-proxy-unrelated", "example.com", "example.com"),
    _no_proxy("no-proxy-non-ascii", "bücher.example", "bücher.example"),
    _no_proxy("no-proxy-empty", "", ", empty"),
    Environment(name="no-proxy-alone", summary="NO_PROXY without a proxy", variables={"NO_PROXY": "example.com"}),
    Environment(
        name="no-proxy-lower",
        summary="http_proxy and no_proxy in lower case",
        variables={"http_proxy": "http://{proxy}", "no_proxy": "localhost,127.0.0.1,::1"},
        for_all=True,
    ),
]
