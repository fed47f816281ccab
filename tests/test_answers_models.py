"""Models that are there, missing or unable, and the endpoints that manage them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import RULES, Answer, Asked, Step, World, answer, parse_model, world_of
from ollama_harness.answers.go.go_strconv import quote
from ollama_harness.answers.model_name import parse_name
from ollama_harness.answers.requests.model_use import Use, missing_model, unable_model
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store
from ollama_harness.script.script import http_date

pytestmark = pytest.mark.same_everywhere

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
STORE = packaged_store()

MANAGED = ("show-", "pull-", "push-", "create-", "copy-", "delete-")
USED = ("chat-model-", "generate-model-", "embed-model-", "embeddings-model-")
#: What was asked of names that a request before may have made: either answer is right (fixtures/requests/again.md).
OPEN = tuple(
    f"{what}-model-{name}"
    for what in ("copy", "delete", "show")
    for name in ("unknown", "unknown-tag", "cloud", "no-tag")
)
#: The rules whose examples are shown here.
OURS = {
    *("manage-body", "model-missing", "model-unable", "show-missing", "show", "tags", "v1-models", "v1-model"),
    *("ps", "copy", "delete", "pull", "pulled", "push", "create", "blob"),
    *("root", "version", "status", "me", "images-of-text"),
}


@cache
def world(version: str) -> World:
    return world_of(STORE.of_version(version), version)


@cache
def requests(version: str) -> dict[str, dict[str, Any]]:
    lines = (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()
    return {one["id"]: one for one in map(json.loads, lines)}


def asked_of(one: Mapping[str, Any]) -> Asked:
    sent = one["request"]
    headers = tuple((name, value) for name, value in sent["headers"])
    return Asked(method=sent["method"], target=sent["target"], headers=headers, body=(sent["body"] or "").encode())


def asked_again(recording: Recording) -> Asked:
    request = recording.request
    return Asked(method=request.method, target=request.path, headers=request.headers, body=request.content or b"")


def post(path: str, method: str = "POST", **fields: Any) -> Asked:
    return Asked(method=method, target=path, body=json.dumps(fields).encode())


def said(given: Answer | None) -> tuple[int, Any]:
    """Status and body: an object, or the records of a stream."""
    assert given is not None
    records = [json.loads(line) for line in given.reply.body.splitlines()]
    return given.reply.status, records[0] if len(records) == 1 else records


def wire(given: Answer, method: str) -> tuple[int, list[str], str]:
    rendered = given.reply.script(method).render(date=http_date())
    head, _, body = b"".join(segment.data for segment in rendered.segments).decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), [line for line in lines if not line.startswith("Date")], body


def recorded_answers(version: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for id_, one in requests(version).items():
        kind = id_.startswith(USED) or (id_.startswith(MANAGED) and "-method-" not in id_)
        guarded = one["status"] in (301, 307, 405) or one["body"] == "404 page not found"
        decoded = "cannot unmarshal" in one["body"] and not id_.startswith(MANAGED)
        if kind and one["end"] == "complete" and not (guarded or decoded or id_ in OPEN or len(one["body"]) > 1900):
            yield id_, one


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_servers_answers_come_out_of_rules(version: str) -> None:
    recorded = dict(recorded_answers(version))
    assert recorded
    assert {id_: sent(asked_of(one), world(version)) for id_, one in recorded.items()} == {
        id_: comparable(one["status"], one["headers"], one["body"]) for id_, one in recorded.items()
    }


def sent(asked: Asked, world: World) -> tuple[int, list[str], str | list[str]] | None:
    given = answer(asked, world)
    if given is None:
        return None
    status, lines, body = wire(given, asked.method)
    return status, lines, records(body) if status == 200 else body


def comparable(status: int, headers: Any, body: str) -> tuple[int, list[str], str | list[str]]:
    lines = [": ".join(header) for header in headers if header[0] != "Date"]
    return status, lines, records(body) if status == 200 else body


def records(body: str) -> list[str]:
    """The records of a stream without their digests and layers, of which that server had others; the keys of a model.

    Their lengths are not those of the body: the folder of the models had another name.
    """
    lines = [re.sub(r"[0-9a-f]{64}", "SHA", line) for line in body.splitlines() if line[:1] == "{"]
    return [line[:14] if line.startswith('{"modelfile"') else line for line in lines if " layer SHA" not in line]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_examples_of_a_rule_get_it(version: str) -> None:
    """In older versions, some are answered by no rule; by another one, in none."""
    by_name = {one.name: asked_again(one) for one in STORE.of_version(version)}
    expected = {(rule, id_): rule for rule in OURS if RULES[rule].holds_in(version) for id_ in RULES[rule].examples}
    with_examples = {rule for rule in OURS if RULES[rule].examples and RULES[rule].holds_in(version)}
    assert {rule for rule, _ in expected} == with_examples or version != VERSIONS[-1]
    got = {}
    for rule, id_ in expected:
        given = answer(by_name.get(id_) or asked_of(requests(version)[id_]), world(version))
        got[rule, id_] = given.rule.id if given else "" if version == VERSIONS[-1] else rule
    assert expected
    assert got == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_good_requests_are_left_to_the_recordings(version: str) -> None:
    names = ("generate-stream", "chat-stream", "chat-tools-stream", "chat-think-stream", "embed-many")
    recorded = [STORE.get(f"{version}/{name}") for name in names]
    good = [one for one in recorded if one.response.status < 300]
    assert good
    assert {one.name: answer(asked_again(one), world(version)) for one in good} == {one.name: None for one in good}
    steps = tuple(step for step in Step if step is not Step.ANSWER)
    assert answer(asked_again(STORE.get(f"{version}/pull-stream")), world(version), steps=steps) is None


ERRORS = [
    *("error-chat-model-missing", "error-chat-model-not-found", "error-chat-model-invalid"),
    *("error-generate-model-missing", "error-generate-model-not-found", "error-generate-model-invalid"),
    *("error-embed-model-missing", "error-embed-model-not-found", "error-embed-model-invalid"),
    *("error-embeddings-model-missing", "error-embeddings-model-not-found", "error-embeddings-model-invalid"),
    *("show-missing", "copy-missing", "delete-missing", "push-missing", "create-nothing", "create-from-missing"),
    *(
        "pull-missing",
        "pull-missing-nonstream",
        "pull-refused",
        "pull-insecure-forbidden",
        "chat-tools-unsupported",
    ),
    *("blob-head-missing", "generate-suffix"),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_errors_come_out_of_rules(version: str) -> None:
    got: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    for name in ERRORS:
        recording = STORE.get(f"{version}/{name}")
        asked = asked_again(recording)
        if name.startswith("blob"):
            asked = Asked(method="HEAD", target=recording.request.path)
        given = answer(asked, world(version))
        got[name] = given and (*wire(given, asked.method)[:2], asked.method == "HEAD" or given.reply.body)
        lines = [f"{key}: {value}" for key, value in recording.response.headers if key != "Date"]
        expected[name] = (recording.response.status, lines, asked.method == "HEAD" or recording.body)
    assert sorted(got) == sorted(ERRORS)
    assert got == expected


# --- a program's life -------------------------------------------------------------------------------------------------


def names(world: World) -> list[str]:
    status, body = said(answer(Asked(method="GET", target="/api/tags"), world))
    assert status == 200
    return [model["name"] for model in body["models"]]


def recorded_names(version: str) -> list[str]:
    return [model["name"] for model in json.loads(STORE.get(f"{version}/tags").body)["models"]]


def done(asked: Asked, world: World) -> World:
    given = answer(asked, world)
    assert given is not None
    assert given.reply.status in (200, 201)
    assert given.reply.world is not None
    return given.reply.world


@pytest.mark.parametrize("version", VERSIONS)
def test_a_copied_model_is_there_until_it_is_deleted(version: str) -> None:
    first = world(version)
    copied = done(post("/api/copy", source="SMOLLM2:135M", destination="mine"), first)
    assert names(copied)[0] == "mine:latest"
    assert sorted(names(copied)) == sorted([*recorded_names(version), "mine:latest"])
    assert answer(post("/api/chat", model="mine", messages=[]), copied) is None
    status, shown = said(answer(post("/api/show", model="", name="Mine"), copied))
    assert (status, "# FROM mine:latest" in shown["modelfile"]) == (200, True)
    deleted = done(post("/api/delete", "DELETE", model="mine"), copied)
    assert sorted(names(deleted)) == sorted(recorded_names(version))
    assert said(answer(post("/api/delete", "DELETE", model="mine"), deleted))[0] == 404
    assert said(answer(post("/api/chat", model="mine", messages=[]), deleted))[0] == 404


@pytest.mark.parametrize("version", VERSIONS)
def test_a_made_model_has_what_was_asked_for(version: str) -> None:
    request: dict[str, Any] = {"from": "smollm2:135m", "system": "You are terse.", "parameters": {"temperature": 0.1}}
    asked = post("/api/create", model="made", **request)
    made = done(asked, world(version))
    created = answer(asked, world(version))
    assert created is not None
    # The layers of the model are those of the machine that a recording was made on.
    digests = re.compile(rb"[0-9a-f]{12,64}")
    assert digests.sub(b"SHA", created.reply.body) == digests.sub(b"SHA", STORE.get(f"{version}/create-stream").body)
    shown = said(answer(post("/api/show", model="made"), made))[1]
    assert shown["system"] == "You are terse."
    assert "SYSTEM You are terse.\n" in shown["modelfile"]
    assert "PARAMETER temperature 0.1\n" in shown["modelfile"]
    assert said(answer(post("/api/create", model="made", stream=False, **request), world(version))) == (
        200,
        {"status": "success"},
    )


def test_a_template_makes_a_model_able() -> None:
    template = "{{ .Tools }}{{ .Prompt }}"
    made = done(post("/api/create", model="t", template=template, **{"from": "smollm2:135m"}), world("0.32.15"))
    asked = post("/api/chat", model="t", messages=[], tools=[{"type": "function"}])
    assert answer(asked, made) is None
    asked = post("/api/chat", model="smollm2:135m", messages=[], tools=[{"type": "function"}])
    assert said(answer(asked, made))[0] == 400


def test_an_uploaded_file_is_there_afterwards() -> None:
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    upload = Asked(method="POST", target=f"/api/blobs/{digest}", body=b"{}")
    there = Asked(method="HEAD", target=f"/api/blobs/{digest}")
    first = world("0.32.15")
    assert answer(there, first).reply.status == 404  # type: ignore[union-attr]
    assert answer(upload, first).reply.status == 201  # type: ignore[union-attr]
    uploaded = done(upload, first)
    assert answer(there, uploaded).reply.status == 200  # type: ignore[union-attr]
    assert answer(upload, uploaded).reply.status == 200  # type: ignore[union-attr]


def test_the_lists_of_a_changed_world_are_in_openais_shape_too() -> None:
    copied = done(post("/api/copy", source="smollm2:135m", destination="me/mine"), world("0.32.15"))
    listed = said(answer(Asked(method="GET", target="/v1/models"), copied))[1]
    assert listed["data"][0]["id"] == "me/mine:latest"
    assert listed["data"][0]["owned_by"] == "me"
    status, missing = said(answer(Asked(method="GET", target="/v1/models/nosuch"), copied))
    assert (status, missing["error"]["type"]) == (404, "not_found_error")


# --- names and abilities ----------------------------------------------------------------------------------------------


def test_the_web_is_not_searched_without_a_cloud() -> None:
    path = "/api/experimental/web_search"
    refused = (403, {"error": "ollama cloud is disabled: web search is unavailable"})
    assert said(answer(post(path, query="x"), world("0.24.0"))) == refused
    empty = Asked(method="POST", target=path, body=b"")
    assert said(answer(empty, world("0.24.0"))) == (400, {"error": "missing request body"})
    with_cloud = World(version="0.24.0", cloud=True)
    assert answer(post(path, query="x"), with_cloud) is None


def test_only_these_models_are_there() -> None:
    whole = world("0.32.15")
    only = whole.only(whole.model("smollm2:135m"), whole.model("new", "tools"))
    assert sorted(names(only)) == ["new:latest", "smollm2:135m"]
    assert missing_model(Use.CHAT, "new", only) is None
    assert missing_model(Use.CHAT, "smollm2-tools:135m", only) is not None
    assert unable_model(Use.CHAT, "new", only, tools=True) is None
    assert unable_model(Use.CHAT, "new", only, thinking=True) is not None
    assert names(whole.only()) == []


def test_with_any_model_every_name_of_one_is_there() -> None:
    anything = world_of(STORE.of_version("0.32.15"), "0.32.15", any_model=True)
    assert missing_model(Use.CHAT, "nosuch", anything) is None
    assert missing_model(Use.CHAT, "no such", anything) is not None
    assert unable_model(Use.CHAT, "nosuch", anything, tools=True, thinking=True) is None


@pytest.mark.parametrize("version", ["0.5.7", "0.32.15"])
def test_with_any_model_a_deleted_one_is_gone_until_it_is_made_again(version: str) -> None:
    anything = world_of(STORE.of_version(version), version, any_model=True)
    model = anything.there(parse_name("llama3.2"))
    assert model is not None
    gone = anything.without(model)
    failure = missing_model(Use.CHAT, "llama3.2:latest", gone)
    assert (failure is not None and failure.status, gone.there(parse_name("LLAMA3.2"))) == (404, None)
    assert missing_model(Use.CHAT, "llama3.1", gone) is None
    assert missing_model(Use.CHAT, "llama3.2", gone.with_model(model)) is None


@pytest.mark.parametrize(
    ("text", "model"), [("m", ("m", ())), ("m:7b=tools, thinking", ("m:7b", ("tools", "thinking"))), ("m=", ("m", ()))]
)
def test_a_model_is_read_from_the_command_line(text: str, model: tuple[str, tuple[str, ...]]) -> None:
    assert parse_model(text) == model


@pytest.mark.parametrize("text", ["", "=tools", "a b", "m=flying"])
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no (name|capability)"):
        parse_model(text)


QUOTED: list[tuple[str, str]] = [
    ("a", '"a"'),
    ('"\\', '"\\"\\\\"'),
    ("\x00\n\x7f", '"\\x00\\n\\x7f"'),
    ("è", '"è"'),
    ("\u200b", '"\\u200b"'),
]


def test_go_quotes_what_cannot_be_printed() -> None:
    assert [(text, quote(text)) for text, _ in QUOTED] == QUOTED


PATHS = ("/api/show", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/chat", "/api/embeddings")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    ["model", "name", "from", "files", "source", "destination", "insecure", "stream", "tools", "parameters", "template"]
)
BODIES = st.binary(max_size=40) | st.dictionaries(FIELDS, VALUES, max_size=4).map(lambda one: json.dumps(one).encode())


@A_FEW
@given(path=st.sampled_from(PATHS), body=BODIES, version=st.sampled_from(VERSIONS))
def test_any_bytes_get_an_answer_or_none(path: str, body: bytes, version: str) -> None:
    asked = Asked(method="POST", target=path, body=body)
    given = answer(asked, world(version))
    assert given is None or wire(given, "POST")[0] in range(200, 504)
    assert given == answer(asked, world(version))
