"""A scenario as a programme, for `serve --scenario`: what a client in any language meets in the matrix.

Recordings that are only examples of a stream are not played: the faults strike whatever answers a request for text.
Otherwise the scenario's recordings are played to requests for their routes. The exchanges of a sequence come one after
the other, and then ordinary answers.
"""

from __future__ import annotations

import json

from ollama_harness.answers.own_answers import TEXT_ROUTES
from ollama_harness.errors import HarnessError
from ollama_harness.faults import Fault, delay_first_byte
from ollama_harness.matrix.scenarios import Scenario
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.server.programme import ON_ACCEPT, OwnError, Play, ProgrammeRule, When

__all__ = ["served"]

#: The first status that speaks of the server, and not of the request.
_SERVERS = 500


def served(
    scenario: Scenario, store: RecordingStore, version: str
) -> tuple[tuple[ProgrammeRule, ...], tuple[Fault, ...]]:
    """The rules that play a scenario, and the faults that strike each connection before there is a request.

    Faults that wait for what only `run` can know (`lock_step`) are left out.

    Raises: HarnessError, if the scenario is an environment, or has no recording of this version.
    """
    name = scenario.name
    if scenario.environment is not None:
        raise HarnessError(
            f"{name} is an environment: it changes the settings of a client's process, and no answer; "
            f"use `ollama-harness run --scenario {name}`, or `ollama-harness doctor` for the settings of this machine"
        )
    exchanges = [
        tuple(one for one in faults if one.name != "lock_step") for faults in (scenario.faults, *scenario.then)
    ]
    if any(fault.name in ON_ACCEPT for faults in exchanges for fault in faults):
        if len(exchanges) > 1:
            raise HarnessError(f"{name} strikes one connection and not the next, which serve cannot; use `run`")
        return (), exchanges[0]
    names = store.names(version, scenario.recordings)
    if not names:
        having = ", ".join(one for one in store.versions if store.names(one, scenario.recordings))
        raise HarnessError(f"{name} has no recording of {version}; give --ollama-version, one of {having}")
    strikes = scenario.is_for_any_stream and any(exchanges)
    rules = []
    for number, faults in enumerate(exchanges, start=1):
        if strikes and not faults:
            continue  # an ordinary answer
        rules.append(
            ProgrammeRule(
                when=When(method="POST", path=TEXT_ROUTES) if strikes else When(),
                answer=None if strikes else Play(tuple(names), speed=scenario.speed or None),
                faults=faults,
                nth=(number,) if len(exchanges) > 1 else (),
                source=f"scenario {name}" + (f", exchange {number}" if len(exchanges) > 1 else ""),
            )
        )
    if len(exchanges) == 1 and not strikes:
        rules += _on_other_routes(scenario, [store.get(f"{version}/{one}") for one in names])
    return tuple(rules), ()


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
