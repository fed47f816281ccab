"""`serve` steered from the command line: --on, --play, --fail, --programme and --scenario, without a process."""

from __future__ import annotations

import http.client
import importlib
import json
import re
import shlex
import signal
import ssl
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from ollama_harness.cli.watching import Watched
from ollama_harness.errors import HarnessError
from ollama_harness.matrix.served_scenario import ServedScenarios
from ollama_harness.recordings.store import packaged_store
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.programme import Play
from ollama_harness.server.programme_file import read_programme

pytestmark = pytest.mark.same_on_each_python

Ask = Callable[..., tuple[int, bytes]]
Serve = Callable[..., tuple[list[tuple[int, bytes]], list[str]]]

SERVE = importlib.import_module("ollama_harness.cli.serve")

CHAT = ("POST", "/api/chat", {"model": "smollm2:135m", "messages": [{"role": "user", "content": "x"}]})
GENERATE = ("POST", "/api/generate", {"model": "smollm2:135m", "prompt": "x"})
V1 = ("POST", "/v1/chat/completions", {**CHAT[2], "stream": True})
#: A rule that counts.
TWICE = "[[rules]]\nevery = 2\nfail = 503\n"

BELOW = ("POST", "/ollama/api/chat", CHAT[2])
WITH_KEY = (*BELOW, {"Authorization": "Bearer my-key"})
TAGS, VERSION = ("GET", "/api/tags"), ("GET", "/api/version")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Serve]:
    """Runs `serve` with these options; in place of waiting for Ctrl-C it is sent these requests, one after the other.

    Returns their answers, and the lines that were printed.
    """
    made: list[FakeOllama] = []

    class Kept(FakeOllama):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(self)

    def run(*options: str, asks: Iterable[tuple[Any, ...]]) -> tuple[list[tuple[int, bytes]], list[str]]:
        answers: list[tuple[int, bytes]] = []

        class Stop:
            def set(self) -> None:
                raise AssertionError("no signal is sent")

            def wait(self, timeout_s: float) -> bool:
                if not answers:
                    answers.extend(ask(made[-1], *one) for one in asks)
                    assert made[-1].journal.wait_until_settled()
                    return False
                return True

        monkeypatch.setattr(SERVE, "FakeOllama", Kept)
        monkeypatch.setattr(SERVE, "for_many_connections", lambda: None)  # this process serves nothing else
        monkeypatch.setattr(SERVE, "threading", types.SimpleNamespace(Event=Stop))
        code = SERVE.serve.main(["--port", "0", "--speed", "0", *options], standalone_mode=False)
        assert not code
        return answers, capsys.readouterr().out.splitlines()

    kept = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for one, handler in kept.items():
        signal.signal(one, handler)


def ask(server: FakeOllama, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    if (made := server.certificate) is not None:
        trusting = ssl.create_default_context(cadata=made.ca_pem.decode())
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=trusting)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        response = connection.getresponse()
        try:
            return response.status, response.read()
        except http.client.IncompleteRead as error:
            return response.status, error.partial
    except ConnectionError:  # http.client.RemoteDisconnected is one
        return 0, b""
    finally:
        connection.close()


def statuses(answers: list[tuple[int, bytes]]) -> list[int]:
    return [status for status, _ in answers]


# --- --on -------------------------------------------------------------------------------------------------------------


def test_a_fault_for_the_second_request_to_a_route(serve: Serve) -> None:
    answers, lines = serve(
        "--on", "POST /api/chat #2", "--fault", "replace_with_error(503)", asks=(TAGS, CHAT, GENERATE, CHAT, CHAT)
    )
    assert statuses(answers) == [200, 200, 200, 503, 200]
    assert '--on "POST /api/chat #2": POST /api/chat #2: strike with replace_with_error(503)' in lines
    assert sum("  503  POST /api/chat" in line for line in lines) == 1


def test_a_fault_for_one_route_leaves_the_others_whole(serve: Serve) -> None:
    options = ("--any-model", "--on", "/api/chat", "--fault", "close_at(after_record(3))")
    answers, _ = serve(*options, asks=(TAGS, VERSION, GENERATE, CHAT))
    assert statuses(answers) == [200] * 4
    assert b'"done":true' in answers[2][1]
    assert answers[3][1].count(b"\n") == 3


