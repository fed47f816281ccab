"""Which recording answers a request, and why; or which came nearest, and what differs.

Some fields of a request decide what kind of answer it gets (the model, whether it streams, tools, format, ...); a
recording answers only requests that agree in all of them. Prompts, messages and options do not decide. Among the
recordings left the first wins, in this order: made with the same Host or Origin; the fewest fields that differ; taken
without doing anything to the server (no `note`); the longest (frames, then bytes); by name. An error is the answer to
one particular request, so a recorded error answers only a request equal to its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.http1 import RequestHead
from harness.recording import Recording, Request

__all__ = ["Match", "Nearest", "match", "received"]

#: Fields whose value decides.
_VALUES = ("model", "name", "format", "think", "raw", "logprobs", "dimensions", "source", "from", "truncate", "shift")
#: Fields of which only the presence of something decides.
_PRESENCE = ("tools", "images", "suffix", "prompt", "messages", "input")
#: Headers that decide where a recording was made with one of its own.
_HEADERS = ("host", "origin")


@dataclass(frozen=True, slots=True)
class Match:
    """The recording that answers, and why it was chosen before others."""

    recording: Recording
    why: str


@dataclass(frozen=True, slots=True)
class Nearest:
    """Nothing answers; `recording` came nearest (None if nothing has this path) and `why` says what differs."""

    recording: Recording | None
    why: str


def received(head: RequestHead, body: bytes) -> Request:
    """A request from the wire in the form that recordings have."""
    try:
        value = json.loads(body) if body else None
    except ValueError:
        value = None
    text = body.decode("utf-8", "replace") if body and value is None else None
    return Request(method=head.method, path=head.target.partition("?")[0], headers=head.headers, json=value, body=text)


def match(request: Request, recordings: Iterable[Recording], *, any_model: bool = False) -> Match | Nearest:
    """Choose the recording that answers `request`. With `any_model` the model does not decide."""
    candidates = [r for r in recordings if r.request.path == request.path]
    if not candidates:
        return Nearest(None, f"no recording has the path {request.path}")
    differences = {r.id: _differences(request, r, any_model=any_model) for r in candidates}
    able = [r for r in candidates if not differences[r.id]]
    if not able:
        nearest = min(candidates, key=lambda r: (r.response.status >= 400, len(differences[r.id]), *_rank(request, r)))
        return Nearest(nearest, f"nearest is {nearest.id}; {'; '.join(differences[nearest.id])}")
    able.sort(key=lambda r: _rank(request, r))
    winner = able[0]
    free = _free_differences(request, winner.request)
    why = "the same request" if not free else f"differs only in {', '.join(free)}"
    if len(able) > 1:
        why += f"; chosen before {len(able) - 1} more"
    return Match(winner, why)


def _rank(request: Request, recording: Recording) -> tuple[int, int, bool, int, int, str]:
    special = sum(name.lower() in _HEADERS for name, _ in recording.request.headers)
    free = _free_differences(request, recording.request)
    return -special, len(free), recording.note is not None, -len(recording.frames), -len(recording.body), recording.id


def _differences(request: Request, recording: Recording, *, any_model: bool) -> list[str]:
    """What keeps a recording from answering: `field: recorded …, asked …`."""
    recorded = recording.request
    found = []
    if recorded.method != request.method:
        found.append(f"method: recorded {recorded.method}, asked {request.method}")
    ours, theirs = _decisive(recorded), _decisive(request)
    for field in sorted({*ours, *theirs} - ({"model", "name"} if any_model else set())):
        if ours.get(field) != theirs.get(field):
            found.append(f"{field}: recorded {_short(ours.get(field))}, asked {_short(theirs.get(field))}")
    found += [
        f"header {name}: recorded {value}"
        for name, value in recorded.headers
        if name.lower() in _HEADERS and (name.lower(), value) not in {(k.lower(), v) for k, v in request.headers}
    ]
    if not found and recording.response.status >= 400 and _content(recorded) != _content(request):
        found.append(f"an error: only the very request {_short(_content(recorded))} gets it")
    return found


def _decisive(request: Request) -> dict[str, Any]:
    if not isinstance(request.json, Mapping):
        return {"body": request.body}
    fields: dict[str, Any] = {name: request.json[name] for name in _VALUES if request.json.get(name) is not None}
    fields |= {name: True for name in _PRESENCE if request.json.get(name)}
    fields["stream"] = request.streams
    if request.json.get("keep_alive") == 0:
        fields["keep_alive"] = 0
    return fields


def _content(request: Request) -> Any:
    if not isinstance(request.json, Mapping):
        return request.body
    return {**request.json, "stream": request.streams}


def _free_differences(request: Request, recorded: Request) -> list[str]:
    """The names of the fields that do not decide and differ; options one by one."""
    ours, theirs = _flat(recorded.json), _flat(request.json)
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _flat(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    options = value.get("options")
    nested = {f"options.{k}": v for k, v in options.items()} if isinstance(options, Mapping) else {}
    return {k: v for k, v in value.items() if k not in ("options", "stream")} | nested


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
