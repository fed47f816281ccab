"""Fixes: the line to type in each shell, the clients that go direct then, and what else it changes.

Each fix is tried before it is offered, but only on paper: the route of each client is predicted with the settings as
they would be.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ollama_harness.network.ollama_host import ollama_url
from ollama_harness.network.prediction import predicted
from ollama_harness.network.route import Route
from ollama_harness.network.settings import Settings, System

__all__ = ["LOCAL", "Fix", "fixes"]

#: The names of this machine that most programs understand.
LOCAL = ("localhost", "127.0.0.1", "::1")

#: Entries of NO_PROXY that no Python library reads, or with which httpx raises.
_UNREAD = re.compile(r"[<>;\[\]\"']|[^\x00-\x7f]|:.*/")

_TRUST_ENV = {
    "ollama": "ollama.Client(trust_env=False)",
    "ollama-async": "ollama.AsyncClient(trust_env=False)",
    "httpx": "httpx.Client(trust_env=False)",
    "httpx-async": "httpx.AsyncClient(trust_env=False)",
    "requests": "session = requests.Session(); session.trust_env = False",
    "urllib": "urllib.request.build_opener(urllib.request.ProxyHandler({}))",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """`lines` are what to type, by shell ("sh", "cmd", "PowerShell" or "Python").

    `helps` are the clients that go direct then, and `changes` is what else it changes.
    """

    title: str
    lines: Mapping[str, str]
    helps: tuple[str, ...]
    changes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _PaperMachine:
    """A machine on paper: its settings can be changed, to predict the route of each client."""

    settings: Settings
    url: str
    clients: tuple[str, ...]
    extras: frozenset[str]

    def route(self, client: str) -> Route:
        return predicted(client, self.settings, self.url, installed=self.extras).route

    @property
    def direct(self) -> tuple[str, ...]:
        """The clients that would go direct."""
        return tuple(name for name in self.clients if self.route(name) is Route.DIRECT)

    def with_variables(self, variables: Mapping[str, str]) -> _PaperMachine:
        return replace(self, settings=replace(self.settings, variables=variables))


def fixes(
    settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str], *, answering: Collection[str]
) -> list[Fix]:
    """The fixes with which more of these clients go direct to the URL. The most helpful comes first.

    `answering` are the loopback addresses at which Ollama answers.
    """
    machine = _PaperMachine(settings=settings, url=url, clients=tuple(clients), extras=extras)
    offered = [*_ollama_host(machine), *_exclude(machine), *_remove(machine)]
    offered += [*_another_name(machine, answering), _trust_env(machine)]
    useful = [one for one in offered if set(machine.direct) < set(one.helps)]
    return sorted(useful, key=lambda one: -len(one.helps))


def _ollama_host(machine: _PaperMachine) -> Iterator[Fix]:
    """An OLLAMA_HOST that the Python library can read."""
    try:
        ollama_url(machine.settings.variable("OLLAMA_HOST"))
    except ValueError:
        value = urlsplit(machine.url).netloc
        yield Fix(
            title="write OLLAMA_HOST as the Python library reads it",
            lines=_assignment("OLLAMA_HOST", value),
            helps=machine.with_variables({**machine.settings.variables, "OLLAMA_HOST": value}).direct,
            changes="a server started from this shell listens there",
        )


def _exclude(machine: _PaperMachine) -> Iterator[Fix]:
    """NO_PROXY for this host, together with the entries that are already there and can be read."""
    settings, host = machine.settings, urlsplit(machine.url).hostname or ""
    listed = settings.variable("no_proxy") or settings.variable("NO_PROXY") or ""
    kept = [entry for entry in (one.strip() for one in listed.split(",")) if entry and not _UNREAD.search(entry)]
    wanted = LOCAL if host in LOCAL else (host,)
    value = ",".join(dict.fromkeys([*kept, *wanted]))
    names = ("NO_PROXY",) if settings.system is System.WINDOWS else ("NO_PROXY", "no_proxy")
    changes = "programs started from this shell go direct to these hosts"
    if settings.system is not System.POSIX and not any(name.lower().endswith("_proxy") for name in settings.variables):
        changes += (
            "; Python then ignores the system's proxy for all hosts: programs that need it need HTTPS_PROXY as well"
        )
    yield Fix(
        title=f"exclude {'this machine' if host in LOCAL else host} from the proxy",
        lines=_assignment("NO_PROXY", value, also="no_proxy"),
        helps=machine.with_variables({**settings.variables, **dict.fromkeys(names, value)}).direct,
        changes=changes,
    )


def _remove(machine: _PaperMachine) -> Iterator[Fix]:
    """Remove one variable: one that a client cannot read, or one that names the proxy."""
    variables = machine.settings.variables
    for key in sorted({name.lower() for name in variables if name.lower().endswith("_proxy")}):
        spelt = sorted(name for name in variables if name.lower() == key)
        yield Fix(
            title=f"remove {' and '.join(spelt)}",
            lines={
                "sh": f"unset {' '.join(spelt)}",
                "cmd": "\n".join(f"set {name}=" for name in spelt),
                "PowerShell": f"Remove-Item {', '.join(f'Env:{name}' for name in spelt)}",
            },
            helps=machine.with_variables(
                {name: value for name, value in variables.items() if name.lower() != key}
            ).direct,
            changes="programs started from this shell no longer have that setting",
        )


def _another_name(machine: _PaperMachine, answering: Collection[str]) -> Iterator[Fix]:
    """Another name of this machine that the exclusions cover, and at which Ollama answers."""
    parts = urlsplit(machine.url)
    for host, address in (("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")):
        if host == parts.hostname or parts.hostname not in LOCAL or address not in answering:
            continue
        written = f"[{host}]" if ":" in host else host
        other = parts._replace(netloc=f"{written}:{parts.port or 80}").geturl()
        yield Fix(
            title=f"write the URL with {written}",
            lines={"Python": f'ollama.Client(host="{other}")'},
            helps=replace(machine, url=other).direct,
            changes="nothing",
        )


def _trust_env(machine: _PaperMachine) -> Fix:
    """Make the library ignore the machine's settings. That does not help ollama if its import fails."""
    usable = [
        name for name in machine.clients if not (name.startswith("ollama") and machine.route(name) is Route.NOWHERE)
    ]
    return Fix(
        title="make the library ignore the machine's settings",
        lines={"Python": "\n".join(_TRUST_ENV[name] for name in usable)},
        helps=tuple(usable),
        changes="only that code; it ignores SSL_CERT_FILE, SSL_CERT_DIR and .netrc as well. ollama.chat() and the like "
        "use a client that was made when ollama was imported, so they do not change",
    )


def _assignment(name: str, value: str, *, also: str | None = None) -> dict[str, str]:
    """The line that sets a variable in each shell. `also` is a second spelling, for systems where case matters."""
    spelt = (name,) if also is None else (name, also)
    plain = re.fullmatch(r"[\w.,:*/\-\[\] ]*", value, re.ASCII) is not None and " " not in value
    quoted = value.replace("'", "''")
    return {
        "sh": f"export {' '.join(f'{one}={shlex.quote(value)}' for one in spelt)}",
        "cmd": f"set {name}={value}" if plain else f'set "{name}={value}"',
        "PowerShell": f"$env:{name} = '{quoted}'",
    }
