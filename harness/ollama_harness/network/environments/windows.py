"""Environments: the system proxy of Windows.

`ProxyOverride` lists the hosts to reach directly, https://learn.microsoft.com/en-us/windows/win32/api/wininet/nf-wininet-internetopena.
"""

from __future__ import annotations

from collections.abc import Mapping

from ollama_harness.network.environments.environment import Environment
from ollama_harness.network.settings import Registry, System

_CLASH = (
    "localhost;127.*;192.168.*;10.*;172.16.*;172.17.*;172.18.*;172.19.*;172.20.*;172.21.*;172.22.*;172.23.*;"
    "172.24.*;172.25.*;172.26.*;172.27.*;172.28.*;172.29.*;172.30.*;172.31.*;<local>"
)
_SHADOWSOCKS = "<local>;localhost;127.*;10.*;172.16.*;172.17.*;172.18.*;172.19.*;192.168.*"


def _registry(
    name: str,
    summary: str,
    override: str | None = None,
    *,
    server: str | None = "{proxy}",
    enable: int | str = 1,
    pac_url: str | None = None,
    variables: Mapping[str, str] | None = None,
    trust_env: bool = True,
    disputed: str = "",
    proxy: str = "refuses",
    story: bool = False,
    explains: str = "",
) -> Environment:
    return Environment(
        name=name,
        summary=summary,
        registry=Registry(enable=enable, server=server, override=override, pac_url=pac_url),
        system=System.WINDOWS,
        variables=variables or {},
        trust_env=trust_env,
        disputed=disputed,
        proxy=proxy,
        story=story,
        explains=explains,
    )


TITLE = "Windows: the system proxy of `HKCU\\...\\Internet Settings`, as dialogues and local proxy programs write it."

ENVIRONMENTS = [
    _registry(
        "issue-9549",
        "a Windows system proxy that excludes this machine (ollama/ollama#9549)",
        _CLASH,
        story=True,
        explains=(
            "httpx, and so ollama, reads ProxyServer from the registry and never reads ProxyOverride. So its requests "
            "to this machine go to the proxy, which answers 502.\n"
            "requests and urllib read both and go direct. Streaming has nothing to do with it. The fix: set "
            "NO_PROXY=localhost,127.0.0.1,::1 (or httpx.Client(trust_env=False))."
        ),
    ),
    _registry("registry-off", "ProxyEnable is 0, ProxyServer is still there", "<local>", enable=0),
    _registry("registry-no-override", "ProxyOverride is absent", story=True),
    _registry("registry-override-empty", "ProxyOverride is empty", ""),
    _registry("registry-local", "ProxyOverride is <local>: the box in the dialogue", "<local>"),
    _registry("registry-localhost", "ProxyOverride is localhost", "localhost"),
    _registry("registry-address", "ProxyOverride is 127.0.0.1", "127.0.0.1"),
    _registry("registry-typical", "ProxyOverride is localhost;127.*;<local>", "localhost;127.*;<local>"),
    _registry("registry-shadowsocks", "ProxyOverride as Shadowsocks writes it", _SHADOWSOCKS),
    _registry(
        "registry-blanks",
        "ProxyOverride with blanks after the semicolons",
        "example.com; localhost; 127.0.0.1",
        disputed="Microsoft documents semicolons or blanks between entries, Python splits at semicolons",
    ),
    _registry("registry-trailing", "ProxyOverride ends with a semicolon", "example.com;"),
    _registry("registry-unrelated", "ProxyOverride is *.example.com", "*.example.com"),
    _registry("registry-not-loopback", "ProxyOverride is <-loopback>, as Fiddler writes it", "<-loopback>"),
    _registry("registry-ipv6", "ProxyOverride is [::1]", "[::1]"),
    _registry("registry-per-protocol", "a proxy for each protocol", "<local>", server="http={proxy};https={proxy}"),
    _registry("registry-https-only", "ProxyServer names a proxy for https only", server="https={proxy}"),
    _registry("registry-socks", "ProxyServer is socks=…", server="socks={proxy}"),
    _registry("registry-socks-excluded", "socks=…, and this machine excluded", _CLASH, server="socks={proxy}"),
    _registry("registry-with-scheme", "ProxyServer is http://host:port", "<local>", server="http://{proxy}"),
    _registry("registry-enable-text", "ProxyEnable is the text 1", _CLASH, enable="1"),
    _registry("registry-pac", "AutoConfigURL only", enable=0, server=None, pac_url="http://127.0.0.1:9/proxy.pac"),
    _registry("registry-gone", "the proxy program has gone and left its settings", _CLASH, proxy="gone"),
    _registry(
        "registry-and-no-proxy",
        "the system proxy of ollama#9549, and the fix NO_PROXY=localhost,127.0.0.1,::1",
        _CLASH,
        variables={"NO_PROXY": "localhost,127.0.0.1,::1"},
    ),
    _registry(
        "registry-and-other-no-proxy",
        "the system proxy, and a NO_PROXY of another host: Python then ignores the registry",
        _CLASH,
        variables={"NO_PROXY": "example.com"},
    ),
    _registry(
        "registry-and-https-proxy",
        "the system proxy, and HTTPS_PROXY: Python then ignores the registry",
        _CLASH,
        variables={"HTTPS_PROXY": "http://{proxy}"},
    ),
    _registry(
        "registry-and-http-proxy",
        "the system proxy with its exclusions, and HTTP_PROXY without",
        _CLASH,
        variables={"HTTP_PROXY": "http://{proxy}"},
    ),
    _registry(
        "registry-ignored",
        "the system proxy of ollama#9549, and the fix trust_env=False",
        _CLASH,
        trust_env=False,
    ),
    _registry(
        "registry-and-empty-http-proxy",
        "the system proxy, and `set http_proxy=`, which sets no variable on Windows",
        _CLASH,
    ),
]
