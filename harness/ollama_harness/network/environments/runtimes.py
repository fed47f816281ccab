"""Environments: what the runtime of a client reads, and only that.

Node reads proxy variables if NODE_USE_ENV_PROXY is set: https://nodejs.org/api/cli.html#node_use_env_proxy1. Java reads
properties of its own, which JAVA_TOOL_OPTIONS can give to any program: https://docs.oracle.com/en/java/javase/21/core/java-networking.html#GUID-2C88D6BD-F278-4BD5-B0E5-F39B2BFAA840
"""

from __future__ import annotations

from ollama_harness.network.environments.environment import Environment

TITLE = "What only the runtime of a client reads: NODE_USE_ENV_PROXY of Node, and the properties of Java."


def _node(name: str, summary: str, *, for_all: bool = False, **more: str) -> Environment:
    return Environment(
        name=f"node-env-proxy{name}",
        summary=f"NODE_USE_ENV_PROXY=1 and {summary}",
        variables={"NODE_USE_ENV_PROXY": "1", **(more or {"HTTP_PROXY": "http://{proxy}"})},
        switch="NODE_USE_ENV_PROXY",
        for_all=for_all,
    )


def _java(name: str, options: str, summary: str, *, for_all: bool = False, **more: str) -> Environment:
    return Environment(
        name=f"java-{name}",
        summary=summary,
        variables={"JAVA_TOOL_OPTIONS": options, **more},
        disputed="only Java reads these settings",
        switch="JAVA_TOOL_OPTIONS",
        for_all=for_all,
    )


_HOST = "-Dhttp.proxyHost={proxy_host} -Dhttp.proxyPort={proxy_port}"
_LIST = "localhost,127.0.0.1,::1"

ENVIRONMENTS = [
    _node("", "HTTP_PROXY", for_all=True),
    _node("-lower", "http_proxy", http_proxy="http://{proxy}"),
    _node("-excluded", f"NO_PROXY={_LIST}", HTTP_PROXY="http://{proxy}", NO_PROXY=_LIST),
    _node("-network", "NO_PROXY=127.0.0.0/8", HTTP_PROXY="http://{proxy}", NO_PROXY="127.0.0.0/8"),
    _java("proxy-host", _HOST, "http.proxyHost, with the hosts that Java excludes by itself"),
    _java(
        "proxy-for-all",
        f"{_HOST} -Dhttp.nonProxyHosts=",
        "http.proxyHost, and http.nonProxyHosts is empty",
        for_all=True,
    ),
    _java(
        "system-proxies",
        "-Djava.net.useSystemProxies=true",
        "java.net.useSystemProxies, and http_proxy",
        http_proxy="http://{proxy}",
    ),
]
