"""Leave-one-out: each recording is taken out, its request is answered from the rest, and the gate compares the two.

Taken out are all recordings of an equal request, of every version and session. What a rule refuses, or answers from the
state of the models, is answered by that rule. What was asked before, so that there is a model to delete, is asked here
too; a list is asked of a server with the models that it names; and what a registry has is not taken out. A recording
during which something was done to the server, or that shows a state (which models are loaded), is listed and not
counted: no request causes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ollama_harness.answers import Asked, World, after, answer, world_of
from ollama_harness.answers.completions import DIALECTS, Maker, wanted_of
from ollama_harness.answers.recorded import canonical
from ollama_harness.files.json_text import parse_json
from ollama_harness.gate import wire_comparison
from ollama_harness.gate.rules import Level
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.recordings.recording import Frame, RecordedEnd, Recording, Response
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import ConnectionEnd, Script

#: Recordings that show what happened before, and not what their request causes.
STATES = re.compile(r"ps-(empty|loaded)$|fault-.*|generate-cold$")

_DIGEST = re.compile("sha256:[0-9a-f]{64}")

#: What was asked right before a recording was made, because without it there would be nothing to do.
BEFORE = {"delete": "copy", "delete-pulled": "pull-stream", "pull-again": "pull-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One recording taken out, what was answered in its place, by what, and the differences (none if it is as good)."""

    recording: Recording
    answer: Recording
    answered_by: str
    differences: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.recording.name

    @property
    def route(self) -> str:
        request = self.recording.request
        return f"{request.method} {_DIGEST.sub(':digest', request.path)}"

    @property
    def is_same(self) -> bool:
        return not self.differences


def leave_one_out(store: RecordingStore, version: str) -> tuple[list[LeftOut], list[str]]:
    """Every recording of a version that counts, and the names of those that do not."""
    recordings = store.of_version(version)
    world = world_of(recordings, version)
    maker = Maker(recordings, world)
    keys = {one.name: canonical(one.request) for one in recordings}
    counted, states, answers = list[Recording](), list[str](), dict[str, tuple[Recording, str]]()
    for one in recordings:
        if (one.intervention is not None) or STATES.match(one.name):
            states.append(one.name)
            continue
        counted.append(one)
        rest = [other for other in recordings if keys[other.name] != keys[one.name]]
        before = next((other for other in recordings if other.name == BEFORE.get(one.name)), None)
        answers[one.name] = _answer(one, maker.of(rest), rest, world, before)
    differences = _differences(counted, [recording for recording, _ in answers.values()])
    return [
        LeftOut(
            recording=one,
            answer=answers[one.name][0],
            answered_by=answers[one.name][1],
            differences=tuple(differences.get(one.name, ())),
        )
        for one in counted
    ], states


def _differences(recorded: Sequence[Recording], made: Sequence[Recording]) -> Mapping[str, list[str]]:
    """What the gate finds breaking or notable, by recording."""
    compared = wire_comparison.compare([VersionShapes.of(recorded)], VersionShapes.of(made))
    assert not compared.incomparable, compared.incomparable
    found = defaultdict[str, list[str]](list)
    for finding in compared.findings:
        if finding.level is not Level.NOISE:
            for evidence in finding.evidence:
                found[evidence.recording].append(f"{finding.rule}: {finding.where}, {finding.was} → {finding.now}")
    return found


def _answer(
    left_out: Recording, maker: Maker, rest: Sequence[Recording], world: World, before: Recording | None
) -> tuple[Recording, str]:
    """What is answered without the recording, and by what."""
    request, asked = left_out.request, _asked_again(left_out)
    is_model = wanted_of(asked, world) is not None
    here = world if is_model else _world_without(rest, world)
    if before is not None:
        here = _world_after(_asked_again(before), here)
    if names := _listed(left_out):
        here = here.only(*map(here.model, names))
    if (ruled := answer(asked, here)) is not None:
        return _recorded(ruled.script, left_out), f"rule {ruled.rule.id}"
    wanted = wanted_of(asked, here)
    made = maker.answer(wanted, request) if wanted is not None and (wanted.embeds or wanted.path in DIALECTS) else None
    if made is None:
        return replace(
            left_out, response=Response(status=501, reason="Not Implemented", headers=(), head_at_s=0), frames=()
        ), "nothing"
    return replace(made.recording, id=left_out.id, request=request), made.why


def _world_without(rest: Sequence[Recording], world: World) -> World:
    """The world of the recordings that are left. What a registry has it still has."""
    of_rest = world_of(rest, world.version)
    return replace(of_rest, registries=world.registries, pulled=world.pulled, incomplete=world.incomplete)


def _asked_again(recording: Recording) -> Asked:
    """The request of a recording as it comes over the wire."""
    request = recording.request
    has_host = any(name.lower() == "host" for name, _ in request.headers)
    headers = request.headers if has_host else (("Host", "127.0.0.1:11434"), *request.headers)
    return Asked(method=request.method, target=request.path, headers=headers, body=request.content or b"")


def _listed(recording: Recording) -> list[str]:
    """The names in a list of the models that are there: which they are is a state, and what is said of them is not."""
    key = {"/api/tags": ("models", "name"), "/v1/models": ("data", "id")}.get(recording.request.path)
    if key is None or not recording.body:
        return []
    return [one[key[1]] for one in parse_json(recording.body)[key[0]]]


def _world_after(asked: Asked, world: World) -> World:
    """The world when a rule has answered this request."""
    ruled = answer(asked, world)
    assert ruled is not None, asked
    return ruled.reply.world or after(asked, world, ruled.script)


def _recorded(script: Script, like: Recording) -> Recording:
    """A script as the recording of it would be."""
    head = script.head
    assert head is not None
    frames = tuple(Frame(at_s=script.segments[i].at_s, data=part.data) for i, _, part in script.body_parts())
    ended = RecordedEnd.COMPLETE if script.ending.how is ConnectionEnd.KEEP_OPEN else RecordedEnd.EOF
    response = Response(status=head.status, reason=head.reason, headers=head.headers, head_at_s=0.0)
    return replace(like, response=response, frames=frames, ended=ended, ended_at_s=script.ending.at_s)
