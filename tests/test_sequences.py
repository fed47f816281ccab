"""Several exchanges of one session, and what only the server can see of a client."""

from __future__ import annotations

import pytest

from ollama_harness.matrix._raw_socket import NO_RESETS, resets_are_real
from ollama_harness.matrix.cells import cell
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.oracle.verdict import Finished, Stopped, Verdict
from ollama_harness.recordings.store import RecordingStore

pytestmark = pytest.mark.same_on_each_python

NEWEST = "0.32.15"


def run(runner: Runner, store: RecordingStore, id_: str) -> CellRun:
    return runner.run_cell(cell(store, id_))


def connections(one: CellRun) -> list[list[tuple[int, int]]]:
    return [[(entry.connection, entry.index) for entry in exchange.entries] for exchange in one.exchanges]


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx-async", "ollama", "ollama-async"])
def test_one_session_uses_one_connection(client: str, runner: Runner, store: RecordingStore) -> None:
    one = run(runner, store, f"{client}/reuse/{NEWEST}/generate-cold")
    assert connections(one) == [[(1, 1)], [(1, 2)], [(1, 3)], [(1, 4)]]


def test_each_cell_has_a_session_of_its_own(store: RecordingStore) -> None:
    with Runner(jobs=1) as runner:
        for _ in range(2):
            one = run(runner, store, f"ollama/reuse/{NEWEST}/generate-cold")
            assert one.judgement.verdict is Verdict.PASS
        assert len(runner._all) == 1


@pytest.mark.skipif(not resets_are_real(), reason=NO_RESETS)
def test_the_verdict_of_a_cell_is_that_of_its_worst_exchange(runner: Runner, store: RecordingStore) -> None:
    one = run(runner, store, f"ollama/fail-twice-then-succeed/{NEWEST}/generate-cold")
    assert [exchange.judgement.verdict for exchange in one.exchanges] == ["undocumented", "undocumented", "pass"]
    assert one.decisive is one.exchanges[0]


@pytest.mark.parametrize("client", ["requests", "httpx-async", "ollama", "canary-perfect"])
def test_a_second_exchange_is_made_in_the_middle_of_the_first(
    client: str, runner: Runner, store: RecordingStore
) -> None:
    one = run(runner, store, f"{client}/meanwhile/{NEWEST}/chat-stream")
    outer, inner = one.exchanges
    assert one.judgement.verdict is Verdict.PASS
    ((first,), (second,)) = outer.entries, inner.entries
    assert first.connection != second.connection
    told_s = [first.arrived_s + at_s for at_s, _ in first.sent]
    assert told_s[3] > second.arrived_s + second.sent[-1][0], "the fourth segment of the first waits for the second"


def test_a_user_who_stops_is_seen_to_leave(runner: Runner, store: RecordingStore) -> None:
    one = run(runner, store, f"httpx-async/early-break/{NEWEST}/chat-stream")
    stopped, after = one.exchanges
    assert (stopped.outcome.ending, after.outcome.ending) == (Stopped(), Finished())
    assert len(stopped.outcome.yielded) == 3
    assert stopped.entries[0].client_left_s is not None


def test_a_request_that_is_sent_twice_is_counted(runner: Runner, store: RecordingStore) -> None:
    one = run(runner, store, f"canary-insistent/cut-before-head/{NEWEST}/chat-stream")
    assert one.judgement.verdict is Verdict.UNSAFE_RETRY
    assert one.judgement.why == "sent a request 2 times that is not idempotent, and should be sent once"
    assert one.decisive.outcome.requests == 2


def test_an_answer_that_is_not_let_go_is_a_leak(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_harness.matrix.exchange._LEAVE_S", 0.2)  # it never leaves
    one = run(runner, store, f"canary-leaking/early-break/{NEWEST}/chat-stream")
    assert one.judgement.verdict is Verdict.LEAK
    assert one.exchanges[0].outcome.leaked


def test_in_lock_step_a_record_that_is_kept_back_is_named(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_harness.server._playback.LOCK_STEP_LIMIT_S", 0.2)  # it yields nothing before the end
    one = run(runner, store, f"canary-hoarder/lock-step/{NEWEST}/generate-cold")
    assert one.judgement.why == "yielded record 1 only when later bytes had arrived"
