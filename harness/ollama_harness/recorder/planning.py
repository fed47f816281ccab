"""The plan of a session: the server's version, the model, and the probes that may be sent.

A session must not change a model that it has not made itself. So the plan first asks the server which models it has.
Then it looks at every request of every probe, including those before and after it: `touching` says which models a
request would pull, write, delete or push. A probe that would change the model under test is left out, and the session
goes on without it. A probe that would change any other model of the server is an error, because it was most likely
written for another server. `may_change` names the models for which neither is wanted. The plan only reads from the
server.
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
from ollama_harness.recordings.versions import VERSION, is_version

__all__ = ["Failure", "Plan", "models_of", "plan"]

_MODEL = re.compile(r"[!-~]{1,400}")
#: How many models a message names.
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """A probe that gave no recording, or was left out, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The probes to send, with the model's name filled in, and those that are left out, with the reason."""

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
    """Decide which probes a session sends to this server. Without `probes`, the default ones are used.

    A probe that would change `model` is left out, and one that would change another model of the server is an error,
    except for the models in `may_change`.

    Raises: RecorderError, if the server is not an Ollama, if a model is not there, not named or would be changed, or if
        no probe is left; ServerUnreachable.
    """
    address = Address.of(url)
    version = _version(address, timeout_s)
    chosen = tuple(default_probes().probes if probes is None else probes)
    if not chosen:
        raise RecorderError("--only leaves no probe; leave it out, or exclude fewer probes")
    needs_model = any(probe.needs_model for probe in chosen)
    if not needs_model and not may_change and not any(map(_touches, chosen)):
        return Plan(address=address, version=version, probes=chosen, left_out=())
    there = models_of(url, timeout_s=timeout_s)
    for name in may_change:
        _check_is_there(address, name, there)
    if needs_model:
        if model is None:
            raise RecorderError(
                f"no model is named; give --model with one of the models at {address.url}: {_listed(there)}"
            )
        _check_is_there(address, model, there)
        chosen = tuple(probe.with_model(model) for probe in chosen)
    kept = {full_name(name) for name in there} - {full_name(name) for name in may_change}
    sent, left_out = list[Probe](), list[Failure]()
    for probe in chosen:
        changed = [touch for touch in _touches(probe) if full_name(touch.model) in kept]
        for touch in changed:
            if model is None or full_name(touch.model) != full_name(model):
                raise _refused(address, probe, touch)
        if changed:
            names = " and ".join(sorted({f"{touch.verb} {touch.model}" for touch in changed}))
            left_out.append(Failure(probe.name, f"it {names}; --may-change {changed[0].model} allows that"))
        else:
            sent.append(probe)
    if left_out and not sent:
        raise RecorderError("; ".join(f"{one.name} is left out: {one.why}" for one in left_out[:3]))
    return Plan(address=address, version=version, probes=tuple(sent), left_out=tuple(left_out))


def models_of(url: str, *, timeout_s: float) -> tuple[str, ...]:
    """The names of the models that a server has, in its own order.

    Raises: RecorderError, if the server is not an Ollama; ServerUnreachable.
    """
    address = Address.of(url)
    match _json(_get(address, "/api/tags", timeout_s)):
        case {"models": [*models]}:
            names = [one.get("name") if isinstance(one, dict) else None for one in models]
        case _:
            raise _no_ollama(address, "GET /api/tags gave no list of models")
    if not all(isinstance(name, str) and _MODEL.fullmatch(name) for name in names):
        raise _no_ollama(address, "GET /api/tags gave a model without a valid name")
    return tuple(map(str, names))


def _touches(probe: Probe) -> list[Touch]:
    return [touch for request in (*probe.before, probe.request, *probe.after) for touch in touches(request)]


def _check_is_there(address: Address, name: str, there: Sequence[str]) -> None:
    if full_name(name) not in map(full_name, there):
        raise RecorderError(f"{address.url} has no model called {name!r}; it has {_listed(there)}")


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none; pull one on that server"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _refused(address: Address, probe: Probe, touch: Touch) -> RecorderError:
    problem = f"{probe.name} {touch.verb} {touch.model}, and {address.url} already has a model of that name"
    delete = f"delete it if an earlier session left it there (ollama rm {touch.model})"
    return RecorderError(
        f"{problem}; {delete}, leave the probe out (--only '!{probe.name}'), or allow it (--may-change {touch.model})"
    )


def _version(address: Address, timeout_s: float) -> str:
    """The version that the server reports.

    Raises: RecorderError.
    """
    answer = _get(address, "/api/version", timeout_s)
    value = _json(answer)
    version = value.get("version") if isinstance(value, dict) else None
    if answer.status != 200 or not isinstance(version, str):
        raise _no_ollama(address, f"GET /api/version gave {answer.status} and no version")
    if not is_version(version):
        raise _no_ollama(address, f"its version is {version[:40]!r}, and not {VERSION}")
    return version


def _get(address: Address, path: str, timeout_s: float) -> LiveResponse:
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
    return RecorderError(f"{address.url} is not an Ollama: {why}; give the URL of an Ollama server")
