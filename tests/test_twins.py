"""A scenario that plays a native stream has a twin over /v1, or says why not."""

from __future__ import annotations

from datetime import date

import pytest
from builders import in_one_test

from ollama_harness.clients import clients
from ollama_harness.faults import (
    after_record,
    close_at,
    error_event_after_record,
    insert_line,
    put_into_text,
    set_header,
    stall_at,
)
from ollama_harness.matrix.cells import plan
from ollama_harness.matrix.known_issues import KnownIssue, covering
from ollama_harness.matrix.scenarios import GROUPS, SCENARIOS, scenario, twin_of, why_no_twin
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import RecordingStore, packaged_store

pytestmark = pytest.mark.same_everywhere

STORE = packaged_store()
IN_GROUPS = [one for group in GROUPS.values() for one in group]
TWINS = [one for one in SCENARIOS.values() if one.twin_of]


@in_one_test("name", [one.name for one in IN_GROUPS])
def test_a_scenario_has_a_twin_or_says_why_not(name: str) -> None:
    assert (twin_of(name) is None) is bool(why_no_twin(scenario(name)))


@pytest.mark.parametrize(
    "name", [one.name for one in IN_GROUPS if why_no_twin(one) == "it plays no stream of text"], ids=str
)
def test_no_scenario_is_without_a_twin_because_its_recordings_were_forgotten(name: str) -> None:
    one = scenario(name)
    played = [STORE.get(f"{STORE.newest}/{each}") for each in one.names_in(STORE, STORE.newest)]
    texts = {each.name for each in played if each.request.path in ("/api/chat", "/api/generate") and one.plays(each)}
    assert texts == {name for name in texts if "load" in name}


@pytest.mark.parametrize("version", STORE.versions)
def test_a_twin_plays_only_streams_of_events_that_were_answered(version: str) -> None:
    names = {name for one in TWINS for name in one.names_in(STORE, version)}
    found = {(one.response.status, one.response.media_type) for one in (STORE.get(f"{version}/{n}") for n in names)}
    assert found == {(200, "text/event-stream")}
    assert all(name in STORE.names(version, ["v1-*", "fault-*-v1-*"]) for name in names)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("cut-after-record", [close_at(after_record(6))]),
        ("null-line", [insert_line(6, "data: null\n")]),
        ("html-line", [insert_line(6, scenario("html-line").faults[0].arguments["line"])]),
        ("error-line", [error_event_after_record(6, "unexpected EOF")]),
        ("raw-ff", [put_into_text(6, b"\x0c")]),
        ("charset-latin-1", [set_header("Content-Type", "text/event-stream; charset=iso-8859-1")]),
        ("early-break", [stall_at(after_record(9))]),
    ],
)
def test_a_twin_has_the_same_faults_in_events(name: str, faults: list[object]) -> None:
    twin = twin_of(name)
    assert twin is not None
    assert list(twin.faults)[-len(faults) :] == faults
    assert len(twin.then) == len(scenario(name).then)


def test_the_last_records_of_a_twin_are_the_last() -> None:
    twin = twin_of("cut-inside-number")
    assert twin is not None
    assert twin.faults == scenario("cut-inside-number").faults


def test_text_of_several_scripts_is_put_where_no_recording_has_it() -> None:
    twin = twin_of("cut-inside-character")
    assert twin is not None
    assert [fault.name for fault in twin.faults] == ["put_into_text", "close_at"]


def test_a_client_without_calls_over_v1_has_no_cell_there() -> None:
    cells = plan(STORE, scenario_names=["stream-v1", "stream"])
    over_v1 = {one.client.name for one in cells if one.scenario.events}
    assert {"httpx", "requests", "urllib"} <= over_v1
    assert not over_v1 & {"ollama", "ollama-async"}


def _recordings(*, v1: bool) -> dict[str, list[str]]:
    """The recordings on which a client that can play all of them plays each scenario."""
    found: dict[str, list[str]] = {}
    for one in plan(STORE, client_names=["urllib"], v1=v1):
        if one.client.name == "urllib":
            found.setdefault(one.scenario.name, []).append(one.recording.name)
    return found


def test_where_the_path_does_not_matter_one_dialect_is_enough_and_all_can_be_asked_for() -> None:
    by_default, all_dialects = _recordings(v1=False), _recordings(v1=True)
    assert by_default["cut-inside-text-v1"] == ["v1-chat-france-stream"]
    assert sorted(all_dialects["cut-inside-text-v1"]) == list(scenario("cut-inside-text-v1").recordings)
    assert sorted(by_default["error-line-v1"]) == list(scenario("error-line-v1").recordings)
    assert "cut-after-record" not in all_dialects


def test_a_named_twin_plays_all_its_recordings(store: RecordingStore) -> None:
    cells = plan(store, client_names=["urllib"], scenario_names=["cut-inside-text-v1"])
    played = {one.recording.name for one in cells if one.client is clients()["urllib"]}
    assert played == set(scenario("cut-inside-text-v1").recordings)


def _issue(*scenarios: str, verdict: Verdict = Verdict.SILENT_LOSS, twins: bool = True) -> KnownIssue:
    return KnownIssue(
        clients=("urllib",),
        scenarios=scenarios,
        verdict=verdict,
        reason="",
        link="",
        review=date(2027, 6, 1),
        place="x:1",
        twins=twins,
    )


def test_a_known_issue_holds_in_the_twin_unless_it_says_no_or_another_names_it() -> None:
    both, native = _issue("cut-after-record"), _issue("cut-after-record", twins=False)
    named = _issue("cut-after-record-v1", verdict=Verdict.CORRUPT)
    for issues, expected in (([both], both), ([native], None), ([both, named], named), ([native, named], named)):
        assert covering(issues, "urllib", "cut-after-record-v1", "v1-chat-stream", gating=True) is expected
    assert covering([named], "urllib", "cut-after-record", "chat-stream", gating=True) is None
