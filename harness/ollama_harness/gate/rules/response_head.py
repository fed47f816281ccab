"""Rules about the head of the response."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_harness.gate.rules.rule import Change, Level, ResponseKind, VersionExchange, alike, listed, rule

__all__: list[str] = []

#: These have rules of their own.
_ELSEWHERE = frozenset({"content-type", "transfer-encoding", "content-length", "location", "date"})

#: The buffer of Go's net/http. If a body is written at once and is longer than this, Go sends it in chunks.
#: Source: https://pkg.go.dev/net/http#ResponseWriter
_GO_BUFFER_BYTES = 2048


def _others(one: VersionExchange) -> dict[str, tuple[str, str]]:
    """The headers that have no rule of their own: name in lower case -> name, value."""
    return {name.lower(): (name, value) for name, value in one.shape.headers if name.lower() not in _ELSEWHERE}


@rule(
    "Clients choose their parser by it, and some refuse a type that they did not expect.",
    Level.BREAKING,
    "https://github.com/ITSpecialist111/ai_automation_suggester/issues/149",
)
def content_type_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.media_type != new.shape.media_type:
        yield Change(where="Content-Type", was=old.shape.media_type or "none", now=new.shape.media_type or "none")


@rule(
    "Some clients decode by the charset, and some compare the whole value.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc8259#section-8.1",
)
def content_type_parameters_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was, now = old.shape.header("content-type") or "none", new.shape.header("content-type") or "none"
    if was != now and old.shape.media_type == new.shape.media_type:
        yield Change(where="Content-Type", was=was, now=now)


@rule(
    "A program that reads the header no longer finds it. Browsers, for example, need Access-Control-Allow-Origin.",
    Level.BREAKING,
    "https://www.rfc-editor.org/rfc/rfc9110#section-6.3",
)
def header_gone(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    there = _others(new)
    for key, (name, value) in _others(old).items():
        if key not in there:
            yield Change(where=f"header {name}", was=value or "there", now="gone")
    if old.shape.header("date") is not None and new.shape.header("date") is None:
        yield Change(where="header Date", was="there", now="gone")


@rule(
    "Clients ignore headers that they do not know. A header that they know may change their behaviour.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc9110#section-5.1",
)
def header_new(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    there = _others(old)
    for key, (name, value) in _others(new).items():
        if key not in there:
            yield Change(where=f"header {name}", was="none", now=value or "there")


@rule(
    "Clients may depend on the value: Connection, Allow, Access-Control.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc9110#section-5.5",
)
def header_value_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    there = _others(new)
    for key, (name, value) in _others(old).items():
        if key in there and there[key][1] != value:
            was, now = value.split(","), there[key][1].split(",")
            gone, more = [one for one in was if one not in now], [one for one in now if one not in was]
            if len(was) > 2 and len(now) > 2:
                yield Change(where=f"header {name}", was=f"with {listed(gone)}", now=f"with {listed(more)}")
            else:
                yield Change(where=f"header {name}", was=value, now=there[key][1])


@rule(
    "By the standard, names are case-insensitive, but some programs compare them as text.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc9110#section-5.1",
)
def header_spelling_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    names = {name.lower(): name for name, _ in new.shape.headers}
    for name, _ in old.shape.headers:
        if names.get(name.lower(), name) != name:
            yield Change(where=f"header {name}", was=name, now=names[name.lower()])


@rule(
    "By the standard, the order of different names means nothing, but recordings and server fingerprints differ.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc9110#section-5.3",
)
def header_order_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    names = [[name.lower() for name, _ in one.shape.headers] for one in (old, new)]
    was, now = [[name for name in names[i] if name in names[1 - i]] for i in (0, 1)]
    if was != now:
        yield Change(where="order of headers", was=listed(was), now=listed(now))


@rule(
    "Programs that show progress need a Content-Length, and proxies that speak HTTP/1.0 cannot pass on chunks.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc9112#section-6",
    when=lambda old, new: alike(old, new) and not _by_size(old, new),
)
def framing_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.framing != new.shape.framing:
        yield Change(where="framing", was=old.shape.framing, now=new.shape.framing)


@rule(
    "Go sends a body that is written at once with a Content-Length up to 2048 bytes, and a longer one in chunks.",
    Level.NOISE,
    "https://pkg.go.dev/net/http#ResponseWriter",
)
def framing_by_size(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.framing != new.shape.framing and _by_size(old, new):
        yield Change(where="framing", was=old.shape.framing, now=new.shape.framing)


@rule(
    "By the standard, a client SHOULD ignore it.",
    Level.NOISE,
    "https://www.rfc-editor.org/rfc/rfc9112#section-4",
    when=lambda old, new: alike(old, new),
)
def reason_phrase_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.status == new.shape.status and old.shape.reason != new.shape.reason:
        yield Change(where="reason phrase", was=old.shape.reason, now=new.shape.reason)


def _by_size(old: VersionExchange, new: VersionExchange) -> bool:
    """Whether Go's buffer alone explains the framing of both."""
    return all(
        not one.shape.stream
        and one.answer is ResponseKind.ANSWERED
        and one.shape.framing == ("chunked" if len(one.shape.recording.body) > _GO_BUFFER_BYTES else "length")
        for one in (old, new)
    )
