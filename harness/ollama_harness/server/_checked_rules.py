"""Rules tried before the first request: what can have no effect is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ollama_harness.answers import Answer, Asked, Reply
from ollama_harness.answers.own_answers import OwnAnswer
from ollama_harness.errors import FaultDoesNotApply, ProgrammeError, UnknownName
from ollama_harness.faults import Fault, apply
from ollama_harness.recordings.recording import GAP_S, Recording
from ollama_harness.script.script import Script
from ollama_harness.server._running_rule import Candidate, RunningRule
from ollama_harness.server.programme import Play, ProgrammeRule
from ollama_harness.server.recorded_answers import RecordedAnswers

__all__ = ["checked", "refuse_unreachable", "script_of"]


def checked(rule: ProgrammeRule, place: int, recorded: RecordedAnswers) -> RunningRule:
    """A rule that can have an effect, with its recordings found.

    Raises: ProgrammeError.
    """
    try:
        match rule.answer:
            case Play():
                return RunningRule(rule, place, _candidates(rule, rule.answer, recorded))
            case None:
                _refuse_useless(rule, recorded)
            case Script():
                apply(rule.answer, rule.faults)
            case _:
                _refuse_useless_on_own(rule, rule.answer, recorded)
    except (FaultDoesNotApply, UnknownName) as error:
        raise ProgrammeError(f"{RunningRule(rule, place).label}: {error}") from None
    return RunningRule(rule, place)


def _candidates(rule: ProgrammeRule, play: Play, recorded: RecordedAnswers) -> tuple[Candidate, ...]:
    found, why = list[Candidate](), ""
    for recording in recorded.chosen(play.recordings):
        script, left_out = recorded.struck(recorded.paced(recording, speed=play.speed))
        try:
            script = apply(script, rule.faults)
            script.render(date="")
        except FaultDoesNotApply as error:
            why = why or str(error)
        else:
            found.append(Candidate(recording, script, left_out))
    if not found:
        faults = _listed(rule.faults)
        raise FaultDoesNotApply(f"{faults} can strike none of {', '.join(play.recordings)}: {why}")
    return tuple(found)


def _refuse_useless(rule: ProgrammeRule, recorded: RecordedAnswers) -> None:
    """Refuse faults that can strike no answer to a request that the rule is for."""
    recordings = sorted(recorded.recordings, key=lambda one: not one.name.endswith("-stream"))
    when = rule.when
    on_route = [
        one
        for one in recordings
        if when.is_for_route(one.request.method, one.request.path) and when.stream in (None, one.request.streams)
    ]
    if recordings and not on_route:
        path = " or ".join(when.paths) or "any path"
        raise FaultDoesNotApply(
            f"no recording answers {when.method or 'a request'} to {path}, so the faults have nothing to strike; "
            "correct the route, or give the rule an answer with play or fail"
        )
    _refuse_all(rule.faults, (Script.from_recording(one) for one in on_route))


def _refuse_useless_on_own(rule: ProgrammeRule, own: OwnAnswer, recorded: RecordedAnswers) -> None:
    if rule.faults:
        _refuse_all(rule.faults, _examples(rule, own, recorded))


def _examples(rule: ProgrammeRule, own: OwnAnswer, recorded: RecordedAnswers) -> Iterator[Script]:
    """What an own answer says to recorded requests that the rule may be for."""
    for recording in recorded.recordings:
        request = recording.request
        asked = Asked(
            method=request.method,
            target=request.path,
            headers=request.headers or (("Host", "127.0.0.1"),),
            body=request.content or b"",
        )
        world = recorded.world
        if (
            not rule.when.is_for_route(request.method, request.path)
            or rule.when.stream not in (None, request.streams)
            or not own.suits(asked, world)
        ):
            continue
        given = own.give(asked, world, request, GAP_S)
        if not isinstance(given, Answer) and given.is_use:
            yield script_of(given.answer, asked.method)


def script_of(answer: Recording | Reply, method: str) -> Script:
    """The script of an own answer."""
    return answer.script(method) if isinstance(answer, Reply) else Script.from_recording(answer)


def refuse_unreachable(rules: Sequence[RunningRule]) -> None:
    """Refuse a rule after one that answers every request."""
    for place, first in enumerate(rules, start=1):
        if first.rule.answers_all:
            for later in rules[place:]:
                if later.rule.before_guard is first.rule.before_guard:
                    shown = first.label or first.id
                    raise ProgrammeError(f"{later.label} never answers: {shown} answers every request; swap them")


def _refuse_all(faults: tuple[Fault, ...], scripts: Iterable[Script]) -> None:
    """Raise FaultDoesNotApply if the faults can strike none of these scripts, of which there is one."""
    why = ""
    for script in scripts:
        try:
            apply(script, faults).render(date="")
        except FaultDoesNotApply as error:
            why = why or str(error)
        else:
            return
    if why:
        raise FaultDoesNotApply(f"{_listed(faults)} can strike no answer to such a request: {why}")


def _listed(faults: tuple[Fault, ...]) -> str:
    return ", ".join(map(str, faults))
