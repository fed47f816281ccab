"""What a session is going to ask: which server answers there, of which model, and which probes must not be asked.

A session changes no model that it has not made. What the server has before it begins is not of its making, so a probe
that would pull, write, delete or push one of those models is not asked, unless the model was named as one that may
change. Everything here only reads from the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ollama_harness.errors import RecorderError, ServerUnreachable
from ollama_harness.recorder.address import Address
from ollama_harness.recorder.live_request import LiveResponse, ask
from ollama_harness.recorder.probes import Probe, default_probes
from ollama_harness.recorder.touching import Touch, full_name, touches
from ollama_harness.recordings.recording import Request

__all__ = ["Failure", "Plan", "models_of", "plan"]

#: What can be the name of a folder on any system.
_VERSION = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.+_-]{0,98}[0-9A-Za-z])?")
_MODEL = re.compile(r"[!-~]{1,400}")
#: More models than anybody reads in a message.
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """A probe that gave no recording, or was not asked, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The probes that are asked, with the model's name in them, and those that are left out, with the reason."""

    address: Address
    version: str
    probes: tuple[Probe, ...]
    left_out: tuple[Failure, ...]


def plan(
    url: str,
    probes: Sequence[Probe] | None = None,
    *,
    model: str | None = None,
    may_change: Collection[str] = (),
    timeout_s: float,
) -> Plan:
    """Which probes (the default ones, if none are given) a session asks of this server.

    A probe that would change `model` is left out, and one that would change another model of the server is refused;
    `may_change` names models for which neither holds.

    Raises: RecorderError, if this is no Ollama, or a model is not there, not named, or would be changed, or there is
        nothing to ask; ServerUnreachable.
    """
    address = Address.of(url)
    version = _version(address, timeout_s)
    chosen = tuple(default_probes().probes if probes is None else probes)
    if not chosen:
        raise RecorderError("there is no probe to ask; leave out --only, or take away fewer with it")
    needs_model = any(probe.needs_model for probe in chosen)
    if not needs_model and not may_change and not any(map(_touches, chosen)):
        return Plan(address=address, version=version, probes=chosen, left_out=())
    there = models_of(url, timeout_s=timeout_s)
    for name in may_change:
        _check_is_there(address, name, there)
    if needs_model:
        if model is None:
            raise RecorderError(f"no model is named; give --model with one of those at {address.url}: {_listed(there)}")
        _check_is_there(address, model, there)
        chosen = tuple(probe.with_model(model) for probe in chosen)
    kept = {full_name(name) for name in there} - {full_name(name) for name in may_change}
    asked, left_out = list[Probe](), list[Failure]()
    for probe in chosen:
        changed = [touch for touch in _touches(probe) if full_name(touch.model) in kept]
        for touch in changed:
            if model is None or full_name(touch.model) != full_name(model):
                raise _refused(address, probe, touch)
        if changed:
            names = " and ".join(sorted({f"{touch.verb} {touch.model}" for touch in changed}))
            left_out.append(Failure(probe.name, f"it {names}; --may-change {changed[0].model} allows that"))
        else:
            asked.append(probe)
    if left_out and not asked:
        raise RecorderError("; ".join(f"{one.name} is not asked: {one.why}" for one in left_out[:3]))
    return Plan(address=address, version=version, probes=tuple(asked), left_out=tuple(left_out))


def models_of(url: str, *, timeout_s: float) -> tuple[str, ...]:
    """The names of the models that a server has, in its own order.

    Raises: RecorderError, if this is no Ollama; ServerUnreachable.
    """
    address = Address.of(url)
    match _json(_asked(address, "/api/tags", timeout_s)):
        case {"models": [*models]}:
            names = [one.get("name") if isinstance(one, dict) else None for one in models]
        case _:
            raise _no_ollama(address, "GET /api/tags gave no list of models")
    if not all(isinstance(name, str) and _MODEL.fullmatch(name) for name in names):
        raise _no_ollama(address, "GET /api/tags gave a model without a name")
    return tuple(map(str, names))


def _touches(probe: Probe) -> list[Touch]:
    return [touch for request in (*probe.before, probe.request, *probe.after) for touch in touches(request)]


def _check_is_there(address: Address, name: str, there: Sequence[str]) -> None:
    if full_name(name) not in map(full_name, there):
        raise RecorderError(f"{address.url} has no model called {name!r}; it has {_listed(there)}")


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none; pull one there"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _refused(address: Address, probe: Probe, touch: Touch) -> RecorderError:
    problem = f"{probe.name} {touch.verb} {touch.model}, and {address.url} has a model of that name already"
    delete = f"delete it if an earlier session left it there (ollama rm {touch.model})"
    return RecorderError(
        f"{problem}; {delete}, leave the probe out (--only '!{probe.name}'), or allow it (--may-change {touch.model})"
    )


def _version(address: Address, timeout_s: float) -> str:
    """What the server says it is.

    Raises: RecorderError.
    """
    answer = _asked(address, "/api/version", timeout_s)
    value = _json(answer)
    version = value.get("version") if isinstance(value, dict) else None
    if answer.status != 200 or not isinstance(version, str):
        raise _no_ollama(address, f"GET /api/version gave {answer.status} and no version")
    if not _VERSION.fullmatch(version):
        raise _no_ollama(address, f"its version, {version[:40]!r}, can be no folder's name")
    return version


def _asked(address: Address, path: str, timeout_s: float) -> LiveResponse:
    try:
        return ask(address, Request(method="GET", path=path), timeout_s=timeout_s)
    except ServerUnreachable:
        raise
    except RecorderError as error:
        raise _no_ollama(address, f"GET {path}: {error}") from None


def _json(answer: LiveResponse) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _no_ollama(address: Address, why: str) -> RecorderError:
    return RecorderError(f"{address.url} is no Ollama: {why}; give the URL of an Ollama server")
