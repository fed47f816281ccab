"""The control API: how a program in any language steers a running server."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ollama_harness import FakeOllama
from ollama_harness.faults import after_record, close_at, close_on_accept, drop_terminal_record, set_header, stall_at
from ollama_harness.matrix._raw_socket import connect, read_to_end
from ollama_harness.server.control import is_loopback
from ollama_harness.server.programme import OwnError, Programme, ProgrammeRule, When, own_reply

pytestmark = pytest.mark.same_everywhere

BODY = {"model": "smollm2:135m", "messages": [{"role": "user", "content": "x"}]}
CHAT, GENERATE = "/api/chat", "/api/generate"


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0, any_model=True) as server:
        yield server


class Client:
    """One connection to a server, as `fetch` and its like keep it."""

    def __init__(self, port: int, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._headers = headers

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status, and the JSON of the answer or its bytes."""
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        self._connection.request(method, path, None if body is None else json.dumps(body), {**self._headers, **headers})
        response = self._connection.getresponse()
        data = response.read()
        is_json = (response.headers["Content-Type"] or "").startswith("application/json")
        return response.status, json.loads(data) if is_json and data else data

    def steer(self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        """The answer to a call, which has this status."""
        seen, answer = self.ask(method, f"/_harness{path}", body, **headers)
        assert seen == status, answer
        return answer

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def client(server: FakeOllama) -> Iterator[Client]:
    client = Client(server.port)
    yield client
    client.close()


def add(client: Client, *rules: dict[str, Any], at: str = "first") -> list[str]:
    """The ids of the rules that were added."""
    added = client.steer("POST", f"/programme/rules?at={at}", {"rules": list(rules)}, status=201)
    return [rule["id"] for rule in added["rules"]]


# --- health, reset, lists ---------------------------------------------------------------------------------------------


def test_health_says_what_runs(server: FakeOllama, client: Client) -> None:
    health = client.steer("GET", "/health")
    assert (health["status"], health["ollama"], health["url"]) == ("ok", "0.32.15", server.url)


def test_reset_forgets_rules_journal_and_changes_of_models() -> None:
    first = Programme((ProgrammeRule(answer=OwnError.of(500, "first"), times=1),))
    with FakeOllama(speed=0, programme=first) as server:
        client = Client(server.port)
        assert client.ask("GET", "/api/version")[0] == 500
        add(client, {"fail": 503})
        assert client.ask("GET", "/api/version")[0] == 503
        client.steer("DELETE", f"/programme/rules/{client.steer('GET', '/programme')['rules'][0]['id']}", status=204)
        assert client.ask("DELETE", "/api/delete", {"model": BODY["model"]})[0] == 200
        assert client.ask("POST", CHAT, BODY)[0] == 404
        client.steer("POST", "/reset", status=204)
        assert client.steer("GET", "/journal") == {"entries": [], "connections": 0}
        assert [client.ask("POST", CHAT, BODY)[0] for _ in range(2)] == [500, 200]
        client.close()


def test_lists_say_what_can_be_arranged(client: Client) -> None:
    recordings = client.steer("GET", "/recordings")["recordings"]
    faults = client.steer("GET", "/faults")["faults"]
    assert "0.32.15/chat-stream" in [one["recording"] for one in recordings]
    assert "close_at(place)" in [one["fault"] for one in faults]
    assert client.steer("GET", "/scenarios") == {"scenarios": []}, "this server was given none"


# --- the programme ----------------------------------------------------------------------------------------------------


def test_a_rule_comes_first_answers_and_goes_again(client: Client) -> None:
    [last], [first] = (
        add(client, {"fail": 500}),
        add(client, {"name": "busy", "on": f"POST {CHAT}", "fail": "503: busy"}),
    )
    assert client.ask("POST", CHAT, BODY) == (503, {"error": "busy"})
    client.steer("DELETE", f"/programme/rules/{first}", status=204)
    assert client.ask("POST", CHAT, BODY)[0] == 500
    client.steer("DELETE", f"/programme/rules/{last}", status=204)
    assert client.ask("POST", CHAT, BODY)[0] == 200
    assert "lists the ids" in client.steer("DELETE", f"/programme/rules/{last}", status=404)["error"]


def test_a_rule_at_the_end_is_tried_last(client: Client) -> None:
    add(client, {"fail": 503, "times": 1})
    add(client, {"fail": 500}, at="end")
    assert [client.ask("GET", "/api/version")[0] for _ in range(2)] == [503, 500]
    error = client.steer("POST", "/programme/rules?at=end", {"fail": 501}, status=400)["error"]
    assert error == "request body: rule 1 never answers: r2 answers every request; swap them"


def test_one_rule_may_stand_for_itself(client: Client) -> None:
    [rule] = client.steer("POST", "/programme/rules", {"fail": 503, "times": 2}, status=201)["rules"]
    assert client.ask("GET", "/api/version")[0] == 503
    assert client.steer("GET", "/programme") == {"rules": [rule | {"met": 1, "used": 1, "left": 1}]}


def test_the_second_request_to_a_route_is_struck_and_counts_show_it(client: Client) -> None:
    add(client, {"on": f"POST {CHAT} #2", "faults": ["replace_with_error(503)"]})
    statuses = [client.ask("POST", path, BODY)[0] for path in (CHAT, GENERATE, CHAT, CHAT)]
    assert statuses == [200, 200, 503, 200]
    [rule] = client.steer("GET", "/programme")["rules"]
    assert (rule["nth"], rule["met"], rule["used"], rule["left"]) == ([2], 3, 1, None)


def test_counts_of_other_rules_stay_when_one_is_added_or_taken_away(client: Client) -> None:
    add(client, {"on": f"{CHAT} #2", "fail": 503})
    assert client.ask("POST", CHAT, BODY)[0] == 200
    [other] = add(client, {"on": "/api/tags", "fail": 500})
    client.steer("DELETE", f"/programme/rules/{other}", status=204)
    assert client.ask("POST", CHAT, BODY)[0] == 503


RULES: list[dict[str, Any]] = [
    {"name": "all", "when": {"method": "POST", "headers": {"X-A": "*"}, "json": {"a": [1]}}, "fail": 503},
    {"when": {"stream": True, "model": "llama*", "path": [CHAT, GENERATE]}, "nth": [1, 3], "fail": 500},
    {"every": 3, "play": ["chat-*", "!chat-load"], "speed": 0},
    {"probability": 0.5, "seed": 7, "times": 4, "reply": {"text": ["a", "b"], "tokens_per_s": 5}},
    {"times": 1, "reply": {"text": "", "tool_calls": [{"name": "f", "arguments": {"x": 1}}], "first_token_s": 1}},
    {"times": 1, "embed": [[0.5, 1.0]], "before_guard": True},
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule))
def test_what_is_shown_can_be_put_and_means_the_same(rule: dict[str, Any], server: FakeOllama, client: Client) -> None:
    def meaning() -> list[str]:
        return [repr(one.rule) for one in server._programme.rules]

    shown = client.steer("PUT", "/programme", {"rules": [rule]})
    before = meaning()
    again = client.steer("PUT", "/programme", shown)
    assert meaning() == before
    assert [one | {"id": ""} for one in again["rules"]] == [one | {"id": ""} for one in shown["rules"]]
    assert {key for key in rule if key not in shown["rules"][0]} == set()


