"""Environments: proxy variables.

curl reads http_proxy in lower case only, Python in both; see https://everything.curl.dev/usingcurl/proxies/env.html.
"""

from __future__ import annotations

from ollama_harness.network.environments.environment import Environment
from ollama_harness.network.settings import System

_HTTP = {"HTTP_PROXY": "http://{proxy}"}

TITLE = "Proxy variables: which of them name a proxy, in every case, kind and spelling."

ENVIRONMENTS = [
    Environment(name="nothing-set", summary="no variable and no system proxy", story=True),
    Environment(name="http-proxy", summary="HTTP_PROXY, and no NO_PROXY", variables=_HTTP, story=True),
    Environment(
        name="http-proxy-lower", summary="http_proxy in lower case", variables={"http_proxy": "http://{proxy}"}
    ),
    Environment(name="all-proxy", summary="ALL_PROXY only", variables={"ALL_PROXY": "http://{proxy}"}),
    Environment(
        name="https-proxy-only",
        summary="HTTPS_PROXY only, as Ollama's FAQ advises",
        variables={"HTTPS_PROXY": "http://{proxy}"},
    ),
    Environment(
        name="proxy-everywhere",
        summary="HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, in both cases",
        variables={
            name: "http://{proxy}"
            for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
            for name in (upper, upper.lower())
        },
        system=System.POSIX,
        for_all=True,
    ),
    Environment(name="proxy-without-scheme", summary="HTTP_PROXY=host:port", variables={"HTTP_PROXY": "{proxy}"}),
    Environment(
        name="proxy-with-slash", summary="HTTP_PROXY=http://host:port/", variables={"HTTP_PROXY": "http://{proxy}/"}
    ),
    Environment(
        name="proxy-with-https", summary="HTTP_PROXY=https://host:port", variables={"HTTP_PROXY": "https://{proxy}"}
    ),
    Environment(
        name="proxy-with-credentials",
        summary="HTTP_PROXY=http://user:password@host:port",
        variables={"HTTP_PROXY": "http://user:secret@{proxy}"},
    ),
    Environment(name="proxy-malformed", summary="HTTP_PROXY=http://", variables={"HTTP_PROXY": "http://"}),
    Environment(name="socks4", summary="HTTP_PROXY=socks4://…", variables={"HTTP_PROXY": "socks4://{proxy}"}),
    Environment(name="socks5", summary="HTTP_PROXY=socks5://…", variables={"HTTP_PROXY": "socks5://{proxy}"}),
    Environment(name="socks5h", summary="ALL_PROXY=socks5h://…", variables={"ALL_PROXY": "socks5h://{proxy}"}),
    Environment(
        name="socks-for-https",
        summary="HTTPS_PROXY=socks5://…, which does not concern an http URL",
        variables={"HTTPS_PROXY": "socks5://{proxy}"},
    ),
    Environment(
        name="socks-excluded",
        summary="ALL_PROXY=socks5://… and NO_PROXY for this machine",
        variables={"ALL_PROXY": "socks5://{proxy}", "NO_PROXY": "localhost,127.0.0.1,::1"},
        story=True,
    ),
    Environment(
        name="empty-beside-set",
        summary="http_proxy= beside HTTP_PROXY, as people write to switch it off",
        variables={"HTTP_PROXY": "http://{proxy}", "http_proxy": ""},
        system=System.POSIX,
    ),
    Environment(
        name="both-cases",
        summary="http_proxy and HTTP_PROXY name two proxies, and only the first is there",
        variables={"http_proxy": "http://{proxy}", "HTTP_PROXY": "http://127.0.0.1:9"},
        system=System.POSIX,
    ),
    Environment(
        name="request-method",
        summary="HTTP_PROXY while REQUEST_METHOD is set, as in a CGI program",
        variables={**_HTTP, "REQUEST_METHOD": "GET"},
    ),
    Environment(name="proxy-gone", summary="HTTP_PROXY names a closed port", variables=_HTTP, proxy="gone"),
    Environment(
        name="gnome-desktop",
        summary="what a GNOME terminal exports when a manual proxy is set",
        variables={
            "http_proxy": "http://{proxy}/",
            "https_proxy": "http://{proxy}/",
            "all_proxy": "socks://{proxy}/",
            "no_proxy": "localhost,127.0.0.0/8,::1",
            "HTTP_PROXY": "http://{proxy}/",
            "HTTPS_PROXY": "http://{proxy}/",
            "ALL_PROXY": "socks://{proxy}/",
            "NO_PROXY": "localhost,127.0.0.0/8,::1",
        },
        system=System.POSIX,
        story=True,
    ),
    Environment(
        name="gnome-desktop-without-socks",
        summary="what a GNOME terminal exports for an http and an https proxy",
        variables={
            "http_proxy": "http://{proxy}/",
            "https_proxy": "http://{proxy}/",
            "no_proxy": "localhost,127.0.0.0/8,::1",
        },
    ),
    Environment(
        name="proxy-set-later",
        summary="HTTP_PROXY is set after the client has been made",
        later=_HTTP,
        disputed="no document says when the variables are read",
    ),
    Environment(
        name="excluded-later",
        summary="HTTP_PROXY from the start; NO_PROXY is set after the client has been made",
        variables=_HTTP,
        later={"NO_PROXY": "localhost,127.0.0.1,::1"},
        disputed="no document says when the variables are read",
    ),
    Environment(
        name="name-through-proxy",
        summary="HTTP_PROXY, and a host that is not a loopback name",
        variables=_HTTP,
        names={"localhost": ("127.0.0.1",), "ollama.test": ("127.0.0.1",)},
        hosts=("ollama.test",),
        proxy="forwards",
    ),
    Environment(
        name="name-excluded",
        summary="HTTP_PROXY, and NO_PROXY with the domain of the host",
        variables={**_HTTP, "NO_PROXY": ".test"},
        names={"localhost": ("127.0.0.1",), "ollama.test": ("127.0.0.1",)},
        hosts=("ollama.test",),
    ),
]
