"""Rules about the response as a whole: whether there is one, whether it is an error, how the connection ends."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_harness.gate.rules.rule import Change, Level, ResponseKind, VersionExchange, alike, quoted, rule

__all__: list[str] = []


def _status(old: VersionExchange, new: VersionExchange) -> Change:
    return Change(where="status", was=old.status, now=new.status)


def _has_route(one: VersionExchange) -> bool:
    return one.answer is not ResponseKind.NO_ROUTE


_ERRORS = (ResponseKind.REFUSED, ResponseKind.FAILED)
_GOOD = (ResponseKind.ANSWERED, ResponseKind.REDIRECTED)


@rule(
    "Programs that call the route get 404 instead of an answer.",
    Level.BREAKING,
    "https://github.com/ollama/ollama/issues/13595",
    when=lambda old, new: _has_route(old) and not _has_route(new),
)
def route_gone(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield _status(old, new)


@rule(
    "A client that tries the route to learn what the server can do now behaves differently.",
    Level.NOTABLE,
    "https://github.com/ollama/ollama/issues/13595",
    when=lambda old, new: not _has_route(old) and _has_route(new),
)
def route_new(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield Change(where="status", was=old.status, now=f"{new.status}, from the route")


@rule(
    "A request that was answered is now an error.",
    Level.BREAKING,
    "https://docs.ollama.com/api/errors",
    when=lambda old, new: old.answer in _GOOD and new.answer in _ERRORS,
)
def answer_refused(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield Change(where="status", was=old.status, now=f"{new.status}: {quoted(new.shape.error)}")


@rule(
    "A request that was an error is now answered: a program that depends on the error does not get it.",
    Level.NOTABLE,
    "https://docs.ollama.com/api/errors",
    when=lambda old, new: old.answer in _ERRORS and new.answer in _GOOD,
)
def answer_accepted(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield Change(where="status", was=f"{old.status}: {quoted(old.shape.error)}", now=new.status)


@rule(
    "An error that came in the stream, at status 200, now has an error status, or the other way round.",
    Level.BREAKING,
    "https://github.com/promptfoo/promptfoo/pull/10953",
    when=lambda old, new: {old.answer, new.answer} == {ResponseKind.REFUSED, ResponseKind.FAILED},
)
def error_moved(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    yield _status(old, new)


@rule(
    "A client repeats a request after 5xx and not after 4xx.",
    Level.BREAKING,
    "https://www.rfc-editor.org/rfc/rfc9110#section-15",
    when=lambda old, new: old.answer is new.answer is ResponseKind.REFUSED,
)
def error_class_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.status // 100 != new.shape.status // 100:
        yield _status(old, new)


@rule(
    "Some clients depend on the exact status: 404 makes them pull the model.",
    Level.NOTABLE,
    "https://github.com/ollama/ollama/issues/5483",
    when=lambda old, new: alike(old, new) and old.answer in (ResponseKind.REFUSED, ResponseKind.NO_ROUTE),
)
def error_status_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.status != new.shape.status and old.shape.status // 100 == new.shape.status // 100:
        yield _status(old, new)


@rule(
    "A client that checks for 200, and not for any success, sees a failure.",
    Level.NOTABLE,
    "https://www.rfc-editor.org/rfc/rfc9110#section-15.3",
    when=lambda old, new: alike(old, new) and old.answer is ResponseKind.ANSWERED,
)
def success_status_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.status != new.shape.status:
        yield _status(old, new)


@rule(
    "After 301 clients ask again with GET and without the body, after 307 with the same request.",
    Level.BREAKING,
    "https://www.rfc-editor.org/rfc/rfc9110#section-15.4.2",
    when=lambda old, new: ResponseKind.REDIRECTED in (old.answer, new.answer) and _has_route(old) and _has_route(new),
)
def redirect_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:

    def target(one: VersionExchange) -> str:
        location = one.shape.header("location")
        return f"{one.shape.status} to {location}" if location is not None else str(one.shape.status)

    if target(old) != target(new):
        yield Change(where="redirect", was=target(old), now=target(new))


@rule(
    "A message that is not complete is an error for a client, however much it has read.",
    Level.BREAKING,
    "https://www.rfc-editor.org/rfc/rfc9112#section-8",
)
def connection_end_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.ended != new.shape.ended:
        yield Change(where="end of the connection", was=old.shape.ended, now=new.shape.ended)


@rule(
    "A read timeout that was long enough for the head may now be too short. One recording proves little.",
    Level.NOTABLE,
    "https://docs.ollama.com/faq",
)
def first_byte_later(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was_s, now_s = (one.shape.recording.response.head_at_s for one in (old, new))
    if now_s > 5 * was_s and now_s - was_s > 1.0:
        yield Change(where="first byte", was="soon", now="5 times as long, and more than a second")
