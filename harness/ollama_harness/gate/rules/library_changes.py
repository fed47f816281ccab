"""Rules about libraries: what else one version of a client does in another way than one before, in the same cell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ollama_harness.files.json_text import parse_json
from ollama_harness.gate.handled import Handled, RequestSeen
from ollama_harness.gate.rules.rule import Change, Level, library_rule, quoted
from ollama_harness.oracle.verdict import Verdict

__all__: list[str] = []

_RECORDS = "docs/upgrading-clients.md, section What is compared"
_REQUESTS = "https://www.rfc-editor.org/rfc/rfc9110#section-3.4"
_JSON = "https://www.rfc-editor.org/rfc/rfc8259#section-2"

#: The headers that follow from the body and from the address.
_DERIVED = {"content-length", "host"}


def _number(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Each place in which two values of JSON differ, with the kinds there; "gone" and "none" for what only one has."""
    match old, new:
        case dict(), dict():
            for name in [*old, *(name for name in new if name not in old)]:
                at = f"{path}.{name}"
                if name not in new:
                    yield at, _kind(old[name]), "gone"
                elif name not in old:
                    yield at, "none", _kind(new[name])
                else:
                    yield from _differences(old[name], new[name], at)
        case list(), list():
            for one, other in zip(old, new, strict=False):
                yield from _differences(one, other, f"{path}[]")
            if len(old) != len(new):
                yield f"{path}[]", _number(len(old), "item"), _number(len(new), "item")
        case _ if _kind(old) != _kind(new):
            yield path or ".", _kind(old), _kind(new)
        case _ if old != new:
            yield path or ".", _kind(old), f"another {_kind(old)}"


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list():
            return "array"
    return "object"


def _in_records(old: Handled, new: Handled) -> Iterator[Change]:
    """The places in which the records of two cells with the same verdict differ."""
    if old.records is None or new.records is None or old.result.verdict is not new.result.verdict:
        return
    for number, (one, other) in enumerate(zip(old.records, new.records, strict=False), 1):
        for path, was, now in _differences(one, other):
            yield Change(where=f"record {path}", was=was, now=now, old_line=number, new_line=number)


def _in_requests(old: Handled, new: Handled) -> Iterator[tuple[RequestSeen, RequestSeen]]:
    """The requests of both, as far as both have made them."""
    return zip(old.requests, new.requests, strict=False)


