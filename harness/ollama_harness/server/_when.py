"""Which requests a rule of a programme is for: its method, path, headers, and what its body says."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ollama_harness.answers.model_name import parse_name
from ollama_harness.recordings.recording import Request
from ollama_harness.server._expressions import Expression, Kept, expression

__all__ = ["When", "is_part_of"]

_METHOD = re.compile(r"[A-Z]+")


class ReadRequest(Protocol):
    """What a request says, read once for all rules that are asked about it. `kept` is what expressions found in it."""

    @property
    def request(self) -> Request: ...
    @property
    def model(self) -> str: ...
    @property
    def kept(self) -> Kept: ...


@dataclass(frozen=True, kw_only=True)
class When:
    """Which requests a rule is for. What is not given is true of every request.

    `path` is a pattern, or several of which one must match; it is compared with the path as it was sent, and `*` in it
    also stands for slashes. `headers` has a pattern for the value of each header. `json` is a part of the request's
    JSON: an object has at least these fields, a list at least these items in this order. `jmespath` is an expression of
    JMESPath (https://jmespath.org) about the request's JSON, such as "messages[-1].role == 'tool'", which must be true.
    `stream` is whether the answer is a stream of records. `model` is a pattern for the model's name, with its tag or
    without. `function` is given the request, and says whether.

    Raises: ValueError, whose text begins with the field.
    """

    method: str | None = None
    path: str | Sequence[str] | None = None
    headers: Mapping[str, str] | None = None
    json: Any = None
    jmespath: str | None = None
    stream: bool | None = None
    model: str | None = None
    function: Callable[[Request], object] | None = None

    def __post_init__(self) -> None:
        if self.function is not None and not callable(self.function):
            raise ValueError(
                f"when: {self.function!r} is no function; give one of the request, like lambda request: request.json[…]"
            )
        if self.method is not None and not _METHOD.fullmatch(self.method):
            raise ValueError(f'when.method: {self.method!r} is no method; give one in upper case, like "POST"')
        if self.path is not None and not self.paths:
            raise ValueError('when.path: the list is empty; give a path like "/api/chat", or leave it out')
        if self.jmespath is not None:
            _ = self._meets_jmespath  # so that a wrong expression is refused now

    @property
    def paths(self) -> tuple[str, ...]:
        """The patterns of the path."""
        if self.path is None:
            return ()
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    @property
    def is_for_all_bodies(self) -> bool:
        """Whether the head of a request decides."""
        return (self.json, self.jmespath, self.stream, self.model, self.function) == (None,) * 5

    def is_for_route(self, method: str, path: str) -> bool:
        """Whether method and path of a request are one of these."""
        return self.method in (None, method) and self.is_for_path(path)

    def has_headers(self, headers: Mapping[str, Sequence[str]]) -> bool:
        """Whether a request has the headers: the values of each, by its name in lower case."""
        for name, matches in self._header_matchers:
            if name not in headers or not any(map(matches, headers[name])):
                return False
        return True

    @functools.cached_property
    def _header_matchers(self) -> tuple[tuple[str, Callable[[str], object]], ...]:
        return tuple((name.lower(), _matcher(pattern)) for name, pattern in (self.headers or {}).items())

    def is_for_path(self, path: str) -> bool:
        """Whether one of the patterns matches."""
        return self.path is None or any(_matches(pattern, path) for pattern in self.paths)

    def is_for_body(self, said: ReadRequest) -> bool:
        """Whether what a request says is one of these; `function` is asked last, and may raise."""
        for is_met in self.body_conditions:  # noqa: SIM110 `all` of a generator takes twice as long
            if not is_met(said):
                return False
        return True

    @functools.cached_property
    def body_conditions(self) -> tuple[_Condition, ...]:
        """What must be true of what a request says. Each is made ready once, because hundreds of rules may be asked."""
        found: list[_Condition] = []
        if self.model is not None:
            found.append(_has_model(self.model))
        if self.json is not None:
            has = _part(self.json)
            found.append(lambda said: has(said.request.json))
        if self.jmespath is not None:
            meets = self._meets_jmespath
            found.append(lambda said: meets(said.request.json, said.kept))
        if self.stream is not None:
            found.append(lambda said: said.request.streams is self.stream)
        if self.function is not None:
            function = self.function
            found.append(lambda said: bool(function(said.request)))
        return tuple(found)

    @functools.cached_property
    def _meets_jmespath(self) -> Expression:
        return expression(self.jmespath or "")


_Condition = Callable[[ReadRequest], bool]


def _has_model(pattern: str) -> _Condition:
    if not _is_pattern(pattern):
        key = _names(pattern)[0]
        return lambda said: _names(said.model)[0] == key
    matches = _matcher(pattern.lower())
    return lambda said: any(map(matches, _names(said.model)[1:]))


def is_part_of(part: Any, value: Any) -> bool:
    """Whether a JSON value holds at least this: objects these fields, lists these items in this order."""
    return _part(part)(value)


def _part(part: Any) -> Callable[[Any], bool]:
    """Whether a JSON value holds at least this, made ready once for many values."""
    if isinstance(part, Mapping):
        plain = [(name, inner) for name, inner in part.items() if _is_plain(inner)]
        others = [(name, _part(inner)) for name, inner in part.items() if not _is_plain(inner)]

        def has_fields(value: Any) -> bool:
            if not isinstance(value, dict):
                return False
            for name, wanted in plain:  # a call for each would take as long as the rest
                found = value.get(name)
                if found != wanted or isinstance(found, bool):
                    return False
            for name, has in others:  # noqa: SIM110 `all` of a generator takes twice as long
                if name not in value or not has(value[name]):
                    return False
            return True

        return has_fields
    if isinstance(part, list | tuple):
        items = [_part(inner) for inner in part]

        def has_items(value: Any) -> bool:
            if not isinstance(value, list):
                return False
            rest = iter(value)  # `any` goes on where it has stopped, so the order counts
            return all(any(map(has, rest)) for has in items)

        return has_items
    if isinstance(part, bool):
        return lambda value: value is part
    return lambda value: value == part and not isinstance(value, bool)


def _is_plain(part: Any) -> bool:
    """Whether it is a text or a number; True and False are none, although Python takes them for 1 and 0."""
    return isinstance(part, str | int | float) and not isinstance(part, bool)


@functools.lru_cache(maxsize=1024)
def _names(model: str) -> tuple[str, str, str]:
    """What is compared of a model's name: Ollama's key of it, it as it is, and it with its tag; case counts nothing."""
    name = parse_name(model)
    return str(name.key), model.lower(), name.short.lower()


def _matches(pattern: str, text: str) -> bool:
    return bool(_matcher(pattern)(text))


def _is_pattern(text: str) -> bool:
    return not set("*?[").isdisjoint(text)


@functools.lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Callable[[str], object]:
    if not _is_pattern(pattern):
        return pattern.__eq__
    return re.compile(fnmatch.translate(pattern)).match