def test_a_fault_before_on_is_for_all_answers_and_one_after_it_is_not(serve: Serve) -> None:
    options = ("--fault", "set_header('X-All', '1')", "--on", "/api/tags", "--fault", "replace_with_error(500)")
    answers, lines = serve(*options, asks=(TAGS, VERSION))
    assert statuses(answers) == [500, 200]
    assert "faults, in every answer to which they apply: set_header('X-All', '1')" in lines


def test_what_follows_on_is_one_rule(serve: Serve) -> None:
    options = ("--on", "/api/generate #2", "--reply", "two", "--on", "POST", "--fail", "429: slow down", "--fault")
    answers, _ = serve(*options, "set_header('Retry-After', '1')", asks=(GENERATE, GENERATE, CHAT, TAGS))
    assert statuses(answers) == [429, 200, 429, 200]
    assert b"two" in answers[1][1]
    assert json.loads(answers[2][1]) == {"error": "slow down"}


def test_a_recording_is_played_to_its_route(serve: Serve) -> None:
    answers, lines = serve("--play", "chat-think-stream", asks=(CHAT, TAGS, CHAT))
    assert b'"thinking":' in answers[0][1]
    assert answers[0] == answers[2]
    assert json.loads(answers[1][1])["models"]
    assert "--play: every request that it can answer: play chat-think-stream" in lines


def test_several_recordings_are_played_one_after_the_other(serve: Serve) -> None:
    options = ("--play", "fault-runner-killed-chat", "--play", "chat-stream", "--play", "version")
    _, lines = serve(*options, asks=(CHAT, CHAT, CHAT, VERSION))
    played = [line.split()[4].removesuffix(":") for line in lines if " /api/" in line and "  200  " in line]
    names = ["fault-runner-killed-chat", "chat-stream", "fault-runner-killed-chat", "version"]
    assert played == [f"0.32.15/{name}" for name in names]


