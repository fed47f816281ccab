"""The words of docs/proxies.md: the messages that people search for, what each means, and what to set."""

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
_TAKE_OUT = """\
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
#: The Python of the other would not help: the import itself fails.
_EXCLUDE_FIRST = _EXCLUDE.replace("ollama.Client(trust_env=False)    # or, before `import ollama`: ", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyMessage:
    """What people search for; `pattern` finds it in `<exception>: <message>` of a result."""

    title: str
    pattern: str
    means: str
    mend: str


HEAD = """\
# Proxies: which way httpx, ollama, requests and urllib go to an Ollama on this machine

Find your error message, and set what stands below it. `ollama-harness doctor` says the same for your own machine, and
by which rule each library goes where. Messages of other kinds are in [error-messages.md](error-messages.md).

This page is made from a run of `ollama-harness run --environments` on
{made_with}.
The libraries' own code for Windows and macOS ran there, on stand-ins for the registry and the system configuration.

## Your error message

A variable must be set before the client is made; for `ollama.chat()` and its like, before `import ollama`. On Windows
and macOS, any NO_PROXY makes Python ignore the system's proxy for all hosts: what needs it gets HTTPS_PROXY too.
"""

TABLE = """\
## Which way each client went

One letter for each of {hosts}, in this order:
{letters}.

*must* is the way that the settings ask for, by their own documents (`.`: those disagree, or none speaks). `!`
marks a way that is not the one asked for, and an exception raised for a setting that does not concern the request. The
halves of httpx and ollama with asyncio are named where they differ. `127.0.0.1:7890` stands for the proxy, 11434 for
Ollama's port, `…` in a list for more networks of its kind.
"""

LIMITS = """\
## What was not measured

WinINET and WinHTTP themselves, which browsers and .NET use; proxy scripts (PAC, WPAD), which none of these libraries
reads; real Winsock and its name resolution; proxies that are named in code (`proxies=`, `proxy=`); `https` URLs; other
libraries (aiohttp, Node.js, Go, Rust).
"""

#: In the order of the page.
MESSAGES = (
    ProxyMessage(
        title="`502 Bad Gateway`, `ollama._types.ResponseError: (status code: 502)`",
        pattern=r"502 Bad Gateway|status code: 502|502 Server Error|HTTP Error 502",
        means=(
            "The request did not reach Ollama: the library sent it to a proxy, of a variable or of the system, and the "
            "proxy cannot reach this machine for you. Exclude this machine. [More](issue-9549.md)."
        ),
        mend=_EXCLUDE,
    ),
    ProxyMessage(
        title="403, 407, 500 or 503 from a server that is your own, or a page instead of JSON",
        pattern=r"(HTTPStatusError: .*'|status code: |HTTPError: |HTTP Error )(403|407|500|503)\b|JSONDecodeError",
        means="As with 502: another proxy program, another status. Exclude this machine.",
        mend=_EXCLUDE,
    ),
    ProxyMessage(
        title="`ValueError: Unknown scheme for proxy URL`",
        pattern="Unknown scheme for proxy URL",
        means=(
            "A variable, or ProxyServer in the registry, names a `socks://` or `socks4://` proxy. httpx reads all of "
            "them when a client is made, and `import ollama` makes one. Take the variable that names it out (here "
            "ALL_PROXY); NO_PROXY does not help there, but for NO_PROXY=*. If ProxyServer names it, NO_PROXY does."
        ),
        mend=_TAKE_OUT,
    ),
    ProxyMessage(
        title="`ImportError: Using SOCKS proxy, but the 'socksio' package is not installed`",
        pattern="socksio",
        means="As before, with `socks5://`. `pip install httpx[socks]` helps too, and then NO_PROXY counts.",
        mend=_TAKE_OUT,
    ),
    ProxyMessage(
        title="`httpx.InvalidURL: Invalid port: ':1]'`",
        pattern="Invalid port",
        means="NO_PROXY holds `[::1]`, or a network of IPv6, which httpx cannot read. Write `::1`.",
        mend=_EXCLUDE_FIRST,
    ),
    ProxyMessage(
        title="`ValueError: Port could not be cast to integer value`",
        pattern="Port could not be cast",
        means="OLLAMA_HOST has quotes, blanks, or an IPv6 address without brackets. The Ollama server forgives that.",
        mend=_OLLAMA_HOST,
    ),
    ProxyMessage(
        title="`httpx.ConnectError`, `requests.exceptions.ProxyError`, `Connection refused`, while Ollama runs",
        pattern=r"(ConnectError|ProxyError|URLError): .*(attempts failed|Connection refused|WinError 10061)",
        means="The settings name a proxy program that is not there any more. Exclude this machine, or take them out.",
        mend=_EXCLUDE,
    ),
)
