"""The runner: facts, not accidents. Crashes, hangs, kills and missing libraries each become what they are."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter, deque
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from builders import DATE, DONE, HELLO, in_one_test, recording, stream

from ollama_harness.clients import Client, Yields, client, clients
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.worker_process import WorkerProcess
from ollama_harness.matrix._batches import Batches, by_client, sharing
from ollama_harness.matrix._raw_socket import resets_are_real
from ollama_harness.matrix.cells import Cell, PlannedScenario, cell, plan
from ollama_harness.matrix.exchange import _idle, _missed_timeout, _unsafe_retry, late, problem_of
from ollama_harness.matrix.run import result
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.network.environments import clean_environment
from ollama_harness.network.simulation import SimulatedMachine
from ollama_harness.oracle.verdict import ClientEnd, Crashed, Failed, Finished, Hung, Raised, Unsupported, Verdict
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.store import RecordingStore, packaged_store
from ollama_harness.script.http1 import RequestHead
from ollama_harness.script.script import ConnectionEnd, Script
from ollama_harness.server.journal import EndedBy, Entry

NEWEST = "0.32.15"

_NO_ACCUSATION = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)


def job(url: str = "http://127.0.0.1:9") -> Job:
    request = Request(method="POST", path="/api/generate", json={"model": "m"})
    return Job(client="canary-perfect", url=url, request=request, read_timeout_s=1.0)


def run(runner: Runner, cells: list[Cell]) -> list[CellRun]:
    runs: list[CellRun] = []
    runner.run(cells, runs.append)
    return runs


def test_jobs_survive_the_pipe() -> None:
    request = Request(method="POST", path="/p", headers=(("Host", "evil.example"),), body="{x\u0085")
    one = Job(client="requests", url="http://127.0.0.1:1", request=request, read_timeout_s=0.5)
    assert Job.from_json(one.to_json()) == one


#: The scenarios in which a client that spoils texts is found out.
_SPOILT = [f"text-{kind}" for kind in ("decomposed", "crlf", "entities", "u-feff", "nul")] + ["lone-surrogate"]


def test_every_canary_earns_its_verdict_and_nothing_else(runner: Runner, store: RecordingStore) -> None:
    names = ["stream", "cut-after-record", "lock-step", "no-terminal-record", "raw-invalid-utf-8", *_SPOILT]
    cells = [c for c in plan(store, scenario_names=[*names, *map("{}-v1".format, names)]) if c.client.is_canary]
    runs = run(runner, cells)
    assert len(runs) == len(cells) > 0
    for one in runs:
        earns = one.cell.client.earns
        assert earns is not None
        assert one.judgement.verdict == earns.get(one.cell.scenario.name, earns.get(None)), one.cell.id


@pytest.mark.same_on_each_python
def test_a_right_client_passes_whatever_else_it_asks_and_however_slow_it_is(store: RecordingStore) -> None:
    """In every scenario that demands something, in turns: one looks first whether a server is there, one is slow."""
    demanding = [
        one
        for one in SCENARIOS.values()
        if one.requirement == "MUST" and one.environment is None and not one.events  # canaries speak Ollama's own API
    ]
    cells = [
        Cell(
            client(name),
            PlannedScenario.of(one, store.get(f"{NEWEST}/{store.names(NEWEST, one.recordings)[0]}")),
        )
        for one, name in zip(demanding, cycle(("canary-courteous", "canary-slow")), strict=False)
    ]
    with Runner(jobs=16) as runner:  # they mostly wait
        runs = run(runner, cells)
    assert len(runs) == len(cells) > 0
    # A system that cannot reset a connection is no fault of the client, and a server that had to wait for the machine
    # says that it cannot tell: neither accuses anybody.
    right = {*_NO_ACCUSATION} - ({Verdict.UNSUPPORTED} if resets_are_real() else set())
    assert {one.cell.id: one.judgement for one in runs if one.judgement.verdict not in right} == {}
    assert sum(one.judgement.verdict is Verdict.INCONCLUSIVE for one in runs) <= len(runs) // 20


def test_what_a_client_asks_besides_is_answered_as_the_recorded_ollama_answers(
    runner: Runner, store: RecordingStore
) -> None:
    old = store.get("0.5.7/generate-cold")
    one = runner.run_cell(Cell(client("canary-courteous"), PlannedScenario.of(SCENARIOS["lock-step"], old)))
    answered = [(entry.request_line, entry.answered_by) for entry in one.decisive.entries]
    assert answered == [
        ("HEAD / HTTP/1.1", "0.5.7/root-head"),
        ("GET /api/version HTTP/1.1", "0.5.7/version"),
        ("POST /api/show HTTP/1.1", "0.5.7/show"),
        ("POST /api/generate HTTP/1.1", "script"),
    ]
    assert [entry.yielded for entry in one.decisive.entries] == [0, 0, 0, len(one.decisive.reference.records)]
    assert one.decisive.outcome.side_requests == tuple(line for line, _ in answered[:3])
    assert (one.decisive.outcome.repeated, one.decisive.outcome.abandoned) == (0, False)


def test_what_a_client_does_besides_is_in_the_outcome(runner: Runner, store: RecordingStore) -> None:
    again = runner.run_cell(cell(store, f"canary-insistent/cut-after-record/{NEWEST}/chat-stream"))
    assert again.decisive.outcome.repeated == 1
    early = runner.run_cell(cell(store, f"canary-perfect/early-break/{NEWEST}/chat-stream"))
    assert (early.decisive.outcome.abandoned, early.decisive.outcome.side_requests) == (True, ())


def test_a_client_is_idle_only_if_it_is_so_each_time() -> None:
    assert _idle([(9.0, 9.0), (0.1, 2.0), (2.0, 0.1)], 1.0) == ""
    assert "before each of its requests" in _idle([(9.0, 0.1), (1.1, 0.1)], 1.0)
    assert "after the last byte of each answer" in _idle([(9.0, 1.1), (0.1, 9.0)], 1.0)
    assert _idle([(9.0, 9.0)], None) == ""


def test_canaries_earn_in_scenarios_that_there_are() -> None:
    earned = {name for one in clients().values() for name in (one.earns or {}) if name is not None}
    assert earned <= set(SCENARIOS)


@pytest.mark.parametrize("yields", Yields)
def test_canaries_of_both_kinds_are_found_out_on_both_kinds_of_streams(yields: Yields) -> None:
    found = {(one.name, str(name).endswith("-v1")) for one in _canaries(yields) for name in one.earns or {}}
    assert {name for name, is_v1 in found if is_v1} >= {name for name, is_v1 in found if not is_v1} - _NATIVE_ONLY


def _canaries(yields: Yields) -> list[Client]:
    return [one for one in clients().values() if one.is_canary and one.yields is yields and one.earns != _RIGHT]


#: The perfect clients run in all scenarios.
_RIGHT = {None: Verdict.PASS}

#: These spoil what streams of events do not have, or do what has nothing to do with what they read.
_NATIVE_ONLY = {
    f"canary-{name}" for name in ("astray", "crashing", "empty-handed", "field-dropper", "hanging", "logprobs-dropper")
}


def test_every_verdict_that_a_client_can_earn_has_a_canary() -> None:
    earned = {verdict for one in clients().values() for verdict in (one.earns or {}).values()}
    assert earned == set(Verdict) - {Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED}


def test_a_worker_is_used_again_and_replaced_when_it_died(store: RecordingStore) -> None:
    with Runner(jobs=1) as runner:
        for _ in range(2):
            assert run(runner, [cell(store, f"canary-perfect/stream/{NEWEST}/chat-stream")])
        assert len(runner._all) == 1
        for _ in range(2):
            (one,) = run(runner, [cell(store, f"canary-crashing/stream/{NEWEST}/chat-stream")])
            assert one.decisive.outcome.ending == Crashed(86)
            assert len(one.decisive.outcome.yielded) == len(one.decisive.reference.records), (
                "what it yielded before is kept"
            )


def test_a_client_that_never_connects_is_inconclusive(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = cell(store, f"canary-perfect/stream/{NEWEST}/chat-stream")
    elsewhere = WorkerProcess(["canary-perfect"], clean_environment(Path()))
    real = elsewhere.exchange

    def lost(wanted: Job, *, deadline_s: float, **_: Any) -> Any:
        return real(dataclasses.replace(wanted, url="http://127.0.0.1:9"), deadline_s=deadline_s)

    monkeypatch.setattr(elsewhere, "exchange", lost)
    runner._idle.setdefault(sharing(one.client), []).append(elsewhere)
    got = runner.run_cell(one)
    elsewhere.close()
    runner._idle[sharing(one.client)].remove(elsewhere)
    assert got.judgement.verdict is Verdict.INCONCLUSIVE
    assert got.judgement.why == "the client never connected"


def test_a_client_that_warms_up_makes_one_more_exchange_in_each_process(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = cell(store, f"requests/cut-after-record/{NEWEST}/chat-stream")
    warm = dataclasses.replace(cold, client=dataclasses.replace(cold.client, warms_up=True))
    ends: list[ClientEnd] = []
    real = WorkerProcess.exchange

    def noted(worker: WorkerProcess, job: Job, **how: Any) -> Any:
        reported = real(worker, job, **how)
        ends.append(reported.ending)
        return reported

    monkeypatch.setattr(WorkerProcess, "exchange", noted)
    first, second = runner.run_cell(warm), runner.run_cell(warm)
    assert [type(one) for one in ends] == [Finished, Raised, Raised], "the first answer was whole"
    assert first.judgement == second.judgement == runner.run_cell(cold).judgement


def test_the_clients_of_one_library_share_its_process() -> None:
    assert sharing(client("httpx")) == sharing(client("httpx-async")) == ("httpx", "httpx-async")
    assert sharing(client("urllib")) == ("urllib",)


def test_each_batch_is_taken_once_and_few_processes_are_needed(store: RecordingStore) -> None:
    """A process for each thread would be enough, if the libraries had equal shares of the work."""
    planned = plan(store, client_names=["httpx", "ollama", "requests", "urllib"], scenario_names=["stream"])
    cells, threads = [one for one in planned for _ in range(20)], 8
    batches, ran = Batches(by_client(cells, threads)), list[Cell]()
    at_work, processes = deque[tuple[ExitStack, tuple[str, ...]]](), Counter[tuple[str, ...]]()
    while len(ran) < len(cells):
        if len(at_work) == threads:
            at_work.popleft()[0].close()
        thread = ExitStack()
        ran += (batch := thread.enter_context(batches.taken()))
        at_work.append((thread, sharing(batch[0].client)))
        processes |= Counter(names for _, names in at_work)
    assert sorted(one.id for one in ran) == sorted(one.id for one in cells)
    assert threads <= processes.total() < 2 * threads
    with batches.taken() as none:
        assert none == []


def test_bytes_that_were_promised_and_not_sent_are_inconclusive(
    runner: Runner, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is compared with the plan: a server that loses a segment must not cost the client its verdict."""
    from ollama_harness.server import _serving

    real = _serving.play

    async def lossy(connection: Any, writes: Any, *args: Any, **kwargs: Any) -> bool:
        return await real(connection, list(writes)[:-1], *args, **kwargs)

    monkeypatch.setattr(_serving, "play", lossy)
    got = runner.run_cell(cell(store, f"canary-perfect/cut-after-record/{NEWEST}/chat-stream"))
    assert got.judgement.verdict is Verdict.INCONCLUSIVE
    assert "planned segments" in got.judgement.why


