"""The texts of docs/proxies.md: the messages that people search for, what each means, and what to set."""

from __future__ import annotations

from dataclasses import dataclass

from pages.experiments.experiment import NO_PROXY

__all__ = ["HEAD", "LIMITS", "MESSAGES", "TABLE", "ProxyMessage"]

_EXCLUDE = f"""\
cmd           set NO_PROXY={NO_PROXY}
PowerShell    $env:NO_PROXY = '{NO_PROXY}'
sh            export NO_PROXY={NO_PROXY} no_proxy={NO_PROXY}
Python        ollama.Client(trust_env=False)    # or, before `import ollama`: os.environ["NO_PROXY"] = "{NO_PROXY}"
"""
_REMOVE = """\
cmd           set ALL_PROXY=
PowerShell    Remove-Item Env:ALL_PROXY
sh            unset ALL_PROXY all_proxy
Python        os.environ.pop("ALL_PROXY", None); os.environ.pop("all_proxy", None)    # before `import ollama`
"""
_OLLAMA_HOST = """\
cmd           set OLLAMA_HOST=127.0.0.1:11434
PowerShell    $env:OLLAMA_HOST = '127.0.0.1:11434'
sh            export OLLAMA_HOST=127.0.0.1:11434
Python        os.environ["OLLAMA_HOST"] = "127.0.0.1:11434"    # before `import ollama`
"""
#: Without the line for a client, which would not help because the import itself fails.
_EXCLUDE_FIRST = _EXCLUDE.replace("ollama.Client(trust_env=False)    # or, before `import ollama`: ", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyMessage:
    """A message that people search for. `pattern` finds it in `<exception>: <message>` of a result."""

    title: str
    pattern: str
    means: str
    fix: str


HEAD = """\
# Proxies: which route httpx, ollama, requests and urllib take to an Ollama on this machine

Find your error message, and set what is below it. `ollama-harness doctor` shows the same for your own machine, and the
rule behind each library's route. [error-messages.md](error-messages.md) has messages of other kinds.

This page is made from a run of `ollama-harness run --environments` on
{made_with}.
The libraries' own code for Windows and macOS ran there, with a simulated registry and system configuration.

## Your error message

Set a variable before the client is made. `ollama.chat()` and the like need it before `import ollama`. On Windows and
macOS, any NO_PROXY makes Python ignore the system's proxy for all hosts. Programs that need that proxy need HTTPS_PROXY
too.
"""

TABLE = """\
## The route of each client

One letter for each of {hosts}, in this order:
{letters}.

*must* is the route that the settings require by their own documents. A `.` means that the documents disagree, or that
none covers the case. `!` marks a route that is not the required one, or an exception because of a setting that does
not concern the request. The asynchronous clients of httpx and ollama are listed separately if they differ.
`127.0.0.1:7890` is the proxy, 11434 is Ollama's port, and `…` in a list means more networks of its kind.
"""

LIMITS = """\
## What was not measured

- WinINET and WinHTTP themselves, which browsers and .NET use
- proxy scripts (PAC, WPAD), which none of these libraries reads
- real Winsock and its name resolution
- proxies that are named in code (`proxies=`, `proxy=`)
- `https` URLs
- other clients: [proxies-other-clients.md](proxies-other-clients.md) has them
"""

#: In the order of the page.
MESSAGES = (
    ProxyMessage(
        title="`502 Bad Gateway`, `ollama._types.ResponseError: (status code: 502)`",
        pattern=r"502 Bad Gateway|status code: 502|502 Server Error|HTTP Error 502",
        means=(
            "The request did not reach Ollama. The library sent it to a proxy, which a variable or the system names. "
            "The proxy cannot reach this machine for you. Exclude this machine. [More](issue-9549.md)."
        ),
        fix=_EXCLUDE,
    ),
    ProxyMessage(
        title="403, 407, 500 or 503 from your own server, or a page instead of JSON",
        pattern=r"(HTTPStatusError: .*'|status code: |HTTPError: |HTTP Error )(403|407|500|503)\b|JSONDecodeError",
        means="The same as 502, from another proxy program. Exclude this machine.",
        fix=_EXCLUDE,
    ),
    ProxyMessage(
        title="`ValueError: Unknown scheme for proxy URL`",
        pattern="Unknown scheme for proxy URL",
        means=(
            "A variable, or ProxyServer in the registry, names a `socks://` or `socks4://` proxy. httpx reads all of "
            "them when a client is made, and `import ollama` makes one. Remove the variable that names it (here "
            "ALL_PROXY). NO_PROXY does not help against a variable, except NO_PROXY=*. It helps against ProxyServer."
        ),
        fix=_REMOVE,
    ),
    ProxyMessage(
        title="`ImportError: Using SOCKS proxy, but the 'socksio' package is not installed`",
        pattern="socksio",
        means="The same, with `socks5://`. `pip install httpx[socks]` helps too, and then NO_PROXY counts.",
        fix=_REMOVE,
    ),
    ProxyMessage(
        title="`httpx.InvalidURL: Invalid port: ':1]'`",
        pattern="Invalid port",
        means="NO_PROXY holds `[::1]`, or a network of IPv6, which httpx cannot read. Write `::1`.",
        fix=_EXCLUDE_FIRST,
    ),
    ProxyMessage(
        title="`ValueError: Port could not be cast to integer value`",
        pattern="Port could not be cast",
        means="OLLAMA_HOST has quotes, blanks, or an IPv6 address without brackets. Ollama itself accepts that.",
        fix=_OLLAMA_HOST,
    ),
    ProxyMessage(
        title="`httpx.ConnectError`, `requests.exceptions.ProxyError`, `Connection refused`, while Ollama runs",
        pattern=r"(ConnectError|ProxyError|URLError): .*(attempts failed|Connection refused|WinError 10061)",
        means="The settings name a proxy program that no longer runs. Exclude this machine, or remove the settings.",
        fix=_EXCLUDE,
    ),
)
