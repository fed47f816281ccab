"""Environments: OLLAMA_HOST."""

from __future__ import annotations

from ollama_harness.network.environments.environment import OLLAMA_HOST, Environment


def _host(name: str, value: str, summary: str = "", disputed: str = "") -> Environment:
    return Environment(
        name=f"ollama-host-{name}",
        summary=f"OLLAMA_HOST={summary or value}",
        variables={"OLLAMA_HOST": value},
        hosts=(OLLAMA_HOST,),
        disputed=disputed,
    )


_WILDCARD = "it is an address to listen on; connecting to it works on Linux and not on Windows"

TITLE = (
    "OLLAMA_HOST in every form, read by the clients that read it; "
    "https://github.com/ollama/ollama/blob/main/envconfig/config.go."
)

ENVIRONMENTS = [
    Environment(name="ollama-host-unset", summary="OLLAMA_HOST is not set", hosts=(OLLAMA_HOST,)),
    _host("empty", "", "(empty)"),
    _host("name", "localhost"),
    _host("address", "127.0.0.1"),
    _host("address-port", "127.0.0.1:{port}", "127.0.0.1:port"),
    _host("name-port", "localhost:{port}", "localhost:port"),
    _host("port", ":{port}", ":port"),
    _host("port-zero", ":0", disputed="for the server it means any free port"),
    _host("url", "http://127.0.0.1:{port}", "http://127.0.0.1:port"),
    _host("url-slash", "http://127.0.0.1:{port}/", "http://127.0.0.1:port/"),
    _host("url-without-port", "http://127.0.0.1"),
    _host("url-path", "http://127.0.0.1:{port}/ollama", "http://127.0.0.1:port/ollama"),
    _host("all-ipv4", "0.0.0.0", disputed=_WILDCARD),
    _host("all-ipv4-port", "0.0.0.0:{port}", "0.0.0.0:port", disputed=_WILDCARD),
    _host("all-ipv6", "[::]:{port}", "[::]:port", disputed=_WILDCARD),
    _host("ipv6", "[::1]:{port}", "[::1]:port"),
    _host("ipv6-bare", "::1"),
    _host("credentials", "http://user:secret@127.0.0.1:{port}", "http://user:secret@127.0.0.1:port"),
    _host("blanks", " 127.0.0.1:{port} ", "' 127.0.0.1:port ', with blanks"),
    _host("quotes", '"127.0.0.1:{port}"', '"127.0.0.1:port", with its quotes'),
    Environment(
        name="ollama-host-and-proxy",
        summary="OLLAMA_HOST=127.0.0.1:port and HTTP_PROXY",
        variables={"OLLAMA_HOST": "127.0.0.1:{port}", "HTTP_PROXY": "http://{proxy}"},
        hosts=(OLLAMA_HOST,),
    ),
]