def test_fail_fail_then_answer(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[[rules]]\nwhen = { path = "/api/*" }\ntimes = 2\nfail = 503\n', "utf-8")
    answers, lines = serve("--programme", str(path), "--reply", "then", asks=(TAGS, CHAT, CHAT))
    assert statuses(answers) == [503, 200, 200], "what is on the command line comes first"
    assert json.loads(answers[0][1]) == {"error": "Service Unavailable"}
    assert "p.toml: line 1, rule 1: /api/* 2 times: fail with 503 Service Unavailable" in lines


def test_a_fault_that_did_not_strike_is_in_the_log(serve: Serve) -> None:
    _, lines = serve("--on", "/api/*", "--fault", "close_at(after_record(3))", asks=(VERSION,))
    assert sum(line.endswith("; 1 fault left out") for line in lines) == 1


# --- --scenario -------------------------------------------------------------------------------------------------------


def test_a_scenario_plays_its_recordings(serve: Serve) -> None:
    answers, lines = serve("--scenario", "runner-killed", asks=(TAGS, CHAT, GENERATE))
    assert statuses(answers) == [200] * 3
    assert b'"error":' in answers[1][1].splitlines()[-1]
    assert b'"error":' in answers[2][1].splitlines()[-1]
    assert any("  0.32.15/fault-runner-killed-chat: scenario runner-killed" in line for line in lines)


@pytest.mark.same_everywhere
@pytest.mark.parametrize("version", packaged_store().versions)
def test_an_error_in_the_stream_breaks_a_pull_and_streams_of_text(version: str, serve: Serve) -> None:
    """What Ollama sends when its runner dies; a stream of events has no error then, and one piece has no stream."""
    pull = ("POST", "/api/pull", {"model": "nosuch"})
    whole = ("POST", "/api/chat", {**CHAT[2], "stream": False})
    asks = (pull, CHAT, GENERATE, whole, TAGS)
    answers, lines = serve("--ollama-version", version, "--scenario", "error-in-stream", asks=asks)
    assert statuses(answers) == [200] * 5
    assert [b'{"error":' in body for _, body in answers] == [True, True, True, False, False]
    assert answers[1][1].startswith(b'{"model":'), "records come before the error"
    assert any(line.startswith("scenario error-in-stream, on the routes for text: ") for line in lines)


def test_a_scenario_of_any_stream_strikes_whatever_answers(serve: Serve) -> None:
    answers, _ = serve("--scenario", "cut-after-record", "--any-model", asks=(TAGS, CHAT, GENERATE, V1))
    assert statuses(answers) == [200] * 4
    assert json.loads(answers[0][1])["models"]
    assert [body.count(b'"done":true') for _, body in answers[1:3]] == [0, 0]
    assert b"[DONE]" not in answers[3][1]


def test_a_sequence_is_served_one_exchange_after_the_other(serve: Serve) -> None:
    answers, lines = serve("--scenario", "fail-then-succeed", asks=(TAGS, CHAT, CHAT, CHAT))
    assert statuses(answers) == [200, 503, 200, 200]
    assert any(line.startswith("scenario fail-then-succeed, exchange 1: ") for line in lines)


def test_a_scenario_before_a_request_strikes_each_connection(serve: Serve) -> None:
    answers, _ = serve("--scenario", "closed-on-accept", asks=(TAGS,))
    assert statuses(answers) == [0]


@pytest.mark.parametrize(
    "name", ["runner-killed", "server-killed", "queue-full", "error-status", "error-in-stream", "tools", "thinking"]
)
def test_what_was_without_effect_is_no_ordinary_answer(name: str, serve: Serve) -> None:
    (ordinary, *_), _ = serve(asks=(CHAT,))
    (answer, *_), lines = serve("--scenario", name, asks=(CHAT,))
    assert answer != ordinary
    assert sum(f"scenario {name}" in line for line in lines) > 1, "at the start, and in the log"


def test_a_full_queue_refuses_on_every_route_for_text(serve: Serve) -> None:
    answers, _ = serve("--scenario", "queue-full", asks=(TAGS, GENERATE, CHAT, V1))
    assert statuses(answers) == [200, 503, 503, 503]
    assert json.loads(answers[1][1]) == json.loads(answers[2][1])
    assert json.loads(answers[3][1])["error"]["message"] == json.loads(answers[1][1])["error"]


def test_a_cold_load_delays_every_route_for_text() -> None:
    store = packaged_store()
    own, others = ServedScenarios(store, store.newest).rules("cold-load").programme.rules
    assert own.answer == Play(("generate-cold",), speed=1.0)
    assert "/api/chat" in others.when.paths
    assert [fault.name for fault in others.faults] == ["delay_first_byte"]


# --- --watch ----------------------------------------------------------------------------------------------------------


def test_a_watched_file_is_read_again_and_a_broken_edit_leaves_the_old_one(tmp_path: Path) -> None:
    path, lines = tmp_path / "p.toml", list[str]()
    path.write_text("[[rules]]\nfail = 503\n", "utf-8")
    with FakeOllama(speed=0, programme=read_programme(path)) as server:
        watched = Watched(path, lambda: server.edit_programme(read_programme(path)), lines.append)
        statuses = []
        for text in (None, "[[rules]]\nfail = 429\n", "[[rules]]\nfail = 999\n", "[[rules]]\nfail = 500\n"):
            if text is not None:
                path.write_text(text, "utf-8")
            watched.look_now()
            statuses.append(ask(server, *VERSION)[0])
    assert statuses == [503, 429, 429, 500]
    broken = f"{path}: line 2, rule 1, fail: 999 is no status of an error; give one from 400 to 599"
    assert lines == [f"{path}: read again", f"{broken}; the programme before it stays in force", f"{path}: read again"]


def test_a_watched_file_that_is_away_leaves_its_programme_until_it_is_back(tmp_path: Path) -> None:
    """An editor may take the file away, write another one and rename that; a folder in its place is no file."""
    path, other, lines = tmp_path / "p.toml", tmp_path / "other.toml", list[str]()
    path.write_text(TWICE, "utf-8")
    with FakeOllama(speed=0, programme=read_programme(path)) as server:
        watched = Watched(path, lambda: server.edit_programme(read_programme(path)), lines.append)

        def status() -> int:
            watched.look_now()
            watched.look_now()  # what has not changed is not read again
            return ask(server, *VERSION)[0]

        assert status() == 200, "the first of them"
        path.rename(other)
        assert status() == 503, "the rule counts on"
        path.mkdir()
        assert status() == 200
        path.rmdir()
        other.replace(path)
        assert status() == 503
        other.write_text(TWICE.replace("503", "429"), "utf-8")
        other.replace(path)
        assert [status(), status()] == [200, 429], "another rule begins"
    away, back = lines[0], f"{path}: read again"
    assert away.startswith(f"{path}: cannot be read: ")
    assert away.endswith("; give a file that can be read; the programme before it stays in force")
    assert lines[1:] == [back, back]


def test_an_edit_of_the_file_leaves_the_rules_that_a_program_put(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TWICE, "utf-8")
    with FakeOllama(speed=0, programme=read_programme(path)) as server:
        watched = Watched(path, lambda: server.edit_programme(read_programme(path)), lambda _: None)

        def steer(method: str, path: str, body: Any = None) -> Any:
            status, answer = ask(server, method, f"/_harness/{path}", body, {"Content-Type": "application/json"})
            assert status in (200, 201, 204), answer
            return json.loads(answer) if answer else None

        def sources() -> list[str]:
            watched.look_now()
            return [str(rule.get("fail", {}).get("status")) for rule in steer("GET", "programme")["rules"]]

        steer("POST", "programme/rules", {"on": "/api/tags", "fail": 501})
        assert sources() == ["501", "503"]
        path.write_text(TWICE + "[[rules]]\nfail = 429\n", "utf-8")
        assert sources() == ["501", "503", "429"]
        (mine,) = (rule["id"] for rule in steer("GET", "programme")["rules"] if rule["fail"]["status"] == 503)
        steer("DELETE", f"programme/rules/{mine}")
        assert sources() == ["501", "429"], "what a program took away stays away while the file stays as it is"
        path.write_text(TWICE.replace("503", "504"), "utf-8")
        assert sources() == ["501", "504"]
        steer("PUT", "programme", {"rules": [{"on": "/api/ps", "fail": 500}]})
        assert sources() == ["500"]
        path.write_text(TWICE, "utf-8")
        assert sources() == ["500", "503"], "the file's come behind those of the program"
        assert [ask(server, *VERSION)[0] for _ in range(2)] == [200, 503]


def test_serve_takes_over_an_edit_of_its_programme(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[[rules]]\nfail = 503\n", "utf-8")

    def asks_and_edits() -> Iterator[tuple[Any, ...]]:
        yield VERSION
        path.write_text("[[rules]]\nfail = 429\n", "utf-8")

    answers, lines = serve("--watch", "--programme", str(path), asks=asks_and_edits())
    assert statuses(answers) == [503]
    assert f"{path}: read again" in lines


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), r"control: http://127\.0\.0\.1:\d+/_harness"),
        (("--no-control",), "control: off"),
        (("--host", "0.0.0.0"), r"control: off, because .*; --control-token TOKEN turns it on"),
        (("--host", "0.0.0.0", "--control-token", "t"), r"control: http://0\.0\.0\.0:\d+/_harness"),
        (("--fault", "close_on_accept()"), r"control: .*, which the faults below strike, too; --control-port 0 .*"),
        (("--fault", "close_on_accept()", "--control-port", "0"), r"control: http://127\.0\.0\.1:\d+/_harness"),
    ],
)
def test_the_first_lines_say_whether_it_is_steered_and_where(options: tuple[str, ...], line: str, serve: Serve) -> None:
    _, lines = serve(*options, asks=(VERSION,))
    [said] = [one for one in lines if one.startswith("control: ")]
    assert re.fullmatch(line, said)