@library_rule("A field is not handed out any more; a program that reads it fails.", Level.NOTABLE, _RECORDS)
def handed_out_field_gone(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (one for one in _in_records(old, new) if one.now == "gone")


@library_rule("A field is handed out that was not before.", Level.NOISE, _RECORDS)
def handed_out_field_added(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (one for one in _in_records(old, new) if one.was == "none")


@library_rule("A field is handed out with another value or of another type.", Level.NOTABLE, _RECORDS)
def handed_out_otherwise(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (one for one in _in_records(old, new) if one.now != "gone" and one.was != "none")


@library_rule("More or fewer records are handed out, with the same verdict.", Level.NOTABLE, _RECORDS)
def other_number_of_records(old: Handled, new: Handled) -> Iterator[Change]:
    same = old.result.verdict is new.result.verdict
    if same and old.records is not None and new.records is not None and len(old.records) != len(new.records):
        was, now = (_number(len(one.records or ()), "record") for one in (old, new))
        yield Change(where=old.result.scenario, was=was, now=now)


@library_rule("It makes more or fewer requests, each of which costs a generation.", Level.NOTABLE, _REQUESTS)
def other_number_of_requests(old: Handled, new: Handled) -> Iterator[Change]:
    tried = Verdict.UNSUPPORTED not in (old.result.verdict, new.result.verdict)  # which is another rule's
    if tried and len(old.requests) != len(new.requests):
        was, now = (_number(len(one.requests), "request") for one in (old, new))
        yield Change(where=old.result.scenario, was=was, now=now)


@library_rule(
    "It uses more or fewer connections, so it reuses them in another way.",
    Level.NOISE,
    "https://www.rfc-editor.org/rfc/rfc9112#section-9.3",
)
def other_number_of_connections(old: Handled, new: Handled) -> Iterator[Change]:
    if old.result.connections != new.result.connections and len(old.requests) == len(new.requests):
        was, now = (_number(one.result.connections, "connection") for one in (old, new))
        yield Change(where=old.result.scenario, was=was, now=now)


@library_rule("The request takes another route, by the same settings of the network.", Level.NOTABLE, _REQUESTS)
def other_route(old: Handled, new: Handled) -> Iterator[Change]:
    if old.result.route != new.result.route:
        was, now = (one.result.route or "none" for one in (old, new))
        yield Change(where=f"{old.result.scenario} {old.result.host}".rstrip(), was=was, now=now)


@library_rule("Another method or path is asked for; a proxy or a server may refuse it.", Level.NOTABLE, _REQUESTS)
def request_line_changed(old: Handled, new: Handled) -> Iterator[Change]:
    for one, other in _in_requests(old, new):
        if one.line != other.line:
            yield Change(where="request line", was=one.line, now=other.line)


def _in_headers(old: Handled, new: Handled) -> Iterator[tuple[Change, bool]]:
    """Headers that differ, each with whether that is only the version of the library in it."""
    versions = old.ran.client.version, new.ran.client.version
    for one, other in _in_requests(old, new):
        for name in {**one.headers, **other.headers}:
            was, now = one.headers.get(name, "none"), other.headers.get(name, "none")
            if was != now and name not in _DERIVED:
                same = bool(versions[0]) and was.replace(*versions) == now
                yield Change(where=f"header {name}", was=quoted(was), now=quoted(now)), same


@library_rule("A header changes, which a proxy or a picky server may look at.", Level.NOTABLE, _REQUESTS)
def header_changed(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (change for change, is_version in _in_headers(old, new) if not is_version)


@library_rule(
    "A header says which version of the library sends the request.",
    Level.NOISE,
    "https://www.rfc-editor.org/rfc/rfc9110#section-10.1.5",
)
def header_says_version(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (change for change, is_version in _in_headers(old, new) if is_version)


def _in_bodies(old: Handled, new: Handled) -> Iterator[Change]:
    """The places in which the bodies of the requests differ; "body" alone if only their bytes do."""
    for one, other in _in_requests(old, new):
        if one.body == other.body:
            continue
        try:
            was, now = parse_json(one.body), parse_json(other.body)
        except ValueError:
            yield Change(where="body .", was=_number(len(one.body), "byte"), now=_number(len(other.body), "byte"))
            continue
        found = list(_differences(was, now))
        yield from (Change(where=f"body {path}", was=before, now=after) for path, before, after in found)
        if not found:
            yield Change(where="body", was=_spelling(one.body), now=_spelling(other.body))


def _spelling(body: bytes) -> str:
    """How JSON is written: the same value again, by the ways that libraries have."""
    value = parse_json(body)
    for spaces, separators in (("with", (", ", ": ")), ("without", (",", ":"))):
        for ascii_ in (True, False):
            if body == json.dumps(value, separators=separators, ensure_ascii=ascii_).encode("utf-8", "surrogatepass"):
                return f"JSON {spaces} spaces" + (", in ASCII" if ascii_ and rb"\u" in body else "")
    return "JSON in another spelling"


@library_rule("The server is asked for something else.", Level.NOTABLE, _REQUESTS)
def body_changed(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (one for one in _in_bodies(old, new) if one.where != "body")


@library_rule("The same JSON is written in other bytes, which only a signature of them notices.", Level.NOISE, _JSON)
def body_spelled_otherwise(old: Handled, new: Handled) -> Iterator[Change]:
    yield from (one for one in _in_bodies(old, new) if one.where == "body")
