"""How near the fake is to a real Ollama: what docs/fidelity.md says, measured again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store
from pages.fidelity import page
from pages.fidelity.leave_one_out import LeftOut
from pages.page import Sources, difference

pytestmark = pytest.mark.same_everywhere

VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
STORE = packaged_store()


def test_all_versions_are_measured() -> None:
    assert set(VERSIONS) == set(STORE.versions) == set(page.real_answers.versions())


@pytest.mark.parametrize("version", VERSIONS)
def test_real_servers_answers_come_out_the_same(version: str) -> None:
    compared = page.compared(version)
    assert compared.same >= 0.99 * compared.counted > 0
    assert [each.id for each in compared.differences if not page.reason("request", each.id, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recording_that_is_taken_out_is_answered_as_well_without_it(version: str) -> None:
    left_out, _ = page.left_out(version)
    same = sum(one.is_same for one in left_out)
    assert same >= 0.95 * len(left_out) > 0
    assert [one.name for one in left_out if not (one.is_same or page.reason("recording", one.name, version))] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_each_recording_is_taken_out_or_listed(version: str) -> None:
    left_out, states = page.left_out(version)
    assert sorted([*(one.name for one in left_out), *states]) == sorted(one.name for one in STORE.of_version(version))
    assert [one.name for one in left_out if one.answered_by.endswith(one.recording.id)] == []


def test_each_reason_is_of_something_that_differs() -> None:
    differing = {
        "request": {f"{version}/{each.id}" for version in VERSIONS for each in page.compared(version).differences},
        "recording": {
            f"{version}/{one.name}" for version in VERSIONS for one in page.left_out(version)[0] if not one.is_same
        },
    }
    idle = [
        pattern
        for what, whys in page.reasons().items()
        for pattern in whys
        if not any(re.fullmatch(pattern, name) for name in differing[what])
    ]
    assert idle == []


# --- errors -----------------------------------------------------------------------------------------------------------


def is_error(recording: Recording) -> bool:
    """Whether Ollama refused something, with a status or with an error in place of the last record."""
    last = recording.body.splitlines()[-1] if recording.body else b""
    return recording.response.status >= 300 or last.startswith((b'{"error":', b'{"type":"error"'))


def said(recording: Recording) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, head and body, without what is another in each answer."""
    head = [(name, value) for name, value in recording.response.headers if name != "Date"]
    return recording.response.status, head, re.sub(rb"req_[0-9a-f]{24}", b"req_ID", recording.body)


def errors(version: str) -> dict[str, LeftOut]:
    return {one.name: one for one in page.left_out(version)[0] if is_error(one.recording)}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_recorded_error_comes_out_of_a_rule(version: str) -> None:
    recorded = errors(version)
    assert {"error-chat-model-missing", "chat-tools-unsupported", "embed-too-long", "pull-missing-layer"} <= set(
        recorded
    )
    assert {name: said(one.answer) for name, one in recorded.items()} == {
        name: said(one.recording) for name, one in recorded.items()
    }
    assert {name: one.answered_by for name, one in recorded.items() if not one.answered_by.startswith("rule ")} == {}


def test_what_is_called_an_error_is_one_where_it_was_refused() -> None:
    """What an older version did not refuse, and what none does: a text that is too long is cut."""
    names = {one.name for version in VERSIONS for one in page.left_out(version)[0] if one.name.startswith("error-")}
    accepted = {name: [version for version in VERSIONS if name not in errors(version)] for name in names}
    assert {name: versions for name, versions in accepted.items() if versions} == {
        **{f"error-{route}-context-overflow": [*VERSIONS] for route in ("chat", "generate")},
        **{f"error-{route}-context-refused": ["0.5.7", "0.9.6"] for route in ("chat", "generate")},
        **{f"error-{route}-image": ["0.5.7", "0.9.6", "0.12.11", "0.24.0"] for route in ("chat", "generate")},
    }


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_current(tmp_path: Path) -> None:
    there = page.PAGE.read()
    sources = Sources(scratch=tmp_path, routes=None, there=there, checking=True, with_clients=False)
    assert difference(there, page.PAGE.make(sources)) == "", "write it again: python -m pages fidelity"
