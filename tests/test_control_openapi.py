"""The control API is what its OpenAPI file says: each status there is real, and nothing else is answered."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness import FakeOllama
from ollama_harness.matrix.served_scenario import ServedScenarios
from ollama_harness.server.control.control import openapi

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent
API = openapi()
OPERATIONS = {(method.upper(), path): value for path, item in API["paths"].items() for method, value in item.items()}
PAIRS = [(method, path, int(status)) for (method, path), one in OPERATIONS.items() for status in one["responses"]]
TOO_LARGE = {"Content-Length": str(2**30), "Content-Type": "application/json"}
RULE = {"rules": [{"on": "/x", "fail": "503: busy"}]}

#: What gets a status that not each call has in the same way: the path, and the body.
EXAMPLES: dict[tuple[str, str, int], tuple[str, Any]] = {
    ("PUT", "/_harness/programme", 200): ("/_harness/programme", RULE),
    ("POST", "/_harness/programme/rules", 201): ("/_harness/programme/rules?at=end", RULE["rules"][0]),
    ("DELETE", "/_harness/programme/rules/{id}", 204): ("/_harness/programme/rules/r1", None),
    ("DELETE", "/_harness/programme/rules/{id}", 404): ("/_harness/programme/rules/r9", None),
    ("GET", "/_harness/journal", 408): ("/_harness/journal?wait=9&timeout=0", None),
    ("GET", "/_harness/journal/{id}", 200): ("/_harness/journal/1", None),
    ("GET", "/_harness/journal/{id}", 404): ("/_harness/journal/9", None),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    with FakeOllama(speed=0, scenarios=ServedScenarios) as server:
        yield server


def call(port: int, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"] or "", response.read()
    finally:
        connection.close()


def check(operation: dict[str, Any], status: int, media_type: str, data: bytes) -> None:
    """An answer is one that the operation documents."""
    assert str(status) in operation["responses"], data
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = API["components"]["responses"][response["$ref"].rpartition("/")[2]]
    assert bool(data) == ("content" in response)
    if data:
        assert media_type == "application/json"
        schema = {**response["content"]["application/json"]["schema"], "components": API["components"]}
        jsonschema.validate(json.loads(data), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(("method", "path", "status"), PAIRS, ids=lambda value: str(value))
def test_each_status_in_the_file_is_real(method: str, path: str, status: int, server: FakeOllama) -> None:
    with FakeOllama(speed=0, control_token="secret") if status == 401 else FakeOllama(speed=0) as server:
        server.fail(500, "x", times=1)
        call(server.port, "POST", "/api/chat", b"{}", {})
        target, body = EXAMPLES.get((method, path, status), (path.replace("{id}", "1"), None))
        headers = (
            {"Content-Type": "application/json"} if body is not None or "put post".find(method.lower()) >= 0 else {}
        )
        match status:
            case 400:
                target += "?nosuch=1"
            case 403:
                headers["Origin"] = "http://localhost"
            case 413:
                headers = TOO_LARGE
            case 415:
                headers["Content-Type"] = "text/plain"
        sent = None if body is None or status == 413 else json.dumps(body).encode()
        seen, media_type, data = call(server.port, method, target, sent, headers)
    assert seen == status, data
    check(OPERATIONS[method, path], seen, media_type, data)


# --- any request ------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FAULTS = [
    "close_at(after_record(1))",
    "drop_terminal_record()",
    "reset_on_accept()",
    "close_at(",
    "set_header('A', '1')",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "on": st.sampled_from(["POST /api/chat #2", "/v1/*", "#0", "x y"]),
    "when": st.fixed_dictionaries({}, optional={"path": TEXT, "method": TEXT, "json": JSON, "model": TEXT}),
    "play": st.sampled_from(["chat-stream", "nope", "!chat-stream", ["version", "chat-stream"]]),
    "reply": TEXT | st.fixed_dictionaries({}, optional={"text": TEXT, "json": JSON, "tool_calls": JSON}),
    "embed": st.lists(st.lists(st.floats(), max_size=2), max_size=2),
    "fail": st.sampled_from([503, 99, "503: busy", "x", {"status": 500}]),
    "faults": st.sampled_from(FAULTS) | st.lists(st.sampled_from(FAULTS), max_size=2),
}
KEYS = st.sampled_from([*API["components"]["schemas"]["Rule"]["properties"], "nosuch"])


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(KEYS, max_size=3, unique=True))
    return {key: draw(VALUES.get(key, JSON) | JSON) for key in keys}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, str, bytes | None]:
    """An operation, its target with any values for its parameters, and a body."""
    method, path = draw(st.sampled_from(sorted(OPERATIONS)))
    operation = OPERATIONS[method, path]
    target = path.replace("{id}", quote(draw(st.sampled_from(["1", "r1", "0"]) | TEXT.filter(bool)), safe=""))
    known = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    values = st.sampled_from(["0", "1", "true", "end", "POST", "/api/*", "-1", "9" * 30]) | TEXT
    query = draw(st.dictionaries(st.sampled_from(sorted(known)), values, max_size=4)) if known else {}
    if "wait" in query:
        query["timeout"] = "0"
    body = None
    if "requestBody" in operation:
        value = draw(JSON | rules() | st.fixed_dictionaries({"rules": st.lists(rules(), max_size=2)}))
        body = draw(st.just(json.dumps(value).encode()) | st.binary(max_size=8))
    return method, path, f"{target}?{urlencode(query)}" if query else target, body


@A_FEW
@given(st.lists(calls(), min_size=1, max_size=6))
def test_any_call_gets_an_answer_that_the_file_has(server: FakeOllama, sequence: list[Any]) -> None:
    call(server.port, "POST", "/api/chat", b"{", {})
    statuses = []
    for method, path, target, body in sequence:
        seen = call(server.port, method, target, body, {} if body is None else {"Content-Type": "application/json"})
        check(OPERATIONS[method, path], *seen)
        statuses.append(seen[0])
    assert max(statuses) < 500


@given(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]), TEXT)
def test_any_other_path_is_not_there(server: FakeOllama, method: str, text: str) -> None:
    status, media_type, data = call(server.port, method, f"/_harness/{quote(text, safe='')}/x/y/z", None, {})
    assert (status, media_type) == (404, "application/json")
    assert method == "HEAD" or json.loads(data)["error"]


def test_the_keys_of_a_rule_are_those_of_a_file_and_the_short_form() -> None:
    schema = json.loads((ROOT / "docs" / "programme.schema.json").read_text("utf-8"))
    shown = {"id", "met", "used", "left"}
    keys = set(API["components"]["schemas"]["Rule"]["properties"]) - shown
    assert keys == {*schema["$defs"]["rule"]["properties"], "on"}
    assert set(API["components"]["schemas"]["RunningRule"]["properties"]) == keys - {"on"} | shown | {"script"}
