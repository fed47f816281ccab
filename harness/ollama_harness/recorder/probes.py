"""Probes: the requests that are recorded, as data.

A file of probes is TOML. `probes.toml` beside this module is the default file, and an example:

    [[probe]]
    name = "generate-cold"                     # the recording's name
    method = "POST"                            # the default is POST
    path = "/api/generate"
    headers = [["Origin", "http://a.example"]]  # besides Host, Content-Length, Content-Type
    json = { model = "{model}", prompt = "Hi" }  # or body = "text", or neither
    intervention = "the model was unloaded"    # what `before` did to the server; is written into the recording
    note = "a comment"                         # is written into the recording, too
    before = [{ path = "/api/generate", json = { model = "{model}", keep_alive = 0 } }]
    after = []                                 # requests that clean up, however the probe ended

A probe is left out if one of its requests would change a model that is already on the server (see planning.py).
`{model}` in any string of a request is replaced by the model's name. `[repeated]` defines long texts: with
`words = ["word ", 3000]`, `{words}` becomes 3000 words. `[left_out]` lists names (patterns) that this file does not
cover, with the reasons.
"""

from __future__ import annotations

import functools
import math
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ollama_harness.errors import ProbeError, UnknownName
from ollama_harness.files.fields import Fields
from ollama_harness.files.reading import read_toml
from ollama_harness.recordings.recording import Headers, Request

__all__ = ["MODEL", "Probe", "ProbeSet", "default_probes", "is_name", "load_probes"]

