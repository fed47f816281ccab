"""Whether a request was recorded: two requests are the same if Ollama reads the same in both.

To Ollama a field that is null, empty or has its default is absent, `name` stands for an empty `model`, and a model has
many forms of its name. A recording during which something was done to the server answers no request: what is in it is
not what the request caused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ollama_harness.answers.model_name import parse_name
from ollama_harness.recordings.recording import Recording, Request

__all__ = ["Recorded", "canonical"]

#: The values of fields that mean the same as no field.
_DEFAULTS: Mapping[str, Any] = {
    "insecure": False,
    "logprobs": False,
    "raw": False,
    "shift": True,
    "top_logprobs": 0,
    "truncate": True,
    "verbose": False,
}
#: Headers that decide if a recording was made with them.
_HEADERS = ("host", "origin")

_Key = tuple[str, str, str]


class Recorded:
    """The recordings of a version by their requests. Those with the ids in `first` come before the others."""

    def __init__(self, recordings: Iterable[Recording], *, first: Collection[str] = ()) -> None:
        self._first = frozenset(first)
        self._by_request: dict[_Key, list[Recording]] = defaultdict(list)
        for recording in recordings:
            if recording.is_of_its_request:
                self._by_request[canonical(recording.request)].append(recording)

    def same(self, request: Request) -> Recording | None:
        """The recording of this request; of several the one made with the most of its headers, then the one
        with the same JSON, then the longest."""
        asked = _decisive(request)
        able = [one for one in self._by_request.get(canonical(request), ()) if _decisive(one.request) <= asked]
        return max(
            able,
            key=lambda one: (
                one.id in self._first,
                len(_decisive(one.request)),
                one.request.json == request.json,
                len(one.frames),
                one.size_bytes,
            ),
            default=None,
        )


def canonical(request: Request) -> _Key:
    """A request as Ollama reads it: equal for two that it cannot tell apart."""
    value = request.json
    if isinstance(value, Mapping):
        fields = {key: each for key, each in value.items() if not _is_absent(key, each)}
        if "model" not in fields and "name" in fields:
            fields["model"] = fields.pop("name")
        else:
            fields.pop("name", None)
        if isinstance(model := fields.get("model"), str):
            fields["model"] = parse_name(model).key
        options = fields.pop("options", None)
        if isinstance(options, Mapping) and (given := {k: each for k, each in options.items() if each is not None}):
            fields["options"] = given
        value = {**fields, "stream": request.streams}
    text = request.body if value is None else json.dumps(value, sort_keys=True)
    return request.method, request.path, text or ""


def _is_absent(key: str, value: Any) -> bool:
    return value in (None, "", [], {}) or (key in _DEFAULTS and value == _DEFAULTS[key]) or key == "stream"


def _decisive(request: Request) -> frozenset[tuple[str, str]]:
    return frozenset((name.lower(), value) for name, value in request.headers if name.lower() in _HEADERS)
