"""`serve` steered from the command line: --on, --play, --fail, --programme and --scenario, without a process."""

from __future__ import annotations

import http.client
import importlib
import json
import signal
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ollama_harness.server.fake_ollama import FakeOllama

Ask = Callable[..., tuple[int, bytes]]
Serve = Callable[..., tuple[list[tuple[int, bytes]], list[str]]]

SERVE = importlib.import_module("ollama_harness.cli.serve")

CHAT = ("POST", "/api/chat", {"model": "smollm2:135m", "messages": [{"role": "user", "content": "x"}]})
GENERATE = ("POST", "/api/generate", {"model": "smollm2:135m", "prompt": "x"})
V1 = ("POST", "/v1/chat/completions", {**CHAT[2], "stream": True})
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

    def run(*options: str, asks: tuple[tuple[Any, ...], ...]) -> tuple[list[tuple[int, bytes]], list[str]]:
        answers: list[tuple[int, bytes]] = []

        class Stop:
            def set(self) -> None:
                raise AssertionError("no signal is sent")

            def is_set(self) -> bool:
                if not answers:
                    answers.extend(ask(made[-1].port, *one) for one in asks)
                    assert made[-1].journal.wait_until_settled()
                    return False
                return True

        monkeypatch.setattr(SERVE, "FakeOllama", Kept)
        monkeypatch.setattr(SERVE, "threading", types.SimpleNamespace(Event=Stop))
        code = SERVE.serve.main(["--port", "0", "--speed", "0", *options], standalone_mode=False)
        assert not code
        return answers, capsys.readouterr().out.splitlines()

    kept = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for one, handler in kept.items():
        signal.signal(one, handler)


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
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
    assert "p.toml: rule 1: /api/* 2 times: fail with 503 Service Unavailable" in lines


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


@pytest.mark.parametrize("name", ["runner-killed", "server-killed", "queue-full", "error-status", "tools", "thinking"])
def test_what_was_without_effect_is_no_ordinary_answer(name: str, serve: Serve) -> None:
    method, path, body = GENERATE if name == "queue-full" else CHAT
    (ordinary, *_), _ = serve(asks=((method, path, body),))
    (answer, *_), lines = serve("--scenario", name, asks=((method, path, body),))
    assert answer != ordinary
    assert sum(f"scenario {name}" in line for line in lines) > 1, "at the start, and in the log"