MODEL = "{model}"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Names that Windows reserves for devices, with any suffix.
_DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")
_PATH = re.compile(r"/[!-~]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: More than any context. A typing error must not make gigabytes.
_MOST_REPEATED_CHARS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request to record. The requests `before` set it up, and those `after` clean up. They are not recorded."""

    name: str
    request: Request
    before: tuple[Request, ...] = ()
    after: tuple[Request, ...] = ()
    intervention: str | None = None
    note: str | None = None

    @property
    def needs_model(self) -> bool:
        return any(MODEL in str((one.path, one.json, one.body)) for one in (*self.before, self.request, *self.after))

    def with_model(self, model: str) -> Probe:
        """The same probe for this model."""
        return replace(
            self,
            request=_filled(self.request, {MODEL: model}),
            before=tuple(_filled(one, {MODEL: model}) for one in self.before),
            after=tuple(_filled(one, {MODEL: model}) for one in self.after),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSet:
    """Probes in the order in which they are sent. `left_out` gives names (patterns) that they do not cover, and why."""

    probes: tuple[Probe, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def only(self, patterns: tuple[str, ...]) -> tuple[Probe, ...]:
        """The probes that match the patterns in turn: `chat-*` adds, `!chat-load` removes. No pattern means all probes.

        Raises: UnknownName, for a pattern that matches none.
        """
        names = [probe.name for probe in self.probes]
        chosen = set(names if not patterns or patterns[0].startswith("!") else ())
        for pattern in patterns:
            found = {name for name in names if fnmatchcase(name, pattern.removeprefix("!"))}
            if not found:
                raise UnknownName("probe", pattern.removeprefix("!"), names)
            chosen = chosen - found if pattern.startswith("!") else chosen | found
        return tuple(probe for probe in self.probes if probe.name in chosen)


@functools.cache
def default_probes() -> ProbeSet:
    """The requests that any Ollama can answer, named like the recordings of this project."""
    return load_probes(Path(__file__).with_name("probes.toml"))


def load_probes(path: Path) -> ProbeSet:
    """The probes of a file.

    Raises: ProbeError, for the first defect found.
    """
    fields = Fields(path, read_toml(path, ProbeError, fix="give the path of a file of probes"), "", ProbeError)
    repeated = _repeated(fields)
    left_out = fields.take("left_out", _is_texts, "a table of names and reasons", optional=True)
    entries = fields.take("probe", lambda v: _is_tables(v) and v != [], "tables: write [[probe]] before each")
    fields.no_more()
    probes: dict[str, Probe] = {}
    for number, entry in enumerate(entries, 1):
        prefix = f"probe {number} ({entry['name']}): " if isinstance(entry.get("name"), str) else f"probe {number}: "
        probe = _probe(path, Fields(path, entry, prefix, ProbeError), prefix, repeated)
        if probe.name in probes:
            raise ProbeError(path, f"{prefix}name", "is used twice", "give each probe its own name")
        probes[probe.name] = probe
    return ProbeSet(probes=tuple(probes.values()), left_out=left_out or {})


def _repeated(fields: Fields) -> dict[str, str]:
    pairs = fields.take(
        "repeated", lambda v: isinstance(v, dict), 'a table of texts: words = ["word ", 3000]', optional=True
    )
    texts = {}
    for name, pair in (pairs or {}).items():
        match pair:
            case [str(text), int(times)] if times > 0 and len(text) * times <= _MOST_REPEATED_CHARS:
                texts["{" + name + "}"] = text * times
            case _:
                fix = f"write [text, times], {_MOST_REPEATED_CHARS} characters at the most in all"
                fields.fail(f"repeated.{name}", f"is {str(pair)[:60]}", fix)
    return texts


def _probe(path: Path, fields: Fields, prefix: str, texts: Mapping[str, str]) -> Probe:
    name = fields.take("name", is_name, "a name of a-z, 0-9 and - that Windows allows for a file")
    before, after = (_requests(path, fields, prefix, key, texts) for key in ("before", "after"))
    intervention, note = (fields.text(key, optional=True) for key in ("intervention", "note"))
    return Probe(
        name=name,
        request=_request(fields, texts),
        before=before,
        after=after,
        intervention=intervention,
        note=note,
    )


def _requests(path: Path, fields: Fields, prefix: str, key: str, texts: Mapping[str, str]) -> tuple[Request, ...]:
    tables = fields.take(key, _is_tables, "a list of requests: [{ path = …, json = … }]", optional=True) or []
    numbered = enumerate(tables, 1)
    return tuple(_request(Fields(path, table, f"{prefix}{key}[{n}].", ProbeError), texts) for n, table in numbered)


def _request(fields: Fields, texts: Mapping[str, str]) -> Request:
    method = fields.take("method", _is_method, "a method such as GET, not CONNECT", optional=True)
    request = Request(
        method=method or "POST",
        path=fields.take("path", _matches(_PATH), "a path that starts with /, in ASCII, without blanks"),
        headers=_headers(fields),
        json=fields.take("json", _is_json, "any JSON (no dates, no inf, no nan)", optional=True),
        body=fields.text("body", optional=True),
    )
    if request.json is not None and request.body is not None:
        fields.fail("body", "is given together with json", "keep one of the two")
    fields.no_more()
    return _filled(request, texts)


def _headers(fields: Fields) -> Headers:
    headers = fields.headers("headers", optional=True)
    for index, (name, _) in enumerate(headers):
        if not _TOKEN.fullmatch(name):
            fields.fail(f"headers[{index}]", f"{name!r} is not the name of a header", "write [name, value] (RFC 9110)")
    return headers


def _filled(request: Request, texts: Mapping[str, str]) -> Request:
    """The request with these placeholders filled in. In a path, the text is percent-encoded."""
    quoted = {placeholder: urllib.parse.quote(text, safe="/:@") for placeholder, text in texts.items()}
    return replace(
        request,
        path=_fill(request.path, quoted),
        json=_fill(request.json, texts),
        body=_fill(request.body, texts),
    )


def _fill(value: Any, texts: Mapping[str, str]) -> Any:
    match value:
        case str():
            for placeholder, text in texts.items():
                value = value.replace(placeholder, text)
            return value
        case list():
            return [_fill(item, texts) for item in value]
        case dict():
            return {key: _fill(item, texts) for key, item in value.items()}
        case _:
            return value


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def is_name(value: Any) -> bool:
    """Whether a value can be the name of a recording on any system: a-z, 0-9 and -."""
    return _matches(_NAME)(value) and len(value) <= 100 and _DEVICES.fullmatch(value) is None


def _is_method(value: Any) -> bool:
    return _matches(re.compile("[A-Z]+"))(value) and value != "CONNECT"  # its answer is a tunnel and not a message


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


def _is_json(value: Any) -> bool:
    match value:
        case str() | bool() | int():
            return True
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_is_json, value))
        case dict():
            return all(map(_is_json, value.values()))
        case _:
            return False