def test_what_only_python_can_say_is_shown_as_a_text(server: FakeOllama, client: Client) -> None:
    server.play("chat-stream", when=lambda request: request.json is None)
    [rule] = client.steer("GET", "/programme")["rules"]
    assert rule["script"].startswith("0.32.15/chat-stream, ")
    assert "lambda" in rule["when"]["function"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "request body: is no JSON object; give"),
        ({"rules": {}}, "request body: rules: is no list of rules"),
        ({"rules": [], "more": 1}, "request body: more: is no key of a programme; the key is rules"),
        ({"rules": [{"fail": 500}, 7]}, "request body: rule 2: is 7, not a table"),
        ({"rules": [{"fail": 99}]}, "request body: rule 1, fail: 99 is no status of an error"),
        ({"rules": [{"fail": "9: x"}]}, "request body: rule 1, fail: "),
        ({"rules": [{"on": 7, "fail": 500}]}, "request body: rule 1, on: is 7; make it a text"),
        ({"rules": [{"on": "x y", "fail": 500}]}, "request body: rule 1, on: 'x y' names no requests"),
        ({"rules": [{"on": "/a #1", "nth": 1, "fail": 500}]}, "request body: rule 1, nth: there is on, too"),
        ({"rules": [{"faults": "nope()"}]}, "request body: rule 1, faults: there is no fault or place called 'nope'"),
        ({"rules": [{"faults": "close_on_accept()"}]}, "request body: rule 1, faults: close_on_accept() strikes"),
        ({"rules": [{"play": "nope"}]}, "request body: rule 1: there is no recording called 'nope'"),
        ({"rules": [{"reply": {"said": 1}}]}, "request body: rule 1, reply.said: is no field of a reply"),
        ({"rules": [{"when": {"path": "/x"}, "faults": "rst_at(1)"}]}, "request body: rule 1, faults: "),
        ({"rules": [{"fail": 500}, {"fail": 501}]}, "request body: rule 2 never answers: request body: rule 1 answers"),
    ],
)  # fmt: skip
def test_a_bad_programme_is_refused_in_one_sentence_and_changes_nothing(
    body: Any, message: str, client: Client
) -> None:
    add(client, {"on": "/x", "fail": 500})
    before = client.steer("GET", "/programme")
    error = client.steer("PUT", "/programme", body, status=400)["error"]
    assert error.startswith(message)
    assert "\n" not in error
    assert client.steer("GET", "/programme") == before


