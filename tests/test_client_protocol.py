"""The client protocol: what keeps to it is judged, and what does not is told how, and never judged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st

from ollama_harness import clients as clients_room
from ollama_harness.cli import commands
from ollama_harness.clients import Yields, add_clients_file, add_command, add_file, client
from ollama_harness.clients.adapter import Job
from ollama_harness.clients.protocol import BadMessage, parse
from ollama_harness.errors import ClientError
from ollama_harness.matrix.cells import Cell, cell
from ollama_harness.matrix.client_check import steps
from ollama_harness.matrix.runner import CellRun, Runner
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.store import RecordingStore

pytestmark = pytest.mark.same_on_each_python

ADAPTERS = Path(__file__).parent / "adapters"
DOCS = Path(__file__).parent.parent / "docs"
SCHEMA = json.loads((DOCS / "client-protocol.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
OF_JOBS = jsonschema.Draft202012Validator({**SCHEMA["$defs"]["job"], "$defs": SCHEMA["$defs"]})
NEWEST = "0.32.15"

#: Each wrong adapter with the step that finds it, what is said, and a part of the advice.
WRONG = {
    "answers_twice": ("a whole answer", "a message came after the end of a job", "one end for each job"),
    "exits_in_mid_job": ("a whole answer", "exited with 1 in the middle of the job, and wrote 'no such", "go on"),
    "half_a_line": ("a whole answer", 'a line on stdout is no JSON: \'{"end"', "write each message on one line"),
    "late_end": ("a whole answer", "the end came late", "as soon as the library has ended"),
    "never_ready": ("its start", "did not start within 1 s", '{"protocol": 1, "ready"'),
    "no_end": ("a whole answer", "no end within 1 s", "write one end for each job"),
    "noise": (
        "a whole answer",
        "a line on stdout is no JSON: 'DEBUG: sending a request'",
        "print everything else to stderr",
    ),
    "pieces": ("a whole answer", "it yielded a piece, and the client is said to yield each record", "yields = "),
    "reads_on": ("a user who stops after one record", "it read on after 1 records", "end the job as stopped"),
    "record_after_end": ("a whole answer", 'a message came after the end of a job: \'{"record"', "write nothing after"),
    "stays": ("the end of stdin", "the process was still there after 0.5 s", "exit when stdin ends"),
    "two_ends": ("a whole answer", 'a message came after the end of a job: \'{"end"', "one end for each job"),
    "unknown_field": ("a whole answer", "has an unknown field 'wher'", "correct its name"),
    "unknown_message": ("a whole answer", '\'{"chunk"', 'exactly one of the keys "protocol", "record"'),
    "wrong_id": ("the same again", "the end of job 1 came in job 2", "repeat the id of the job"),
    "wrong_version": ("its start", "it speaks version 2, and this is version 1", "write it for version 1"),
    "yields_nothing": ("a whole answer", "nothing was yielded", "flush stdout"),
}


#: What never comes is not awaited for long. None of these depends on how fast the machine is.
SHORTER = {
    "late_end": {"deadline_s": 2.0},
    "never_ready": {"startup_s": 1.0},
    "no_end": {"deadline_s": 0.5},
    "stays": {"exit_s": 0.5},
}


def adapter(name: str) -> tuple[str, ...]:
    return (sys.executable, str(ADAPTERS / f"{name}.py"))


@pytest.fixture(autouse=True)
def _own_clients_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(clients_room, "_own", {})
        yield
    clients_room.clients.cache_clear()


def test_every_wrong_adapter_is_tried() -> None:
    assert {path.stem for path in ADAPTERS.glob("*.py")} == {*WRONG, "adapter"}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_an_adapter_is_said_with_its_fix(name: str) -> None:
    tried, said, fix = WRONG[name]
    add_command(name, adapter(name))
    found = next(step for step in steps(name, **SHORTER.get(name, {})) if step.fix)
    assert (found.tried, said in found.happened, fix in found.fix) == (tried, True, True), found


def test_a_right_adapter_passes_every_step() -> None:
    done = CliRunner().invoke(commands, ["client-check", "--", *adapter("adapter")], standalone_mode=False)
    assert "it keeps to the protocol" in done.output
    assert done.output.count("\nok ") == 10, done.output
    assert "wrong" not in done.output


def test_a_defect_that_is_no_matter_to_the_next_job_is_found_once() -> None:
    done = CliRunner().invoke(commands, ["client-check", "--", *adapter("reads_on")])
    assert done.exit_code == 1
    assert done.output.count("wrong ") == 1
    assert "       fix: stop reading, close the answer, and end the job as stopped" in done.output


def test_a_program_that_is_not_there_is_bad_input() -> None:
    done = CliRunner().invoke(commands, ["client-check", "--", "no-such-program"], standalone_mode=False)
    assert isinstance(done.exception, ClientError)
    assert "there is no program 'no-such-program'" in str(done.exception)


def test_a_defect_of_the_protocol_is_no_verdict_on_the_client(runner: Runner, store: RecordingStore) -> None:
    add_command("noise", adapter("noise"))
    run = runner.run_cell(cell(store, f"noise/stream/{NEWEST}/chat-stream"))
    assert run.judgement.verdict is Verdict.INCONCLUSIVE
    assert run.judgement.why.startswith(
        "protocol: a line on stdout is no JSON: 'DEBUG: sending a request'; stdout is for"
    )


def test_a_program_is_judged_as_a_function_is(runner: Runner, store: RecordingStore) -> None:
    add_command("right", adapter("adapter"))
    verdicts = {
        name: runner.run_cell(cell(store, f"right/{name}")).judgement.verdict
        for name in ("stream", "cut-after-record", "early-break", "meanwhile", "lock-step")
    }
    assert verdicts == {
        "stream": Verdict.PASS,
        "cut-after-record": Verdict.SILENT_LOSS,  # as urllib
        "early-break": Verdict.PASS,
        "meanwhile": Verdict.UNSUPPORTED,
        "lock-step": Verdict.PASS,
    }


def test_what_a_program_asks_besides_is_answered_and_belongs_to_no_verdict(
    runner: Runner, store: RecordingStore
) -> None:
    add_command("courteous", (*adapter("adapter"), "HEAD /", "POST /api/show", "GET /api/tags", "GET /nowhere"))
    seen = {name: runner.run_cell(cell(store, f"courteous/{name}")) for name in ("stream", "early-break", "status-500")}
    outcomes = {name: one.decisive.outcome for name, one in seen.items()}
    asked = ("HEAD / HTTP/1.1", "POST /api/show HTTP/1.1", "GET /api/tags HTTP/1.1", "GET /nowhere HTTP/1.1")
    assert [one.judgement.verdict for one in seen.values()] == [Verdict.PASS] * 3
    assert {(one.side_requests, one.requests, one.repeated) for one in outcomes.values()} == {(asked, 5, 0)}
    assert {name: one.abandoned for name, one in outcomes.items()} == {
        "stream": False,
        "early-break": True,
        "status-500": False,
    }
    tags = [
        entry.answered_by for one in seen.values() for entry in one.decisive.entries if "tags" in entry.request_line
    ]
    assert tags == [f"{NEWEST}/tags"] * 3


def test_a_program_that_asks_again_by_itself_is_found_out(runner: Runner, store: RecordingStore) -> None:
    add_command("insistent", (*adapter("adapter"), "POST /api/chat"))
    run = runner.run_cell(cell(store, "insistent/stream"))
    assert (run.judgement.verdict, run.decisive.outcome.repeated) == (Verdict.UNSAFE_RETRY, 1)


def test_a_program_has_a_process_of_its_own_in_an_environment(runner: Runner, store: RecordingStore) -> None:
    add_command("right", adapter("adapter"))
    cells = [cell(store, f"{name}/issue-9549@127.0.0.1") for name in ("right", "urllib")]
    simulated = cell(store, "right/issue-9549@localhost")
    runs = {one.cell.client.name: one for one in run_all(runner, cells)}
    assert runs["urllib"].judgement.verdict is Verdict.PASS
    assert runs["right"].judgement.verdict is Verdict.UNSUPPORTED
    assert "simulated for clients in Python only" in runs["right"].judgement.why
    assert simulated.client.command is not None
    direct = runner.run_cell(cell(store, "right/no-proxy-list@127.0.0.1"))
    assert (direct.judgement.verdict, str(direct.decisive.route)) == (Verdict.PASS, "direct")


@pytest.mark.skipif(sys.platform == "win32", reason="names of variables are case-insensitive there")
def test_a_contract_that_promises_to_read_no_variable_is_proven(
    runner: Runner, store: RecordingStore, tmp_path: Path
) -> None:
    command = json.dumps(["{python}", adapter("adapter")[1]])
    file = tmp_path / "clients.toml"
    file.write_text(f'[[client]]\nname = "liar"\ncommand = {command}\n[client.contract]\nvariables = []\n', "utf-8")
    add_clients_file(file)
    run = runner.run_cell(cell(store, "liar/proxy-everywhere@127.0.0.1"))
    assert (run.cell.gating, run.judgement.verdict) == (True, Verdict.MISROUTED)
    assert "it reads none of these variables" in run.judgement.why


def run_all(runner: Runner, cells: list[Cell]) -> list[CellRun]:
    runs: list[CellRun] = []
    runner.run(cells, runs.append)
    return runs


# ------------------------------------------------------------------------------------------------- the schema

RAISED = {"end": "raised", "id": 3, "types": ["E"], "message": "m"}
MESSAGES = [
    {"protocol": 1, "ready": "1.0"},
    {"protocol": 1, "ready": {"a": "1.0"}, "missing": {"b": "why"}},
    {"protocol": 1, "missing": "run npm ci"},
    {"record": None},
    {"record": {"done": True}, "at_s": 0.25},
    {"piece": {"text": "a"}},
    {"piece": {"tool_call": {"name": "f", "arguments": {"a": 1}, "id": "x", "index": 0}}},
    {"piece": {"usage": {"input": 1, "output": None}}},
    {"meanwhile": True},
    {"log": ""},
    {"end": "ended", "id": 0},
    {"end": "stopped", "id": 1, "tried": [["127.0.0.1", 1]], "written": [[80, 12]]},
    {**RAISED, "where": "a.go:3", "made": False},
    {"end": "unsupported", "id": 1, "reason": "r"},
    {"end": "hung", "id": 1},
    {"end": "failed", "id": 1, "reason": "r"},
]
NO_MESSAGES = [
    {},
    [],
    None,
    {"protocol": "1", "ready": "1.0"},
    {"protocol": 1},
    {"protocol": 1, "ready": ""},
    {"protocol": 1, "ready": "1", "extra": 1},
    {"record": 1, "piece": {"text": ""}},
    {"record": 1, "at_s": -1},
    {"piece": {"text": 1}},
    {"piece": {"chunk": ""}},
    {"piece": {"text": "", "thinking": ""}},
    {"piece": {"tool_call": {"arguments": {}}}},
    {"piece": {"usage": {}}},
    {"meanwhile": False},
    {"log": 1},
    {"end": "ended"},
    {"end": "ended", "id": -1},
    {"end": "finished", "id": 1},
    {"end": "ended", "id": 1, "reason": ""},
    {"end": "raised", "id": 1, "types": [], "message": ""},
    {"end": "raised", "id": 1, "types": ["E"]},
    {**RAISED, "made": 1},
    {"end": "unsupported", "id": 1},
    {"end": "stopped", "id": 1, "tried": [["127.0.0.1", "1"]]},
]


def accepts(message: Any) -> bool:
    try:
        parse(json.dumps(message).encode())
    except BadMessage:
        return False
    return True


@pytest.mark.parametrize("message", MESSAGES, ids=json.dumps)
def test_a_message_is_one_for_the_schema_and_for_the_harness(message: Any) -> None:
    VALIDATOR.validate(message)
    assert accepts(message)


@pytest.mark.parametrize("message", NO_MESSAGES, ids=json.dumps)
def test_what_is_no_message_is_none_for_the_schema_and_for_the_harness(message: Any) -> None:
    assert not VALIDATOR.is_valid(message)
    assert not accepts(message)


values = st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["", "a", 0.5, [], ["E"], {"text": "a"}])
keys = st.sampled_from(
    ["protocol", "ready", "record", "piece", "log", "end", "id", "types", "message", "at_s", "reason"]
)


@given(st.sampled_from(MESSAGES), st.dictionaries(keys, values, max_size=2), st.sets(keys, max_size=1))
def test_a_changed_message_is_one_for_both_or_for_neither(message: Any, more: dict[str, Any], less: set[str]) -> None:
    changed = {key: value for key, value in {**message, **more}.items() if key not in less}
    assume(changed.get("protocol", 1) == 1)  # another version is a message, which the harness refuses in its own words
    assert accepts(changed) == VALIDATOR.is_valid(changed)


@given(st.binary(max_size=60))
def test_any_line_is_a_message_or_an_error_with_a_fix(line: bytes) -> None:
    try:
        found: tuple[object, ...] = (parse(line),)
    except BadMessage as error:
        found = (error.problem, error.fix)
    assert all(found)


def test_a_deep_line_is_an_error() -> None:
    with pytest.raises(BadMessage, match="is no JSON"):
        parse(b'{"record": ' + b"[" * 100_000)


@pytest.mark.parametrize(
    "request_",
    [
        Request(method="POST", path="/api/chat", json={"model": "m"}),
        Request(method="POST", path="/v1/chat/completions", json={"stream": True}),
        Request(method="GET", path="/api/tags", headers=(("Host", "a"),)),
        Request(method="POST", path="/api/chat", body="{"),
    ],
)
def test_a_job_is_as_the_schema_has_it(request_: Request) -> None:
    job = Job(client="a", url="http://127.0.0.1:1", request=request_, read_timeout_s=0.5, stop_after=2)
    value = json.loads(json.dumps(job.to_json()))
    OF_JOBS.validate(value)
    assert Job.from_json(value) == job


PAGE = (DOCS / "client-protocol.md").read_text("utf-8")


def test_the_page_shows_messages_of_the_protocol() -> None:
    shown = [json.loads(line) for line in re.findall(r"^(\{.*\})\s+→$", PAGE, re.M) if "…" not in line]
    assert len(shown) > 3
    assert [one for one in shown if not (accepts(one) and VALIDATOR.is_valid(one))] == []


def test_the_page_names_every_key_of_a_job() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named >= SCHEMA["$defs"]["job"]["properties"].keys()


# ------------------------------------------------------------------------------------------------- the doors


def test_the_clients_file_of_the_page_can_be_read(tmp_path: Path) -> None:
    block = next(one for one in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[[client]]" in one)
    file = tmp_path / "clients.toml"
    file.write_text(block, "utf-8")
    [name] = add_clients_file(file)
    one = client(name)
    assert (one.name, one.layer, one.yields, one.contract.retries) == ("my-app", "ollama", Yields.RECORDS, 0)
    assert one.contract.unknown_fields == {"done_reason"}
    assert one.contract.variables == set()
    assert one.command is not None
    assert (one.command.arguments, one.command.folder) == (("node", "my.mjs"), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "client: is missing"),
        ("client = 1", "client: is 1"),
        ("[[client]]\ncommand = ['a']", "client[1].name: is missing"),
        ("[[client]]\nname = 'a'", "client[1].command: is missing"),
        ("[[client]]\nname = 'a'\ncommand = 'node my.mjs'", 'client[1].command: is "node my.mjs"; make it a list'),
        ("[[client]]\nname = 'a'\ncommand = ['a']\nlayer = 'tcp'", 'client[1].layer: is "tcp"; make it "ollama" or'),
        (
            "[[client]]\nname = 'a'\ncommand = ['a']\nyields = 'text'",
            'client[1].yields: is "text"; make it one of records,',
        ),
        ("[[client]]\nname = 'a'\ncommand = ['a']\nyeilds = 'x'", "client[1].yeilds: is not a field of the format"),
        (
            "[[client]]\nname = 'a'\ncommand = ['a']\n[client.contract]\nretries = 'none'",
            'client a: contract.retries: is "none"; make it a number',
        ),
        ("[[client]]\nname = 'a b'\ncommand = ['a']", "the name 'a b' has other characters"),
        ("[[client]]\nname = 'httpx'\ncommand = ['a']", "the package has a client called 'httpx'"),
        (
            "[[client]]\nname = 'a'\ncommand = ['a']\n[[client]]\nname = 'a'\ncommand = ['a']",
            "two clients are called 'a'",
        ),
        ("[[client]", "is no TOML"),
    ],
)
def test_an_error_in_a_clients_file_names_file_and_key(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ClientError) as caught:
        add_clients_file(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is no file"),
        ("import no_such_library", "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"),
        ("CLIENT = 1", "has no list CLIENTS"),
        ("CLIENTS = []", "has no list CLIENTS"),
        ("from ollama_harness.clients import *\nCLIENTS = [Client(name='a', contract=Contract())]", "needs either"),
    ],
)
def test_an_error_in_a_python_file_names_the_file(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "judge_errors.py"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ClientError) as caught:
        add_file(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_folder_of_a_python_file_hides_no_other_module(tmp_path: Path) -> None:
    (tmp_path / "requests.py").write_text("raise ImportError('the wrong one')", "utf-8")
    file = tmp_path / "judge_last.py"
    file.write_text(
        "import requests\nfrom ollama_harness.clients import Client, Contract\n"
        "CLIENTS = [Client(name='last', contract=Contract(), exchange=lambda job, _: iter(()))]",
        "utf-8",
    )
    assert add_file(file) == ["last"]
    assert sys.path[-1] == str(tmp_path)
    sys.path.remove(str(tmp_path))


def test_another_package_brings_its_clients_by_an_entry_point(tmp_path: Path) -> None:
    """As pip lays a distribution out: a folder with its entry points, beside the module."""
    (tmp_path / "their_clients.py").write_text(
        "from ollama_harness.clients import Client, Contract\n"
        "CLIENTS = [Client(name='theirs', contract=Contract(), exchange=lambda job, _: iter(()))]",
        "utf-8",
    )
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[ollama_harness.clients]\ntheirs = their_clients\n", "utf-8")
    listed = python(tmp_path, "list", "clients", "--json")
    assert "theirs" in {one["client"] for one in json.loads(listed.stdout)}
    (info / "entry_points.txt").write_text("[ollama_harness.clients]\ntheirs = no_module\n", "utf-8")
    wrong = python(tmp_path, "list", "clients")
    assert wrong.returncode == 2
    assert "the entry point theirs = no_module (ollama_harness.clients) cannot be loaded" in wrong.stderr


def python(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ollama_harness", *arguments],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
