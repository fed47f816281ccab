"""What mends it: the line to type in each shell, what goes direct then, and what else it changes.

A mend is tried on paper before it is offered: the settings as they would be, and the way that each client would go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from harness.routing.predicted import predicted
from harness.routing.settings import Settings, System
from harness.routing.way import Way

__all__ = ["LOCAL", "Mend", "mends"]

#: This machine, in the words that most programs understand.
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """`lines` are what to type, by shell ("sh", "cmd", "PowerShell" or "Python").

    `helps` are the clients that go direct then, and `changes` is what else it changes.
    """

    title: str
    lines: Mapping[str, str]
    helps: tuple[str, ...]
    changes: str


def mends(settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str]) -> list[Mend]:
    """The mends that get any of these clients to a server of this machine; those that help most come first."""
    offered = [*_exclude(settings, url, clients, extras), *_take_out(settings, url, clients, extras)]
    offered += [*_another_name(settings, url, clients, extras), _trust_env(clients)]
    before = set(_direct(settings, url, clients, extras))
    useful = [one for one in offered if before < set(one.helps)]
    return sorted(useful, key=lambda one: -len(one.helps))


def _direct(settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str]) -> tuple[str, ...]:
    ways = {name: predicted(name, settings, url, installed=extras).way for name in clients}
    return tuple(name for name, way in ways.items() if way is Way.DIRECT)


def _exclude(settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str]) -> Iterator[Mend]:
    """NO_PROXY for this machine, with whatever it excludes already."""
    host = urlsplit(url).hostname or ""
    listed = settings.variable("no_proxy") or settings.variable("NO_PROXY") or ""
    kept = [entry.strip() for entry in listed.split(",") if entry.strip()]
    value = ",".join(dict.fromkeys([*kept, *LOCAL, *([] if host in LOCAL else [host])]))
    names = ("NO_PROXY", "no_proxy") if settings.system is not System.WINDOWS else ("NO_PROXY",)
    after = replace(settings, variables={**settings.variables, **dict.fromkeys(names, value)})
    changes = "programs started from this shell go direct to these hosts"
    if settings.system is not System.POSIX and not _names_proxies(settings):
        changes += "; Python then ignores the system's proxy for all hosts: what needs it gets HTTPS_PROXY too"
    yield Mend(
        title="exclude this machine from the proxy",
        lines={
            "sh": f"export {' '.join(f'{name}={value}' for name in ('NO_PROXY', 'no_proxy'))}",
            "cmd": f"set NO_PROXY={value}",
            "PowerShell": f"$env:NO_PROXY = '{value}'",
        },
        helps=_direct(after, url, clients, extras),
        changes=changes,
    )


def _take_out(settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str]) -> Iterator[Mend]:
    """Take out one variable: one that a client cannot read, or one that names a proxy that is gone."""
    for key in sorted({name.lower() for name in settings.variables if name.lower().endswith("_proxy")} - {"no_proxy"}):
        spelt = sorted(name for name in settings.variables if name.lower() == key)
        after = replace(settings, variables={k: v for k, v in settings.variables.items() if k.lower() != key})
        yield Mend(
            title=f"take out {' and '.join(spelt)}",
            lines={
                "sh": f"unset {' '.join(spelt)}",
                "cmd": " & ".join(f"set {name}=" for name in spelt),
                "PowerShell": f"Remove-Item {', '.join(f'Env:{name}' for name in spelt)}",
            },
            helps=_direct(after, url, clients, extras),
            changes="programs started from this shell no longer use that proxy at all",
        )


def _another_name(settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str]) -> Iterator[Mend]:
    """Another way to write this machine, which the exclusions cover."""
    parts = urlsplit(url)
    if (parts.hostname or "") not in LOCAL:
        return
    for host in LOCAL:
        written = f"[{host}]" if ":" in host else host
        other = parts._replace(netloc=f"{written}:{parts.port or 80}").geturl()
        if host != parts.hostname:
            yield Mend(
                title=f"write the URL with {written}",
                lines={"Python": f'ollama.Client(host="{other}")'},
                helps=_direct(settings, other, clients, extras),
                changes="nothing; but Ollama listens on 127.0.0.1 only, unless OLLAMA_HOST says otherwise",
            )


def _trust_env(clients: Sequence[str]) -> Mend:
    """Have the library ignore what the machine says."""
    calls = {
        "ollama": "ollama.Client(trust_env=False)",
        "ollama-async": "ollama.AsyncClient(trust_env=False)",
        "httpx": "httpx.Client(trust_env=False)",
        "httpx-async": "httpx.AsyncClient(trust_env=False)",
        "requests": "session = requests.Session(); session.trust_env = False",
        "urllib": "urllib.request.build_opener(urllib.request.ProxyHandler({}))",
    }
    return Mend(
        title="have the library ignore the machine's settings",
        lines={"Python": "\n".join(calls[name] for name in clients)},
        helps=tuple(clients),
        changes="only that code; SSL_CERT_FILE, SSL_CERT_DIR and .netrc are ignored there as well. ollama.chat() and "
        "its like use a client that was made when ollama was imported: it is not reached",
    )


def _names_proxies(settings: Settings) -> bool:
    return any(name.lower().endswith("_proxy") and value for name, value in settings.variables.items())
