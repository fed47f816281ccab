"""What a test asks at its end: was each rule needed, and was each request answered?

A rule that no request came to is compared with the requests that did come. The message names the first thing in which
the nearest of them is another one, as pytest-httpserver and respx do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ollama_harness.answers import Asked, Step, World
from ollama_harness.server._running_rule import RunningRule, Seen
from ollama_harness.server.control._programme_calls import when_json
from ollama_harness.server.journal import Entry
from ollama_harness.server.programme import When

__all__ = ["Verification", "verification"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What of a programme was not needed, and which requests it did not foresee.

    Rules are named by their id, with their name; requests by the id of their entry in the journal. `rules_never_met`
    had no request that they are for; `rules_met_but_unused` had one, and neither answered nor struck it.
    `requests_unanswered` got the 501 of this program, because nothing fits. `requests_without_rule` got an ordinary
    answer, though there is a programme; they count only if `strict`. `faults_left_out` are the faults of rules that
    could not strike an answer. `message` has a sentence for each, and is empty if all is well.
    """

    strict: bool
    rules_never_met: tuple[str, ...]
    rules_met_but_unused: tuple[str, ...]
    requests_unanswered: tuple[int, ...]
    requests_without_rule: tuple[int, ...]
    faults_left_out: tuple[str, ...]
    message: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.message

    def as_json(self) -> dict[str, Any]:
        """The same as values of JSON."""
        return {"ok": self.ok} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        }


def verification(
    rules: Sequence[RunningRule],
    entries: Sequence[Entry],
    world: World,
    *,
    strict: bool = False,
    faults_of_server: Iterable[str] = (),
) -> Verification:
    """Compare the rules of a server with the requests in its journal.

    `faults_of_server` strike what they can, and are left out of other answers as a matter of course.
    """
    never = [one for one in rules if not one.matched]
    unused = [one for one in rules if one.matched and not one.answered]
    unanswered = [entry for entry in entries if entry.step is Step.NOTHING]
    without = [entry for entry in entries if rules and not entry.programme_rules and entry.step not in _ARRANGED]
    usual = tuple(f"{fault} was left out" for fault in faults_of_server)
    left_out = [(entry, text) for entry in entries for text in entry.left_out if not text.startswith(usual)]
    message = [f"{_named(one)} was never met: {_nearest(one, entries, world)}" for one in never]
    message += [f"{_named(one)} was met {_times(one.matched)}, and did nothing: {_why_unused(one)}" for one in unused]
    message += [f"request {entry.id} ({_line(entry)}) was not answered: {entry.why}" for entry in unanswered]
    message += [f"request {entry.id} ({_line(entry)}): {text}" for entry, text in left_out]
    if strict:
        message += [f"request {entry.id} ({_line(entry)}) met no rule" for entry in without]
    return Verification(
        strict=strict,
        rules_never_met=tuple(map(_named, never)),
        rules_met_but_unused=tuple(map(_named, unused)),
        requests_unanswered=tuple(entry.id for entry in unanswered),
        requests_without_rule=tuple(entry.id for entry in without),
        faults_left_out=tuple(text for _, text in left_out),
        message=tuple(message),
    )


#: The steps of requests that something arranged has answered, or that nothing has. A TLS handshake has none.
_ARRANGED = (Step.PROGRAMME, Step.NOTHING, None)


def _named(one: RunningRule) -> str:
    """Its id, with its name or with where it was written."""
    words = one.rule.name or ("" if one.source == one.id else one.label)
    return f"{one.id} ({words})" if words else one.id


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _line(entry: Entry) -> str:
    return "no HTTP" if entry.head is None else f"{entry.head.method} {entry.head.target[:60]}"


def _why_unused(one: RunningRule) -> str:
    rule = one.rule
    if rule.nth and one.matched < min(rule.nth):
        return f"it is for request #{', #'.join(map(str, rule.nth))} of them"
    if rule.every is not None and one.matched < rule.every:
        return f"it is for each {rule.every}th of them"
    if rule.answer is None and not one.counts:
        return "its faults could strike none of the answers"
    return "other rules answered, it was not its turn, or its faults could strike none of the answers"


def _nearest(one: RunningRule, entries: Sequence[Entry], world: World) -> str:
    """The request that differs from the rule the latest, and how; of several the last."""
    found = [(difference, entry) for entry in entries if (difference := _difference(one.rule.when, entry, world))]
    if not entries:
        return "no request came"
    if not found:
        return "what it is for came only before it was there, or was answered by a rule before it"
    (_, text), entry = max(found, key=lambda each: (each[0][0], each[1].id))
    return f"of the requests that came, {entry.id} ({_line(entry)}) is the nearest; {text}"


def _difference(when: When, entry: Entry, world: World) -> tuple[int, str] | None:
    """How far a request is like the ones that a rule is for, and the first thing in which it is another one."""
    if entry.head is None:
        return (0, "it is no HTTP")
    asked = Asked.of(entry.head, entry.body)
    seen = Seen(asked, world)
    sent = {"path": asked.raw_path, "method": asked.method, "model": seen.model, "stream": seen.request.streams}
    fields = when_json(when)
    for place, name in enumerate(sorted(fields, key=lambda name: [*sent, name].index(name))):
        alone = When(**{name: getattr(when, name)})
        if not (
            alone.is_for_route(asked.method, asked.raw_path)
            and alone.has_headers(seen.headers)
            and _is_for_body(alone, seen)
        ):
            shown = f", and not {_shown(sent[name])}" if name in sent else ""
            return (place, f"the rule wants another {name}: {_shown(fields[name])}{shown}")
    return None


def _is_for_body(when: When, seen: Seen) -> bool:
    try:
        return when.is_for_body(seen)
    except Exception:  # noqa: BLE001 - whatever a user's function raises; `check` raises it
        return False


def _shown(wanted: Any) -> str:
    text = json.dumps(wanted, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