@pytest.mark.parametrize(
    "options",
    [
        ("--no-control", "--control-token", "t"),
        ("--no-control", "--control-port", "0"),
        ("--host", "0.0.0.0", "--control-port", "0"),
        ("--control-token", "a b"),
    ],
)
def test_a_control_that_cannot_be_is_refused(options: tuple[str, ...], serve: Serve) -> None:
    with pytest.raises(click.UsageError, match="token"):
        serve(*options, asks=(VERSION,))


# --- docs/serve.md ----------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "serve.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\nollama-harness serve (.*)\n```", PAGE)
TOOL = ("POST", "/api/chat", {**CHAT[2], "messages": [*CHAT[2]["messages"], {"role": "tool", "content": "4"}]})

#: For each command of the page: requests, and for each its status and whether its answer is whole.
ON_THE_PAGE = {
    "--port 11435": ((CHAT, 200, True),),
    '--on "POST /api/chat" --fault "close_at(after_record(3))"': ((CHAT, 200, False), (GENERATE, 200, True)),
    '--on "POST /api/chat #2" --fault "replace_with_error(503)"': ((CHAT, 200, True), (CHAT, 503, False)),
    '--on "POST /api/chat #1" --fail "503: server busy" --on "POST /api/chat #2" --reply "Hello"': (
        (CHAT, 503, False),
        (CHAT, 200, True),
    ),
    '--play chat-think-stream --play "chat-tools-*"': ((CHAT, 200, True), (CHAT, 200, True)),
    "--prefix /ollama --require-key my-key": ((TAGS, 404, False), (BELOW, 401, False), (WITH_KEY, 200, True)),
    "--any-model --gap 0.1 --parallel 1 --max-queue 1": ((TAGS, 200, False), (CHAT, 200, True)),
    "--gap 1.5 --idle-timeout 1": ((CHAT, 504, False),),
    "--tls good --tls-ca ca.pem": ((CHAT, 200, True),),
    "--scenario runner-killed": ((CHAT, 200, False), (GENERATE, 200, False)),
    "--programme programme.toml": ((CHAT, 503, False), (CHAT, 503, False), (TOOL, 200, True)),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_do_what_it_says(
    command: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in re.findall(r"```toml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    if "--tls" in command:
        pytest.importorskip("trustme")
    expected = ON_THE_PAGE[command]
    answers, _ = serve(*shlex.split(command.replace("--port 11435", "")), asks=tuple(asks for asks, *_ in expected))
    assert [(status, b'"done":true' in body) for status, body in answers] == [
        (status, whole) for _, status, whole in expected
    ]


def test_the_page_has_a_command_of_each_kind() -> None:
    assert set(COMMANDS) == set(ON_THE_PAGE)
    assert len(COMMANDS) == PAGE.count("```sh")


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "serve.md", "exec"), {})
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--on", "POST api/chat", "--fail", "503"), "'POST api/chat' names no requests; give METHOD PATH #N"),
        (("--on", "#2"), '--on "#2" is followed by no answer; put --fault, --play, --fail or --reply after it'),
        (("--on", "#2", "--fail", "503", "--play", "tags"), "has two answers, --fail and --play; repeat --on"),
        (("--on", "/api/tags", "--reply", "a"), "--on \"/api/tags\": path: '/api/tags' is none that this answers"),
        (("--fail", "busy"), "--fail: 'busy' is no status; give one from 400 to 599"),
        (("--fail", "200"), "status: 200 is no status of an error"),
        (("--fail", "503", "--play", "tags"), "--play never answers: --fail answers every request; swap them"),
        (("--play", "chat-steam"), "--play: there is no recording called 'chat-steam'; did you mean chat-stream"),
        (
            ("--on", "/api/tags", "--fault", "close_at(after_record(9))"),
            '--on "/api/tags": close_at(after_record(9)) can',
        ),
        (("--on", "/api/chat", "--fault", "refuse()"), "strikes before a request is read"),
        (("--fault", "close_on_accept()", "--reply", "a"), "leaves no request for a programme"),
        (("--scenario", "issue-9549"), "use `ollama-harness run --scenario issue-9549`"),
        (("--scenario", "tools", "--ollama-version", "0.5.7", "--play", "nope"), "no recording called 'nope'"),
        (("--programme", "missing.toml"), "missing.toml: cannot be read"),
        (("--watch",), "--watch: there is no file to watch; give --programme FILE, too"),
        (("--reply", "a", "--reply-file", "b"), "are two sources of one thing"),
    ],
)
def test_what_can_have_no_effect_is_refused_before_the_start(
    options: tuple[str, ...], message: str, serve: Serve
) -> None:
    with pytest.raises((HarnessError, click.UsageError)) as raised:
        serve(*options, asks=(VERSION,))
    text = raised.value.message if isinstance(raised.value, click.UsageError) else str(raised.value)
    assert message in text