def test_an_empty_programme_takes_all_rules_away(client: Client) -> None:
    add(client, {"fail": 500})
    assert client.steer("PUT", "/programme", {"rules": []}) == {"rules": []}
    assert client.ask("GET", "/api/version")[0] == 200


# --- the journal ------------------------------------------------------------------------------------------------------


def test_an_entry_says_what_came_what_answered_and_what_struck(client: Client) -> None:
    [id_] = add(client, {"name": "short", "on": CHAT, "faults": ["drop_terminal_record()"]})
    client.ask("POST", CHAT, BODY)
    [entry] = client.steer("GET", "/journal?settled=true&wait=1")["entries"]
    assert (entry["id"], entry["connection"], entry["index"]) == (1, 1, 1)
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", CHAT, 200)
    assert (entry["body"], entry["body_encoding"]) == (BODY, "json")
    assert ["Content-Type", "application/json"] in entry["headers"]
    assert entry["programme_rules"] == [f"{id_} (short)"]
    assert (entry["faults"], entry["left_out"]) == (["drop_terminal_record()"], [])
    assert (entry["settled"], entry["ended"], entry["ended_by"]) == (True, "keep-open", "server")
    full = client.steer("GET", "/journal/1")
    sent = "".join(segment["data"] for segment in full["sent"])
    assert sent.startswith("HTTP/1.1 200 OK\r\n")
    assert entry["bytes_sent"] == len(sent.encode())
    assert entry["records_sent"] == sent.count('"done":')
    assert len(full["sent"]) == full["segments_planned"] == entry["segments_sent"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3, 4]),
        ("path=/api/*", [1, 2, 3, 4]),
        ("path=/api/chat", [2, 4]),
        ("method=post", [2, 3, 4]),
        ("method=GET&path=/api/chat", []),
        ("rule=busy", [4]),
        ("rule=r1", [4]),
        ("rule=model-missing", [3]),
        ("status=404", [3]),
        ("settled=true", [1, 2, 3, 4]),
        ("settled=false", []),
        ("after=2", [3, 4]),
        ("after=1&limit=1", [2]),
    ],
)
def test_the_journal_is_filtered(query: str, ids: list[int]) -> None:
    with FakeOllama(speed=0) as server:
        client = Client(server.port)
        add(client, {"name": "busy", "on": f"{CHAT} #2", "fail": 503})
        client.ask("GET", "/api/version")
        client.ask("POST", CHAT, BODY)
        client.ask("POST", GENERATE, {"model": "nosuch"})
        client.ask("POST", CHAT, BODY)
        assert server.journal.wait_until_settled()
        assert [entry["id"] for entry in client.steer("GET", f"/journal?{query}")["entries"]] == ids
        client.close()


