"""Scenarios as programmes, for servers that play them by name: what a client in any language meets in the matrix.

Recordings that are only examples of a stream are not played: the faults strike whatever answers a request for text.
Otherwise the scenario's recordings are played to requests for their routes. The exchanges of a sequence come one after
the other, and then ordinary answers.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from http import HTTPStatus

from ollama_harness.answers.own_answers import TEXT_ROUTES
from ollama_harness.errors import HarnessError
from ollama_harness.faults import Fault, delay_first_byte
from ollama_harness.matrix.scenarios import GROUPS, SCENARIOS, Scenario, scenario
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.records import in_band_error, stream_values
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.server.programme import (
    ON_ACCEPT,
    OwnError,
    Play,
    Programme,
    ProgrammeRule,
    ScenarioRules,
    ScenarioSummary,
    When,
)

__all__ = ["ServedScenarios"]

#: The scenario whose recordings are streams of text that break off in an error.
_RUNNER_KILLED = "runner-killed"

#: The first status that speaks of the server, and not of the request.
_SERVERS = 500


class ServedScenarios:
    """The scenarios of the matrix, for a server that answers from these recordings as this version does."""

    def __init__(self, store: RecordingStore, version: str) -> None:
        self._store, self._version = store, version

    @functools.cached_property
    def summaries(self) -> Sequence[ScenarioSummary]:
        """All scenarios, in the order of the reports; also those that cannot be served."""
        groups = {one.name: title for title, group in GROUPS.items() for one in group}
        return tuple(
            ScenarioSummary(
                name=one.name, group=groups[one.twin_of or one.name], summary=one.summary, routes=self._routes(one)
            )
            for one in SCENARIOS.values()
        )

    def rules(self, name: str) -> ScenarioRules:
        """The rules that play a scenario, or the faults that strike each connection before there is a request.

        Faults that wait for what only `run` can know (`lock_step`) are left out, and the rules' sources say so.

        Raises: UnknownName; HarnessError, if nothing of it can be served, or it has no recording of this version.
        """
        one = scenario(name)
        if one.environment is not None:
            raise HarnessError(
                f"{name} is an environment: it changes the settings of a client's process, and no answer; "
                f"use `ollama-harness run --scenario {name}`, or `ollama-harness doctor` for the settings of this "
                "machine"
            )
        all_faults = (one.faults, *one.then)
        exchanges = [tuple(fault for fault in faults if fault.name != "lock_step") for faults in all_faults]
        left_out = exchanges != list(all_faults)
        if left_out and not any(exchanges):
            raise HarnessError(
                f"{name} waits for what the client yields, which only a client's adapter can tell; "
                f"use `ollama-harness run --scenario {name}`"
            )
        if any(fault.name in ON_ACCEPT for faults in exchanges for fault in faults):
            if len(exchanges) > 1:
                raise HarnessError(
                    f"{name} strikes one connection and not the next, which a server's rules cannot; "
                    f"use `ollama-harness run --scenario {name}`"
                )
            return ScenarioRules(Programme(), exchanges[0])
        source = f"scenario {name}" + (" (without lock_step(), which only `run` can do)" if left_out else "")
        return ScenarioRules(Programme(tuple(self._of_requests(one, exchanges, source))))

    def _of_requests(self, one: Scenario, exchanges: list[tuple[Fault, ...]], source: str) -> list[ProgrammeRule]:
        names = one.names_in(self._store, self._version)
        if not names:
            having = ", ".join(each for each in self._store.versions if one.names_in(self._store, each))
            raise HarnessError(
                f"{one.name} has no recording of {self._version}; give --ollama-version, one of {having}"
            )
        strikes = one.is_for_any_stream and any(exchanges)
        routes = tuple(path for path in TEXT_ROUTES if path.startswith("/v1/") or not one.events)
        rules = []
        for number, faults in enumerate(exchanges, start=1):
            if strikes and not faults:
                continue  # an ordinary answer
            rules.append(
                ProgrammeRule(
                    when=When(method="POST", path=routes) if strikes else When(),
                    answer=None if strikes else Play(tuple(names), speed=one.speed or None),
                    faults=faults,
                    nth=(number,) if len(exchanges) > 1 else (),
                    source=source + (f", exchange {number}" if len(exchanges) > 1 else ""),
                )
            )
        if len(exchanges) == 1 and not strikes:
            recordings = [self._store.get(f"{self._version}/{name}") for name in names]
            rules += _on_other_routes(one, recordings)
            if all(map(_breaks_off_in_an_error, recordings)):
                rules += self._broken_text(one, recordings)
        return rules

    def _broken_text(self, one: Scenario, recordings: list[Recording]) -> list[ProgrammeRule]:
        """The streams of text that broke off in an error, for a scenario whose own ones are for other routes.

        Streams of events have none: when a runner dies, Ollama ends them without a word.
        """
        if not {recording.request.path for recording in recordings}.isdisjoint(TEXT_ROUTES):
            return []
        names = self._store.names(self._version, scenario(_RUNNER_KILLED).recordings)
        source = f"scenario {one.name}, on the routes for text"
        return [ProgrammeRule(when=When(stream=True), answer=Play(tuple(names)), source=source)] if names else []

    def _routes(self, one: Scenario) -> tuple[str, ...]:
        try:
            found = self.rules(one.name)
        except HarnessError:
            return ()
        if found.on_accept:
            return ("*",)
        routes: dict[str, None] = {}
        for rule in found.programme.rules:
            played = rule.answer.recordings if isinstance(rule.answer, Play) else ()
            recorded = (self._store.get(f"{self._version}/{name}").request.path for name in played)
            routes |= dict.fromkeys(rule.when.paths or recorded)
        return tuple(routes)


def _on_other_routes(scenario: Scenario, recordings: list[Recording]) -> list[ProgrammeRule]:
    """The same on the other routes for text, where it is the server's state and not the request that decides.

    A full queue refuses whatever is asked. A model that is loaded first makes every answer wait.
    """
    others = tuple(path for path in TEXT_ROUTES if path not in {one.request.path for one in recordings})
    when, first = When(method="POST", path=others), recordings[0]
    source = f"scenario {scenario.name}, on other routes"
    if all(one.response.status >= _SERVERS for one in recordings):
        message = json.loads(first.body)["error"]
        return [ProgrammeRule(when=when, answer=OwnError.of(first.response.status, message), source=source)]
    if scenario.speed:
        return [ProgrammeRule(when=when, faults=(delay_first_byte(round(first.response.head_at_s, 3)),), source=source)]
    return []


def _breaks_off_in_an_error(recording: Recording) -> bool:
    if recording.response.status != HTTPStatus.OK or not recording.request.streams:
        return False
    values = stream_values(recording.response.media_type, recording.body)
    return bool(values) and in_band_error(values[-1]) is not None
