"""What fixes it: the line to type in each shell, what goes direct then, and what else it changes.

A fix is tried on paper before it is offered: the settings as they would be, and the way that each client would go.
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

#: This machine, in the words that most programs understand.
LOCAL = ("localhost", "127.0.0.1", "::1")

#: Entries of NO_PROXY that no Python library reads, or that keep httpx from being made.
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
class _Patient:
    """A machine on paper: its settings may be changed, to see which way each client would go then."""

    settings: Settings
    url: str
    clients: tuple[str, ...]
    extras: frozenset[str]

    def route(self, client: str) -> Route:
        return predicted(client, self.settings, self.url, installed=self.extras).route

    @property
    def direct(self) -> tuple[str, ...]:
        """The clients that go direct."""
        return tuple(name for name in self.clients if self.route(name) is Route.DIRECT)

    def having(self, variables: Mapping[str, str]) -> _Patient:
        return replace(self, settings=replace(self.settings, variables=variables))


def fixes(
    settings: Settings, url: str, clients: Sequence[str], extras: frozenset[str], *, answering: Collection[str]
) -> list[Fix]:
    """The fixes that let more of these clients go direct to the URL; those that help most come first.

    `answering` are the loopback addresses at which Ollama answers.
    """
    patient = _Patient(settings=settings, url=url, clients=tuple(clients), extras=extras)
    offered = [*_ollama_host(patient), *_exclude(patient), *_take_out(patient)]
    offered += [*_another_name(patient, answering), _trust_env(patient)]
    useful = [one for one in offered if set(patient.direct) < set(one.helps)]
    return sorted(useful, key=lambda one: -len(one.helps))


def _ollama_host(patient: _Patient) -> Iterator[Fix]:
    """An OLLAMA_HOST that the Python library can read."""
    try:
        ollama_url(patient.settings.variable("OLLAMA_HOST"))
    except ValueError:
        value = urlsplit(patient.url).netloc
        yield Fix(
            title="write OLLAMA_HOST as the Python library reads it",
            lines=_assignment("OLLAMA_HOST", value),
            helps=patient.having({**patient.settings.variables, "OLLAMA_HOST": value}).direct,
            changes="a server started from this shell listens there",
        )


def _exclude(patient: _Patient) -> Iterator[Fix]:
    """NO_PROXY for this host, with whatever is excluded already and can be read."""
    settings, host = patient.settings, urlsplit(patient.url).hostname or ""
    listed = settings.variable("no_proxy") or settings.variable("NO_PROXY") or ""
    kept = [entry for entry in (one.strip() for one in listed.split(",")) if entry and not _UNREAD.search(entry)]
    wanted = LOCAL if host in LOCAL else (host,)
    value = ",".join(dict.fromkeys([*kept, *wanted]))
    names = ("NO_PROXY",) if settings.system is System.WINDOWS else ("NO_PROXY", "no_proxy")
    changes = "programs started from this shell go direct to these hosts"
    if settings.system is not System.POSIX and not any(name.lower().endswith("_proxy") for name in settings.variables):
        changes += "; Python then ignores the system's proxy for all hosts: what needs it gets HTTPS_PROXY too"
    yield Fix(
        title=f"exclude {'this machine' if host in LOCAL else host} from the proxy",
        lines=_assignment("NO_PROXY", value, also="no_proxy"),
        helps=patient.having({**settings.variables, **dict.fromkeys(names, value)}).direct,
        changes=changes,
    )


def _take_out(patient: _Patient) -> Iterator[Fix]:
    """Take out one variable: one that a client cannot read, or one that names a proxy that is not wanted."""
    variables = patient.settings.variables
    for key in sorted({name.lower() for name in variables if name.lower().endswith("_proxy")}):
        spelt = sorted(name for name in variables if name.lower() == key)
        yield Fix(
            title=f"take out {' and '.join(spelt)}",
            lines={
                "sh": f"unset {' '.join(spelt)}",
                "cmd": "\n".join(f"set {name}=" for name in spelt),
                "PowerShell": f"Remove-Item {', '.join(f'Env:{name}' for name in spelt)}",
            },
            helps=patient.having({name: value for name, value in variables.items() if name.lower() != key}).direct,
            changes="programs started from this shell no longer have that setting at all",
        )


def _another_name(patient: _Patient, answering: Collection[str]) -> Iterator[Fix]:
    """Another way to write this machine, which the exclusions cover and at which Ollama answers."""
    parts = urlsplit(patient.url)
    for host, address in (("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")):
        if host == parts.hostname or parts.hostname not in LOCAL or address not in answering:
            continue
        written = f"[{host}]" if ":" in host else host
        other = parts._replace(netloc=f"{written}:{parts.port or 80}").geturl()
        yield Fix(
            title=f"write the URL with {written}",
            lines={"Python": f'ollama.Client(host="{other}")'},
            helps=replace(patient, url=other).direct,
            changes="nothing",
        )


def _trust_env(patient: _Patient) -> Fix:
    """Have the library ignore what the machine says; ollama cannot be told so where its import fails."""
    told = [
        name for name in patient.clients if not (name.startswith("ollama") and patient.route(name) is Route.NOWHERE)
    ]
    return Fix(
        title="have the library ignore the machine's settings",
        lines={"Python": "\n".join(_TRUST_ENV[name] for name in told)},
        helps=tuple(told),
        changes="only that code; SSL_CERT_FILE, SSL_CERT_DIR and .netrc are ignored there as well. ollama.chat() and "
        "its like use a client that was made when ollama was imported: it is not reached",
    )


def _assignment(name: str, value: str, *, also: str | None = None) -> dict[str, str]:
    """A variable set in each shell; `also` is a second spelling, which systems with cases need."""
    spelt = (name,) if also is None else (name, also)
    plain = re.fullmatch(r"[\w.,:*/\-\[\] ]*", value, re.ASCII) is not None and " " not in value
    quoted = value.replace("'", "''")
    return {
        "sh": f"export {' '.join(f'{one}={shlex.quote(value)}' for one in spelt)}",
        "cmd": f"set {name}={value}" if plain else f'set "{name}={value}"',
        "PowerShell": f"$env:{name} = '{quoted}'",
    }