@pytest.mark.parametrize("settled", ["", "&settled=true"])
def test_a_wait_ends_when_the_requests_are_there(settled: str, server: FakeOllama, client: Client) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.steer, "GET", f"/journal?path={CHAT}&wait=2&timeout=20{settled}")
        for path in (CHAT, GENERATE, CHAT):
            other = Client(server.port)
            other.ask("POST", path, BODY)
            other.close()
        entries = waiting.result(timeout=20)["entries"]
    assert [entry["path"] for entry in entries] == [CHAT, CHAT]
    assert all(entry["settled"] for entry in entries) or not settled


def test_a_wait_for_a_status_ends_while_the_stream_hangs(server: FakeOllama, client: Client) -> None:
    server.play("chat-stream", stall_at(after_record(1)))
    with socket.create_connection(("127.0.0.1", server.port)) as hanging:
        hanging.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        [entry] = client.steer("GET", "/journal?status=200&wait=1&timeout=20")["entries"]
        assert not entry["settled"]
    [entry] = client.steer("GET", "/journal?settled=true&wait=1&timeout=20")["entries"]
    assert entry["client_left_s"] > 0
    assert entry["records_sent"] == 1


def test_a_wait_in_vain_says_what_there_is(client: Client) -> None:
    client.ask("GET", "/api/version")
    answer = client.steer("GET", "/journal?wait=2&timeout=0", status=408)
    assert answer["error"].startswith("1 of 2 requests are there")
    assert [entry["id"] for entry in answer["entries"]] == [1]


def test_a_server_that_stops_does_not_wait_for_a_call_that_waits() -> None:
    with FakeOllama() as stopped, ThreadPoolExecutor() as pool:
        asked = threading.Event()
        real = stopped.journal.wait_for

        def noted(*arguments: Any, **named: Any) -> bool:
            asked.set()
            return real(*arguments, **named)

        stopped.journal.wait_for = noted  # type: ignore[method-assign]
        waits = Client(stopped.port)
        waiting = pool.submit(waits.steer, "GET", "/journal?wait=1&timeout=600", status=408)
        assert asked.wait(20)
        stopped.stop()
        failed = waiting.exception(timeout=20)  # the answer came just before the end, or the connection ended
        assert failed is None or isinstance(failed, http.client.RemoteDisconnected)
        waits.close()
        stopped.start()


