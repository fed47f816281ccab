"""What a user can change so that a client takes another route: the lines to type, and the question that tries it.

Nothing here knows what a change brings. The clients are asked again with each of them (`asking`): a setting whose
absence changes a client's route is the cause of that route, and what lets more clients go direct is a fix.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from ollama_harness.clients import Client
from ollama_harness.doctor._exclusions import LOCAL, exclusion
from ollama_harness.doctor.asking import Question
from ollama_harness.network.named_proxies import named_proxies
from ollama_harness.network.settings import Settings, System

__all__ = ["SettingChange", "alternatives", "removals", "repairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """A change: `lines` are what to type, by shell ("sh", "fish", "cmd", "PowerShell"), or "URL".

    `codes` are what to write for each client. `removes` is the setting that it takes away, if it does only that.
    `lasting` are lines for later programs as well, which nobody can try here. `also` is what else it changes.
    """

    title: str
    question: Question
    lines: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    lasting: Mapping[str, str] = field(default_factory=dict)
    removes: str = ""
    also: str = ""


def alternatives(
    question: Question, clients: Sequence[Client], *, answering: Collection[str]
) -> Iterator[SettingChange]:
    """What a user can write or add. `answering` are the loopback addresses at which Ollama answers."""
    settings = question.settings
    if named_proxies(settings) or any(name.lower() == "no_proxy" for name in settings.variables):
        yield _exclude(question)
    yield from _other_names(question, answering)
    if codes := {one.name: one.contract.ignores_settings for one in clients if one.contract.ignores_settings}:
        yield SettingChange(
            title="make the library ignore the machine's settings",
            question=replace(question, trust_env=False),
            codes=codes,
            also="only that code; it ignores SSL_CERT_FILE, SSL_CERT_DIR and .netrc as well. ollama.chat() and the "
            "like use a client that was made when ollama was imported, so they do not change",
        )


def repairs(question: Question) -> Iterator[SettingChange]:
    """What may help a client that raises before it connects: an OLLAMA_HOST that all clients read."""
    if question.settings.variable("OLLAMA_HOST"):
        yield _set_variable(
            question,
            "OLLAMA_HOST",
            question.url,
            title="write OLLAMA_HOST as all clients read it",
            also="a server started from this shell listens there",
        )


def removals(question: Question, only: Set[str] | None = None) -> Iterator[SettingChange]:
    """Each setting taken away, one at a time; with `only`, these. Two spellings of a variable are one setting."""
    settings = question.settings
    for key in sorted({name.lower() for name in settings.variables}):
        spelt = sorted(name for name in settings.variables if name.lower() == key)
        if only is not None and only.isdisjoint(spelt):
            continue
        kept = {name: value for name, value in settings.variables.items() if name not in spelt}
        yield SettingChange(
            title=f"remove {' and '.join(spelt)}",
            question=replace(question, settings=replace(settings, variables=kept)),
            removes=" and ".join(spelt),
            lines={
                "sh": f"unset {' '.join(spelt)}",
                "fish": f"set --erase {' '.join(spelt)}",
                "cmd": "\n".join(f"set {name}=" for name in spelt),
                "PowerShell": f"Remove-Item {', '.join(f'Env:{name}' for name in spelt)}",
            },
            also="programs started from this shell no longer have that setting",
        )
    for setting, fewer in _without_system_settings(settings):
        if only is None or setting in only:
            yield SettingChange(title="", question=replace(question, settings=fewer), removes=setting)


def _without_system_settings(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Each setting of the system that is taken away, and the settings without it."""
    if (registry := settings.registry) is not None:
        yield "ProxyServer", replace(settings, registry=replace(registry, server=None))
        if registry.override:
            yield "ProxyOverride", replace(settings, registry=replace(registry, override=None))
    if (mac := settings.mac) is not None:
        offs = {
            "the HTTP proxy of macOS": replace(mac, http=None),
            "the HTTPS proxy of macOS": replace(mac, https=None),
            "the SOCKS proxy of macOS": replace(mac, socks=None),
        }
        yield from ((name, replace(settings, mac=off)) for name, off in offs.items() if off != mac)
        if mac.exceptions or mac.exclude_simple:
            fewer = replace(mac, exceptions=(), exclude_simple=False)
            yield "the exceptions of macOS", replace(settings, mac=fewer)


def _exclude(question: Question) -> SettingChange:
    """NO_PROXY for this host, together with all that is there already."""
    settings, host = question.settings, urlsplit(question.url).hostname or ""
    new = exclusion(settings, question.url)
    also = list(new.changes)
    if settings.system is not System.POSIX and not any(name.lower().endswith("_proxy") for name in settings.variables):
        also.append(
            "Python then ignores the system's proxy for all hosts: programs that need it need HTTPS_PROXY as well"
        )
    return _set_variable(
        question,
        "NO_PROXY",
        new.value,
        other="no_proxy",
        title=f"exclude {'this machine' if host in LOCAL else host} from the proxy",
        also="; ".join(also) or "nothing",
    )


def _other_names(question: Question, answering: Collection[str]) -> Iterator[SettingChange]:
    """Other names of this machine at which Ollama answers."""
    parts = urlsplit(question.url)
    for host, address in (("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")):
        if host == parts.hostname or parts.hostname not in LOCAL or address not in answering:
            continue
        written = f"[{host}]" if ":" in host else host
        url = parts._replace(netloc=f"{written}:{parts.port or 80}").geturl()
        yield SettingChange(
            title=f"write the URL with {written}",
            question=replace(question, url=url),
            lines={"URL": url},
            also="nothing",
        )


def _set_variable(
    question: Question, name: str, value: str, *, title: str, also: str, other: str = ""
) -> SettingChange:
    """Set a variable. `other` is a second spelling, for systems where case matters."""
    settings = question.settings
    spelt = [one for one in (name, other) if one]
    plain = re.fullmatch(r"[\w.,:*/\-\[\]]*", value, re.ASCII) is not None
    quoted = value.replace("'", "''")
    shown = shlex.quote(value)
    names = spelt[:1] if settings.system is System.WINDOWS else spelt
    return SettingChange(
        title=title,
        question=replace(
            question, settings=replace(settings, variables={**settings.variables, **dict.fromkeys(names, value)})
        ),
        lines={
            "sh": f"export {' '.join(f'{one}={shown}' for one in spelt)}",
            "fish": "; ".join(f"set -gx {one} {_for_fish(value)}" for one in spelt),
            "cmd": f"set {name}={value}" if plain else f'set "{name}={value}"',
            "PowerShell": f"$env:{name} = '{quoted}'",
        },
        lasting={
            "~/.profile": f"export {' '.join(f'{one}={shown}' for one in spelt)}",
            "fish": "; ".join(f"set -Ux {one} {_for_fish(value)}" for one in spelt),
            "Windows": f'setx {name} "{value}"',
            "systemd": f'Environment="{name}={value}"',
            "compose": f'environment: ["{name}={value}"]',
        },
        also=also,
    )


def _for_fish(value: str) -> str:
    """A word of fish, where a quote in quotes is escaped: https://fishshell.com/docs/current/language.html#quotes"""
    if re.fullmatch(r"[\w.,:/\-]+", value, re.ASCII):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
