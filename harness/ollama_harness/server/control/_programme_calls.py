"""The programme as JSON: rules as they are read from a program and as they are shown, with ids and counts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ollama_harness.answers.own_answers import OwnError, OwnReply, OwnVectors
from ollama_harness.errors import HarnessError, ProgrammeError
from ollama_harness.script.script import Script
from ollama_harness.server._running_programme import RunningProgramme, Where
from ollama_harness.server._running_rule import RunningRule
from ollama_harness.server.control._answering import ControlAnswer, ControlError
from ollama_harness.server.programme import Forwarded, Play, ProgrammeRule, When
from ollama_harness.server.programme_file import RulePlace, parse_rule
from ollama_harness.server.programme_notation import parse_fail, parse_on

__all__ = ["programme_json", "put_rules", "remove_rule", "when_json"]

#: What stands for the name of the file in messages.
_BODY = Path("request body")

#: What is shown of a rule besides the keys of a file. A program may send back what it was shown.
_SHOWN_ONLY = ("id", "met", "used", "left")


def programme_json(programme: RunningProgramme) -> ControlAnswer:
    """The rules in the order in which they are tried."""
    return ControlAnswer(200, {"rules": [_rule_json(one) for one in programme.rules]})


def put_rules(programme: RunningProgramme, value: Any, where: Where) -> ControlAnswer:
    """Read rules, and put them into the programme.

    Raises: ControlError, which names rule and key; nothing is changed then.
    """
    try:
        made = programme.put(_rules(value, where), where)
    except HarnessError as error:
        raise ControlError(400, str(error)) from None
    return ControlAnswer(200 if where is Where.INSTEAD else 201, {"rules": [_rule_json(one) for one in made]})


def remove_rule(programme: RunningProgramme, id_: str) -> ControlAnswer:
    """Take a rule away.

    Raises: ControlError.
    """
    if not programme.remove(id_):
        raise ControlError(404, f"there is no rule {id_[:60]!r}; GET /_harness/programme lists the ids")
    return ControlAnswer(204)


# --- reading ----------------------------------------------------------------------------------------------------------


def _rules(value: Any, where: Where) -> list[ProgrammeRule]:
    if not isinstance(value, dict):
        raise ProgrammeError.about(_BODY, "", "is no JSON object", 'give {"rules": […]}')
    given: Any = [value]
    if where is Where.INSTEAD or "rules" in value:
        for key in value:
            if key not in ("rules", "$schema"):
                raise ProgrammeError.about(_BODY, key, "is no key of a programme", "the key is rules")
        given = value.get("rules")
        if not isinstance(given, list):
            raise ProgrammeError.about(_BODY, "rules", "is no list of rules", "give one; an empty one has no rules")
    return [_rule(one, f"rule {place}") for place, one in enumerate(given, start=1)]


def _rule(value: Any, place: str) -> ProgrammeRule:
    if isinstance(value, dict):
        value = _without_short_forms({key: one for key, one in value.items() if key not in _SHOWN_ONLY}, place)
    return parse_rule(RulePlace(_BODY, place), value)


def _without_short_forms(rule: dict[str, Any], place: str) -> dict[str, Any]:
    """The rule in the words of a file: `on` and a `fail` with a text are those of the command line."""
    if "on" in rule:
        on = rule.pop("on")
        if double := next((key for key in ("when", "nth") if key in rule), None):
            problem = "there is on, too, which says the same in short"
            raise ProgrammeError.about(_BODY, f"{place}, {double}", problem, "remove one of the two")
        when, nth = _short(parse_on, on, f"{place}, on")
        rule |= {"when": when_json(when)} if when != When() else {}
        rule |= {"nth": list(nth)} if nth else {}
    if isinstance(rule.get("fail"), str):
        error = _short(parse_fail, rule["fail"], f"{place}, fail")
        rule["fail"] = {"status": error.status, "message": error.message}
    return rule


def _short(parse: Any, text: Any, place: str) -> Any:
    if not isinstance(text, str):
        raise ProgrammeError.about(_BODY, place, f"is {repr(text)[:60]}", "make it a text")
    try:
        return parse(text)
    except ValueError as error:
        raise ProgrammeError(f"{_BODY}: {place}: {error}") from None


# --- showing ----------------------------------------------------------------------------------------------------------


def _rule_json(one: RunningRule) -> dict[str, Any]:
    """A rule in the words of a file, with its id and counts. What has no words there is shown as a text."""
    rule = one.rule
    optional = {
        "name": rule.name,
        "when": when_json(rule.when),
        "nth": list(rule.nth),
        "every": rule.every,
        "probability": rule.probability,
        "seed": rule.seed,
        "times": rule.times,
        "faults": [str(fault) for fault in rule.faults],
        "before_guard": rule.before_guard,
    }
    given = {key: value for key, value in optional.items() if value}
    left = None if rule.times is None else rule.times - one.answered
    return {"id": one.id, **given, **_answer_json(rule), "met": one.matched, "used": one.answered, "left": left}


def when_json(when: When) -> dict[str, Any]:
    """The fields that are given, in the words of a file."""
    fields = {name: getattr(when, name) for name in when.__dataclass_fields__}
    if when.function is not None:
        fields["function"] = repr(when.function)
    if when.path is not None:
        fields["path"] = list(when.paths) if len(when.paths) > 1 else when.paths[0]
    if when.headers is not None:
        fields["headers"] = dict(when.headers)
    return {name: value for name, value in fields.items() if value is not None}


def _answer_json(rule: ProgrammeRule) -> dict[str, Any]:
    match rule.answer:
        case None:
            return {}
        case Play(recordings, speed):
            return {"play": list(recordings)} | ({} if speed is None else {"speed": speed})
        case OwnReply():
            return {"reply": _reply_json(rule.answer)}
        case OwnVectors(vectors=vectors):
            return {"embed": [list(struct.unpack(f"<{len(one) // 4}f", one)) for one in vectors]}
        case OwnError():
            return {"fail": {"status": rule.answer.status, "message": rule.answer.message}}
        case Forwarded():
            return {"forward": True}
        case Script(segments=segments):
            return {"script": f"{rule.name or 'script'}, {len(segments)} segments"}
        case other:
            return {"script": other.name}


def _reply_json(reply: OwnReply) -> dict[str, Any]:
    fields = {
        "text": list(reply.text) if isinstance(reply.text, tuple) else reply.text,
        "thinking": list(reply.thinking) if isinstance(reply.thinking, tuple) else reply.thinking or None,
        "tool_calls": [{"name": call.name, "arguments": dict(call.arguments)} for call in reply.calls] or None,
        "done_reason": None if str(reply.done_reason) == "stop" else str(reply.done_reason),
        "tokens_per_s": reply.tokens_per_s,
        "first_token_s": reply.first_token_s,
    }
    return {key: value for key, value in fields.items() if value is not None}