@pytest.mark.parametrize(
    ("body", "shown", "encoding"),
    [
        (b"", None, None),
        (b'{"a": [1]}', {"a": [1]}, "json"),
        (b"NaN", "NaN", "text"),
        (b"1e999", "1e999", "text"),
        (b"[" * 400 + b"]" * 400, "[" * 400 + "]" * 400, "text"),
        (b"\xff\x00", "/wA=", "base64"),
    ],
)
def test_a_body_is_json_or_text_or_base64(
    body: bytes, shown: Any, encoding: str | None, server: FakeOllama, client: Client
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", CHAT, body)
    connection.getresponse().read()
    connection.close()
    entry = client.steer("GET", "/journal/1")
    assert (entry["body"], entry["body_encoding"]) == (shown, encoding)


def test_what_is_no_http_is_an_entry_without_a_method(server: FakeOllama, client: Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"\x16\x03\x01\r\n\r\n")
        [entry] = client.steer("GET", "/journal?wait=1")["entries"]
    assert (entry["method"], entry["path"], entry["headers"]) == (None, None, [])
    assert client.steer("GET", "/journal?path=*")["entries"] == []


def test_calls_are_in_no_journal_and_count_for_no_rule(server: FakeOllama, client: Client) -> None:
    add(client, {"on": "#2", "fail": 503})
    server.expect_request("/_harness/health").respond_with_data("not this")
    [client.steer("GET", "/health") for _ in range(3)]
    assert client.steer("GET", "/journal") == {"entries": [], "connections": 0}
    assert client.ask("GET", "/api/version")[0] == 200
    assert client.ask("GET", "/api/version")[0] == 503
    other = Client(server.port)
    other.steer("GET", "/health")
    journal = client.steer("GET", "/journal")
    assert [(entry["connection"], entry["index"]) for entry in journal["entries"]] == [(1, 1), (1, 2)]
    assert journal["connections"] == 1, "the first came with a call, and then brought requests; the other did not"
    other.close()


def test_ids_go_on_when_the_journal_is_cleared(client: Client) -> None:
    client.ask("GET", "/api/version")
    client.steer("DELETE", "/journal", status=204)
    client.ask("GET", "/api/version")
    assert [entry["id"] for entry in client.steer("GET", "/journal")["entries"]] == [2]
    assert "lists the ids" in client.steer("GET", "/journal/1", status=404)["error"]


def test_faults_of_the_server_strike_no_call() -> None:
    with FakeOllama(faults=[set_header("X-Struck", "1")]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        seen = []
        for path in ("/api/version", "/_harness/health"):
            connection.request("GET", path)
            response = connection.getresponse()
            seen.append(response.headers["X-Struck"])
            response.read()
        connection.close()
    assert seen == ["1", None]


@pytest.mark.parametrize("given", [{"listens": False}, {"faults": [close_on_accept()]}], ids=["refused", "closed"])
def test_a_port_of_its_own_is_there_whatever_strikes_the_other(given: dict[str, Any]) -> None:
    with FakeOllama(control_port=0, **given) as server:
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            Client(server.port).steer("GET", "/health")
        assert server.control_url is not None
        port = int(server.control_url.removesuffix("/_harness").rpartition(":")[2])
        client = Client(port)
        assert client.steer("GET", "/health")["url"] == server.url
        assert client.ask("GET", "/api/version")[0] == 404
        client.close()
    with pytest.raises(ConnectionError):
        Client(port).steer("GET", "/health")


# --- verify -----------------------------------------------------------------------------------------------------------


def test_verify_is_well_when_each_rule_was_needed(client: Client) -> None:
    assert client.steer("GET", "/verify")["ok"]
    add(client, {"on": CHAT, "fail": 503})
    client.ask("POST", CHAT, BODY)
    client.ask("GET", "/api/version")
    found = client.steer("GET", "/verify")
    assert (found["ok"], found["message"], found["requests_without_rule"]) == (True, [], [2])
    found = client.steer("GET", "/verify?strict=true")
    assert (found["ok"], found["message"]) == (False, ["request 2 (GET /api/version) met no rule"])


@pytest.mark.parametrize(
    ("when", "difference"),
    [
        ({"path": GENERATE}, 'path: "/api/generate", and not "/api/chat"'),
        ({"path": CHAT, "method": "PUT"}, 'method: "PUT", and not "POST"'),
        ({"path": CHAT, "headers": {"X-Try": "1"}}, 'headers: {"X-Try": "1"}'),
        ({"path": CHAT, "model": "llama*"}, 'model: "llama*", and not "smollm2:135m"'),
        ({"path": CHAT, "stream": False}, "stream: false, and not true"),
        ({"path": CHAT, "json": {"options": {"seed": 1}}}, 'json: {"options": {"seed": 1}}'),
    ],
)
def test_verify_names_the_first_difference_of_the_nearest_request(
    when: dict[str, Any], difference: str, client: Client
) -> None:
    [id_] = add(client, {"name": "mine", "when": when, "fail": 503})
    client.ask("GET", "/api/version")
    client.ask("POST", CHAT, BODY)
    found = client.steer("GET", "/verify")
    assert (found["ok"], found["rules_never_met"]) == (False, [f"{id_} (mine)"])
    if "path" in when and when["path"] == CHAT:
        assert f"2 (POST {CHAT}) is the nearest; the rule wants another {difference}" in found["message"][0]
    else:
        assert f"the rule wants another {difference}" in found["message"][0]


def test_verify_finds_what_was_met_and_did_nothing(server: FakeOllama, client: Client) -> None:
    add(client, {"on": f"{CHAT} #2", "fail": 503})
    add(
        client,
        {"on": CHAT, "faults": ["cut_at(after_record(999))"]} if False else {"on": CHAT, "every": 9, "fail": 500},
    )
    client.ask("POST", CHAT, BODY)
    found = client.steer("GET", "/verify")
    assert found["rules_met_but_unused"] == ["r2", "r1"]
    assert found["message"] == [
        "r2 was met once, and did nothing: it is for each 9th of them",
        "r1 was met once, and did nothing: it is for request #2 of them",
    ]


def test_verify_lists_what_nothing_answered_and_rules_faults_that_struck_nothing() -> None:
    """A fault of the whole server strikes what it can."""
    with FakeOllama(speed=0, faults=[drop_terminal_record()]) as server:
        server.reply("x", path=GENERATE, faults=[close_at(after_record(99))])
        server.fail(500, "x", path=CHAT, when=lambda request: request.json["nosuch"])
        client = Client(server.port)
        asked = [client.ask("POST", CHAT, BODY), client.ask("POST", GENERATE, BODY | {"prompt": "x"})]
        client.ask("GET", "/api/version")
        found = client.steer("GET", "/verify")
        client.close()
    assert [status for status, _ in asked] == [501, 200]
    assert (found["ok"], found["requests_unanswered"]) == (False, [1])
    assert found["message"][1].startswith(f"request 1 (POST {CHAT}) was not answered: the `when` of a ")
    [left_out] = found["faults_left_out"]
    assert left_out.startswith("close_at(after_record(99)) was left out: ")


def test_python_gets_the_same_value(server: FakeOllama, client: Client) -> None:
    server.programme = Programme((ProgrammeRule(when=When(path=CHAT), answer=own_reply(text="x"), source="mine"),))
    client.ask("GET", "/api/version")
    found = server.verify(strict=True)
    assert found.as_json() == client.steer("GET", "/verify?strict=true")
    assert found.rules_never_met == ("r1 (mine)",)
    assert not found.ok


def test_an_answer_to_head_has_no_body(server: FakeOllama) -> None:
    with connect(server.port) as sock:
        sock.sendall(b"HEAD /_harness/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = read_to_end(sock).data
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


# --- who may use it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebound.example"},
        {"Host": "rebound.example:11434"},
        {"Host": "127.0.0.1.example"},
        {"Host": "[2001:db8::1]"},
        {"Host": ""},
    ],
    ids=lambda headers: " ".join(*headers.items()),
)
def test_no_web_page_can_use_it(headers: dict[str, str], client: Client) -> None:
    add(client, {"on": "/x", "fail": 500})
    client.steer("POST", "/reset", status=403, **headers)
    assert client.steer("GET", "/programme")["rules"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:80", "::1"])
def test_this_machine_may_use_it_by_any_name_of_its_own(host: str, client: Client) -> None:
    assert client.steer("GET", "/health", Host=host)["status"] == "ok"


def test_a_body_that_a_page_could_send_without_asking_is_refused(client: Client) -> None:
    error = client.steer("PUT", "/programme", {"rules": []}, status=415, **{"Content-Type": "text/plain"})["error"]
    assert error.endswith("send Content-Type: application/json")


@pytest.mark.parametrize("given", [None, "Bearer ", "Bearer wrong", "secret", "Basic secret", "Bearer s\u00e9cret"])
def test_a_token_is_needed_where_there_is_one(given: str | None) -> None:
    with FakeOllama(control_token="secret") as server:
        client = Client(server.port, **({} if given is None else {"Authorization": given}))
        assert "--control-token" in client.steer("GET", "/health", status=401)["error"]
        authorized = {"Authorization": "Bearer secret"}
        assert client.steer("GET", "/health", Host="fake", **authorized)["status"] == "ok"
        client.steer("GET", "/health", status=403, Origin="http://fake", **authorized)
        client.close()


@pytest.mark.parametrize(
    "given", [{"control": False}, {"host": "0.0.0.0"}], ids=["not wanted", "other machines can reach it"]
)
def test_where_it_is_off_ollama_answers(given: dict[str, Any]) -> None:
    with FakeOllama(**given) as server:
        assert server.control_url is None
        client = Client(server.port)
        assert client.ask("GET", "/_harness/health") == (404, b"404 page not found")
        client.close()


@pytest.mark.parametrize(
    "given", [{"control_token": ""}, {"control_token": "a b"}, {"control_port": 0, "host": "0.0.0.0"}]
)
def test_what_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="token"):
        FakeOllama(**given)


def test_what_is_a_loopback_address() -> None:
    assert [is_loopback(one) for one in ("127.0.0.1", "::1", "localhost", "127.0.0.1.example", "0.0.0.0", "")] == [
        *(True,) * 3,
        *(False,) * 3,
    ]