def test_a_library_that_is_not_installed_is_unsupported_with_the_line_to_run(tmp_path: Path) -> None:
    """The worker runs with an interpreter that has this project and nothing else."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def missing(name): raise m.PackageNotFoundError(name)\n"
        "m.version = missing\n"
        "from ollama_harness.clients import worker\n"
        "from ollama_harness.network.simulation import SimulatedMachine\n"
        "worker.main(json.dumps(SimulatedMachine().to_json()), '[]', 'httpx')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    missing = "httpx is not installed: python -m pip install httpx"
    assert json.loads(done.stdout) == {"protocol": 1, "ready": {}, "missing": {"httpx": missing}}


def test_a_worker_without_its_library_answers_every_job_with_unsupported() -> None:
    worker = WorkerProcess(["canary-perfect"], clean_environment(Path()))
    worker._missing = {"canary-perfect": "not installed"}
    assert worker.exchange(job(), deadline_s=1).ending == Unsupported("not installed")
    worker.close()


def test_a_worker_that_cannot_start_is_the_harness_fault() -> None:
    worker = WorkerProcess(["no-such-client"], clean_environment(Path()))
    ending = worker.exchange(job(), deadline_s=1).ending
    assert isinstance(ending, Failed)
    assert ending.reason.startswith(
        "the client's process did not start: ollama_harness.errors.UnknownName: there is no client "
    )
    assert not worker.alive


def test_why_a_process_did_not_start_is_the_reason_of_the_verdict(
    store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ollama_harness.matrix import runner as runner_module

    def broken(home: Path) -> dict[str, str]:
        return {**clean_environment(home), "PYTHONPATH": str(tmp_path)}

    (tmp_path / "queue.py").write_text("raise ImportError('not today')")
    monkeypatch.setattr(runner_module, "clean_environment", broken)
    with Runner(jobs=1) as runner:
        got = runner.run_cell(cell(store, f"canary-perfect/stream/{NEWEST}/chat-stream"))
    assert got.judgement.verdict is Verdict.INCONCLUSIVE
    assert got.judgement.why == "the client's process did not start: ImportError: not today"


def test_a_process_whose_python_prints_something_first_did_not_start(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('welcome', flush=True)")
    worker = WorkerProcess(["canary-perfect"], {**clean_environment(tmp_path), "PYTHONPATH": str(tmp_path)})
    assert worker.problem is not None
    assert "protocol: a line on stdout is no JSON: 'welcome'" in worker.problem.reason


def test_a_process_never_waits_for_a_full_stderr(tmp_path: Path) -> None:
    """It writes a multiple of what a pipe holds."""
    worker = WorkerProcess(["canary-perfect"], {**clean_environment(tmp_path), "PYTHONVERBOSE": "2"})
    assert worker.problem is None
    worker.close()
    assert len(worker._errors) == 4096


def test_a_hanging_client_is_killed_at_its_deadline(runner: Runner, store: RecordingStore) -> None:
    one = runner.run_cell(cell(store, f"canary-hanging/stream/{NEWEST}/chat-stream"))
    assert one.decisive.outcome.ending == Hung(2.0)
    assert len(one.decisive.outcome.yielded) == len(one.decisive.reference.records)


def test_what_a_worker_leaves_when_the_runner_is_gone(tmp_path: Path) -> None:
    """Its stdin ends, so it ends, even out of a client that hangs."""
    code = "import sys; from ollama_harness.clients.worker import main; main(sys.argv[1], '[]', *sys.argv[2:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(SimulatedMachine().to_json()), "canary-hanging"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(tmp_path),
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert b"ready" in process.stdout.readline()
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_a_clients_environment_is_built_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OLLAMA_HOST", "OLLAMA_API_KEY", "NETRC"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    environment = clean_environment(tmp_path)
    assert not {name.upper() for name in environment} & {"HTTP_PROXY", "ALL_PROXY", "OLLAMA_HOST", "OLLAMA_API_KEY"}
    assert environment["NO_PROXY"] == "*"
    assert "PYTHONPATH" not in environment, "what it holds comes before the standard library"
    assert environment["HOME"] == str(tmp_path) != os.environ.get("HOME")


@pytest.mark.same_on_each_python
def test_proxy_variables_of_the_machine_decide_nothing(store: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Runner(jobs=1) as runner:
        for name in ("requests", "httpx", "ollama"):
            assert runner.run_cell(cell(store, f"{name}/stream/{NEWEST}/chat-stream")).judgement.verdict == "pass"


@pytest.mark.same_on_each_python
def test_results_are_the_same_each_time(store: RecordingStore) -> None:
    cells = plan(
        store,
        client_names=["requests", "urllib"],
        scenario_names=["reset-after-record", "cut-inside-record", "reset-on-accept"],
    )
    with Runner(jobs=4) as runner:
        first, second = ({one.cell.id: result(one) for one in run(runner, cells)} for _ in range(2))
    assert first == second
    assert first.keys() == {one.id for one in cells}


@pytest.mark.same_everywhere
@pytest.mark.parametrize("name", [one.name for one in clients().values() if not one.is_canary])
def test_every_client_declares_a_contract_with_its_source(name: str) -> None:
    one = client(name)
    assert one.contract.source.startswith("https://")
    assert one.contract.exceptions
    assert one.contract.read_timeout or one.contract.default_timeout  # some cannot be set
    assert one.distribution or one.command or name == "urllib"


@pytest.mark.same_everywhere
@in_one_test("name", SCENARIOS)
def test_every_scenario_has_a_source_or_only_observes_and_uses_recordings(name: str, store: RecordingStore) -> None:
    one = SCENARIOS[name]
    assert one.source is not None or one.requirement == "OBSERVE"
    assert one.source is None or (one.source.url.startswith("https://") and one.source.says)
    assert store.names(store.newest, one.recordings)
    assert name == name.lower()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


#: Before 0.24.0 no recording over /v1 has events with names; and of 0.12.11 there is no thinking over /v1.
_NAMES = {
    *("events-crlf-in-two-chunks", "events-name-lost", "events-ping", "events-unknown-type"),
    *(name for name in SCENARIOS if name.endswith("-messages")),
}
NOT_RECORDED = {
    "0.5.7": _NAMES,
    "0.9.6": _NAMES,
    "0.12.11": {*_NAMES, "thinking-v1", "answer-in-thinking-v1"},
}


@pytest.mark.same_everywhere
@pytest.mark.parametrize("version", packaged_store().versions)
def test_every_scenario_can_be_played_with_the_recordings_of_every_version(version: str, store: RecordingStore) -> None:
    cells = plan(store, client_names=["urllib"], versions=[version])
    missing = NOT_RECORDED.get(version, set())
    assert {one.scenario.name for one in cells} == {n for n, one in SCENARIOS.items() if one.by_default} - missing


def test_a_canary_has_no_cell_where_it_can_spoil_nothing(store: RecordingStore) -> None:
    """Before 0.12.11 Ollama sent no log probabilities."""
    cells = plan(store, scenario_names=["logprobs"], versions=["0.5.7", NEWEST])
    losing = [one.recording.id for one in cells if one.client.name == "canary-logprobs-dropper"]
    assert losing == [f"{NEWEST}/chat-logprobs", f"{NEWEST}/generate-logprobs"]


def test_after_a_failed_session_the_session_before_is_not_reused() -> None:
    """Otherwise a cell would be judged by the connections of another cell."""
    import contextlib
    import io
    import queue

    from ollama_harness.clients.worker import _JobRunner

    made = iter(["first", OSError("no second")])

    @contextlib.contextmanager
    def session(_: Job) -> Any:
        one = next(made)
        if isinstance(one, OSError):
            raise one
        yield one

    def exchange(_: Job, session: Any) -> Any:
        yield session

    reports, jobs = io.BytesIO(), queue.SimpleQueue[bytes]()
    runner = _JobRunner(
        dataclasses.replace(client("canary-perfect"), session=session, exchange=exchange),
        reports,
        jobs,
        SimulatedMachine(),
    )
    for one in (job(), dataclasses.replace(job(), keeps_session=True), dataclasses.replace(job(), reuses_session=True)):
        runner.work(json.dumps(one.to_json()).encode())
    lines = [json.loads(text) for text in reports.getvalue().splitlines()]
    assert [line.get("record", line.get("end")) for line in lines] == ["first", "ended", "raised", "failed"]


# ------------------------------------------------------------------------------------------ what the journal says


ANSWER = stream(HELLO, DONE).at_speed(0)


def answered(script: Script, *, method: str = "POST", late_s: float = 0.0, **changes: Any) -> Entry:
    """A request that a script was played to, all of it `late_s` seconds after it was due."""
    entry = Entry(connection=1, index=1, head=RequestHead(method, "/", "HTTP/1.1", (), 0), body=b"", script=script)
    rendered = script.render(date=DATE)
    for segment in rendered.segments:
        entry.sent.append((segment.at_s + late_s, segment.data))
    fields = {"date": DATE, "ended": rendered.ending.how, "ended_by": EndedBy.SERVER}
    return dataclasses.replace(entry, **{**fields, **changes})


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "POST", "PATCH"])
def test_what_is_not_idempotent_may_be_sent_only_once(method: str) -> None:
    """RFC 9110 section 9.2.2."""
    one, other = (answered(ANSWER, method=method, connection=number) for number in (1, 2))
    assert bool(_unsafe_retry((), (one, other), ANSWER)) is (method in ("POST", "PATCH"))
    assert _unsafe_retry((), (one,), ANSWER) == ""


def test_a_failed_request_may_be_sent_again_as_often_as_documented() -> None:
    sent = tuple(answered(ANSWER, connection=number) for number in range(4))
    assert _unsafe_retry((), sent[:3], ANSWER, retries=2) == ""
    assert "sent a request 4 times" in _unsafe_retry((), sent, ANSWER, retries=2)


@pytest.mark.parametrize("value", ["close", "Close"])
def test_no_request_may_follow_on_a_connection_that_was_declared_closed(value: str) -> None:
    closing = Script.from_recording(recording(headers=(("Content-Length", "0"), ("Connection", value))))
    assert "declared closed" in _unsafe_retry((answered(closing),), (answered(ANSWER),), ANSWER)
    assert _unsafe_retry((answered(closing),), (answered(ANSWER, connection=2),), ANSWER) == ""


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (answered(ANSWER), None),
        (answered(ANSWER, ended=ConnectionEnd.CLOSE), "the connection ended with close, and keep-open was planned"),
        (answered(ANSWER, ended=ConnectionEnd.CLOSE, ended_by=EndedBy.CLIENT), None),
        (answered(ANSWER, ended=ConnectionEnd.CLOSE, client_left_s=0.5), None),
    ],
)
def test_what_the_server_did_otherwise_than_planned_is_no_fault_of_the_client(
    entry: Entry, problem: str | None
) -> None:
    assert problem_of([entry], ANSWER, job()) == problem


@pytest.mark.parametrize(
    ("late_s", "problem"),
    [(0.7, None), (0.9, "the server paused 0.9 s longer than planned, so the client may have timed out")],
)
def test_a_client_may_have_timed_out_if_the_server_was_late_for_most_of_its_read_timeout(
    late_s: float, problem: str | None
) -> None:
    assert late([answered(ANSWER, late_s=late_s)], job()) == problem


@pytest.mark.parametrize("pause_s", [0.9, 3.0])
def test_a_server_is_not_late_in_a_silence_that_is_planned(pause_s: float) -> None:
    assert late([answered(stream(HELLO, DONE).with_gap(pause_s), late_s=0.0)], job()) is None


@pytest.mark.parametrize(
    ("ended_s", "stayed"),
    [(1.7, False), (1.9, True), (2.1, True)],
)
def test_a_client_waits_through_a_silence_if_it_ends_only_after_it(ended_s: float, stayed: bool) -> None:
    """The server may have sent what follows the silence while the client was about to leave; and it may note that it
    has sent it when the client has read it.
    """
    script = stream(HELLO, DONE).with_gap(2.0)
    entry = answered(script, arrived_s=0.0)
    said = _missed_timeout([entry], job(), ended_s)
    assert said == ("waited through a silence of 2 s, although its read timeout is 1 s" if stayed else "")
