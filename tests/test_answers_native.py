"""Requests to /api/chat, generate, embed and embeddings, decoded and validated as Ollama does it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import RULES, Answer, Asked, Model, Step, World, answer, world_of
from ollama_harness.answers.go.go_json import decode
from ollama_harness.answers.go.go_types import (
    ANY,
    FLOAT32,
    INT,
    RAW,
    STRING,
    UINT8,
    Bytes,
    ErrorKind,
    Field,
    GoError,
    GoSlice,
    Map,
    Pointer,
    Struct,
    fields,
)
from ollama_harness.answers.requests.native_types import parse_duration, request_type
from ollama_harness.answers.rules.native_model import option_error
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
OLDER, NEWER = "0.12.11", "0.24.0"
STORE = packaged_store()
PATHS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")
STEPS = (Step.REQUEST, Step.MODEL)

#: What another module answers (methods, paths), and what depends on the machine (fixtures/requests/again.md).
ELSEWHERE = ("-method-", "-slash", "-double", "-upper", "-query", "-options-big")
OURS = {name for name in RULES if name.startswith("native-")} | {"model-missing", "model-unable"}
#: Shown by hand below: nothing recorded gets them.
UNRECORDED = {"native-chat-unload-unknown", "native-think-level", "native-schema"}


@cache
def requests(version: str) -> dict[str, dict[str, Any]]:
    lines = (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()
    return {one["id"]: one for one in map(json.loads, lines)}


@cache
def world(version: str) -> World:
    return world_of(STORE.of_version(version), version)


#: The models of the servers that were asked.
MODELS = {
    "smollm2:135m": {"completion"},
    "smollm2-tools:135m": {"completion", "tools"},
    "smollm2-think:135m": {"completion", "thinking"},
    "smollm2-embed:135m": {"embedding"},
}


def asked_world(version: str, **more: Any) -> World:
    models = {name: Model(name=name, capabilities=frozenset(words)) for name, words in MODELS.items()}
    return World(version=version, models=models, **more)


def asked_of(one: dict[str, Any]) -> Asked:
    sent = one["request"]
    headers = tuple((name, value) for name, value in sent["headers"])
    return Asked(method=sent["method"], target=sent["target"], headers=headers, body=(sent["body"] or "").encode())


def post(path: str, **fields_: Any) -> Asked:
    return Asked(method="POST", target=path, body=json.dumps(fields_).encode())


def chat(**fields_: Any) -> Asked:
    return post("/api/chat", **{"model": "smollm2:135m", "messages": [{"role": "user", "content": "Hi"}], **fields_})


def generate(**fields_: Any) -> Asked:
    return post("/api/generate", **{"model": "smollm2:135m", "prompt": "Hi", **fields_})


def said(given_: Answer | None) -> tuple[int, str] | None:
    return None if given_ is None else (given_.reply.status, json.loads(given_.reply.body)["error"])


def first_chunk(one: dict[str, Any]) -> tuple[str, bool]:
    body = one["body"]
    if not any(name == "Transfer-Encoding" for name, _ in one["headers"]):
        return body, False
    length, _, rest = body.partition("\r\n")
    return rest[: int(length, 16)], True


def asked_by_id(version: str) -> dict[str, dict[str, Any]]:
    found = {}
    for id_, one in requests(version).items():
        is_ours = one["request"]["target"] in PATHS and one["request"]["raw"] is None
        if is_ours and not any(word in id_ for word in ELSEWHERE) and id_.partition("-")[0] in _KINDS:
            found[id_] = one
    return found


Said = tuple[int, str, list[str], bool]


def said_by_rule(asked: Asked, version: str) -> Said | None:
    """Status, body and names of the head of what refuses a request, and whether it comes in chunks."""
    given_ = answer(asked, asked_world(version), steps=STEPS)
    if given_ is None:
        return None
    first = given_.reply.script("POST").segments[0].parts[0]
    names = [name for name, _ in first.headers]  # type: ignore[union-attr]
    return (
        given_.reply.status,
        given_.reply.body.decode().encode().decode("latin-1"),
        names,
        "Transfer-Encoding" in names,
    )


def said_by_server(one: dict[str, Any]) -> Said | None:
    """The same of a real server's answer; None if it refused nothing."""
    body, is_chunked = first_chunk(one)
    if one["status"] < 400 and not body.startswith('{"error"'):
        return None
    return one["status"], body, [name for name, _ in one["headers"]], is_chunked


_KINDS = {path.removeprefix("/api/") for path in PATHS}


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_requests_get_their_refusals_and_good_ones_none(version: str) -> None:
    expected = {id_: said_by_server(one) for id_, one in asked_by_id(version).items()}
    assert any(expected.values())
    assert not all(expected.values())
    assert {id_: said_by_rule(asked_of(one), version) for id_, one in asked_by_id(version).items()} == expected


def error_recordings(version: str) -> dict[str, Recording]:
    return {
        one.name: one
        for one in STORE.of_version(version)
        if one.name.startswith("error-")
        and one.request.path in PATHS
        and one.request.method == "POST"
        and (one.response.status >= 400 or one.body.startswith(b'{"error"'))
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_errors_come_out_of_rules(version: str) -> None:
    recorded = error_recordings(version)
    assert recorded
    got = {}
    for name, one in recorded.items():
        request = one.request
        asked = Asked(method="POST", target=request.path, headers=request.headers, body=request.content or b"")
        given_ = answer(asked, world(version), steps=STEPS)
        got[name] = given_ and (given_.reply.status, given_.reply.body)
    assert got == {name: (one.response.status, one.body) for name, one in recorded.items()}


@cache
def rules_of(name: str) -> set[str]:
    """The rules that a recorded request or exchange gets, over the versions."""
    found = set()
    for version in VERSIONS:
        if name in requests(version):
            given_ = answer(asked_of(requests(version)[name]), asked_world(version), steps=STEPS)
            found.add(given_.rule.id if given_ else "")
        for one in STORE.of_version(version):
            if one.name == name:
                asked = Asked(method="POST", target=one.request.path, body=one.request.content or b"")
                given_ = answer(asked, world(version), steps=STEPS)
                found.add(given_.rule.id if given_ else "")
    return found


def test_the_examples_of_a_rule_get_it() -> None:
    examples = {rule: RULES[rule].examples for rule in OURS - UNRECORDED}
    assert examples
    assert [rule for rule in examples if examples[rule]] == list(examples)
    assert {
        rule: tuple(name for name in names if rule in rules_of(name)) for rule, names in examples.items()
    } == examples


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plain_request_is_not_refused(version: str) -> None:
    given_ = [
        answer(asked, asked_world(version), steps=STEPS)
        for asked in (
            chat(),
            chat(messages=[]),
            chat(messages=[], keep_alive=0),
            chat(keep_alive="1.5h", options={"num_ctx": 8, "nosuch": "x", "stop": ["a"], "seed": None}),
            generate(format="json", think=False),
            generate(context=[1, 2], stream=False),
            post("/api/embed", model="smollm2-embed:135m", input=["a", "b"]),
            post("/api/embeddings", model="smollm2-embed:135m", prompt="a"),
        )
    ]
    assert given_ == [None] * len(given_)


# --- what nothing recorded shows --------------------------------------------------------------------------------------


def test_unloading_an_unknown_model_by_chat_looks_for_it_first() -> None:
    asked = chat(model="nosuch", messages=[], keep_alive=0)
    not_found = (404, "model 'nosuch' not found")
    assert said(answer(asked, asked_world("0.9.6"), steps=STEPS)) == not_found
    assert said(answer(chat(model="nosuch"), asked_world("0.9.6"), steps=STEPS)) != not_found


def test_a_level_of_thinking_was_for_some_models_only() -> None:
    refused = (400, 'think value "high" is not supported for this model')
    asked = chat(model="smollm2-think:135m", think="high")
    assert said(answer(asked, asked_world("0.12.11"), steps=STEPS)) == refused
    assert answer(asked, asked_world("0.24.0"), steps=STEPS) is None


@pytest.mark.parametrize(
    ("version", "after", "is_refused"), [("0.9.6", "500ms", False), ("0.24.0", "500ms", True), ("0.24.0", 0, False)]
)
def test_what_unloads_is_not_looked_at_further(version: str, after: Any, is_refused: bool) -> None:
    asked = post("/api/generate", model="smollm2:135m", keep_alive=after, options={"seed": "x"})
    assert (answer(asked, asked_world(version), steps=STEPS) is not None) == is_refused


def test_with_any_model_an_unknown_one_can_do_everything() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    asked = chat(model="llama3.3", tools=[tool], think=True)
    assert said(answer(asked, asked_world("0.24.0"), steps=STEPS)) == (404, "model 'llama3.3' not found")
    assert answer(asked, asked_world("0.24.0", any_model=True), steps=STEPS) is None


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{ .Nope", "template: :1: unclosed action"),
        ("{{ .Prompt }}\n{{ .Nope", "template: :2: unclosed action"),
        ("{{ .Prompt }}", None),
        ("}}", None),
        ("x{{end}}", "template: :1: unexpected {{end}}"),
        ("{{ else }}", "template: :1: unexpected {{else}}"),
        ("{{- if .System -}}x", "template: :1: unexpected EOF"),
        ("a\n{{ range .Messages }}\nb", "template: :3: unexpected EOF"),
        ("{{ if .A }}{{ else if .B }}{{ end }}", None),
        ("{{ if }}x{{ end }}", "template: :1: missing value for if"),
        ("{{ }}", "template: :1: missing value for command"),
        ("\n{{prompt}}", 'template: :2: function "prompt" not defined'),
        ("{{ .Prompt | nosuch }}", 'template: :1: function "nosuch" not defined'),
        ('{{ if and .A (eq $.B.C "}} x") }}{{ json . }}{{ end }}', None),
        ("{{/* if x */}}{{ $a := .B }}{{ $a }}{{ `x` }}{{ len .A }}", None),
        ("{prompt}", None),
        ("{{/* x }}", "template: :1: unclosed comment"),
        ('{{ "x }}', "template: :1: unterminated quoted string"),
    ],
)
def test_a_template_is_parsed_as_go_does(template: str, error: str | None) -> None:
    given_ = said(answer(generate(template=template), asked_world("0.24.0"), steps=STEPS))
    assert given_ == (None if error is None else (500, error))


def of_property(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, **more}


@pytest.mark.parametrize(
    ("schema", "is_refused"),
    [
        ({}, False),
        ({"title": "A"}, True),
        ({"type": "text"}, True),
        ({"type": ["string", "null"]}, False),
        (of_property({"type": "string", "pattern": "^[0-9]+$"}), False),
        (of_property({"type": "string", "pattern": "[0-9]+"}), True),
        (of_property({"description": "anything"}), True),
        (of_property(True), True),
        (of_property({}), False),
        (of_property({"enum": [1, "a"]}), False),
        (of_property({"$ref": "#/$defs/B"}), True),
        (of_property({"$ref": "#/$defs/B"}, **{"$defs": {"B": {"type": "string"}}}), False),
        (of_property({"type": "array", "items": {"$ref": "#"}}), True),
        (of_property({"anyOf": [{"type": "null"}, {"title": "B"}]}), True),
        ({"$ref": "#/$defs/B", "$defs": {"B": of_property({"$ref": "#/$defs/B"})}}, False),
    ],
)
def test_a_schema_without_a_grammar_is_refused_until_0_30(schema: Any, is_refused: bool) -> None:
    given_ = said(answer(chat(format=schema), asked_world("0.24.0"), steps=STEPS))
    assert given_ == ((500, "invalid JSON schema in format") if is_refused else None)
    assert answer(chat(format=schema), asked_world("0.30.0"), steps=STEPS) is None


OPTIONS: list[tuple[dict[str, Any], str | None]] = [
    ({"num_ctx": "8"}, 'option "num_ctx" must be of type integer'),
    ({"num_ctx": True}, 'option "num_ctx" must be of type integer'),
    ({"top_p": [1]}, 'option "top_p" must be of type float32'),
    ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
    ({"stop": "a"}, 'option "stop" must be of type array'),
    ({"stop": ["a", 1]}, 'option "stop" must be of an array of strings'),
    ({"num_ctx": 8.5, "top_p": 1, "stop": [], "numa": "x", "seed": None, "mirostat": "x"}, None),
]


def test_options_have_types() -> None:
    assert [(option, option_error(option, "0.24.0")) for option, _ in OPTIONS] == OPTIONS


# --- Go's decoder -----------------------------------------------------------------------------------------------------

LEAF = Struct(name="main.Leaf", fields=fields(name=STRING, n=INT, u8=UINT8))
ROOT = Struct(
    name="main.Root",
    fields=(
        *fields(s=STRING, i=INT, f32=FLOAT32, m=Map(of=ANY), a=ANY, r=RAW, l=LEAF, p=Pointer(to=LEAF)),
        *fields(leaves=GoSlice(of=LEAF), by=Bytes(), texts=GoSlice(of=STRING), ml=Map(of=LEAF)),
        Field(name="e", type=STRING, via="Inner"),
    ),
)

#: A body, and the error of Go 1.26 in its older and its newer words ("" if it takes it).
GO_ERRORS = [
    (b"", "EOF", "EOF"),
    (b"  \n", "EOF", "EOF"),
    (b"[", "unexpected EOF", "unexpected EOF"),
    (b'{"a":1', "unexpected EOF", "unexpected EOF"),
    (b"tru", "unexpected EOF", "unexpected EOF"),
    (b'"a\\u12', "unexpected EOF", "unexpected EOF"),
    (b",", "invalid character ',' looking for beginning of value", ""),
    (b"]", "invalid character ']' looking for beginning of value", ""),
    (b"[1 2]", "invalid character '2' after array element", ""),
    (b'{"a" 1}', "invalid character '1' after object key", ""),
    (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair", ""),
    (b"{a:1}", "invalid character 'a' looking for beginning of object key string", ""),
    (b"trux", "invalid character 'x' in literal true (expecting 'e')", ""),
    (b"'", "invalid character '\\'' looking for beginning of value", ""),
    (b"\x00", "invalid character '\\x00' looking for beginning of value", ""),
    (b"-x", "invalid character 'x' in numeric literal", ""),
    (
        b"[1.]",
        "invalid character ']' after decimal point in numeric literal",
        "invalid character ']' in numeric literal",
    ),
    (b"[1e]", "invalid character ']' in exponent of numeric literal", "invalid character ']' in numeric literal"),
    (
        b'"\\u1"    ',
        "invalid character '\"' in \\u hexadecimal character escape",
        'invalid escape sequence "\\\\u1\\"  " in string',
    ),
    (
        b"\xef\xbb\xbf{}",
        "invalid character 'ï' looking for beginning of value",
        "invalid character '\\ufeff' looking for beginning of value",
    ),
    (
        b"\xff",
        "invalid character 'ÿ' looking for beginning of value",
        "invalid character '\\xff' looking for beginning of value",
    ),
    (b"[" * 10_001, "exceeded max depth", ""),
    (b"1", "json: cannot unmarshal number into Go value of type main.Root", ""),
    (b'{"s":1} x', "json: cannot unmarshal number into Go struct field Root.s of type string", ""),
    (
        b'{"S":1}',
        "json: cannot unmarshal number into Go struct field Root.s of type string",
        "json: cannot unmarshal number into Go struct field Root.S of type string",
    ),
    (b'{"i":1.5}', "json: cannot unmarshal number 1.5 into Go struct field Root.i of type int", ""),
    (
        b'{"i":9223372036854775808}',
        "json: cannot unmarshal number 9223372036854775808 into Go struct field Root.i of type int",
        "",
    ),
    (b'{"f32":1e39}', "json: cannot unmarshal number 1e39 into Go struct field Root.f32 of type float32", ""),
    (
        b'{"l":{"u8":-1}}',
        "json: cannot unmarshal number -1 into Go struct field Leaf.l.u8 of type uint8",
        "json: cannot unmarshal number -1 into Go struct field Root.l.u8 of type uint8",
    ),
    (
        b'{"leaves":[{},{"n":"x"}]}',
        "json: cannot unmarshal string into Go struct field Leaf.leaves.n of type int",
        "json: cannot unmarshal string into Go struct field Root.leaves.1.n of type int",
    ),
    (
        b'{"texts":[1]}',
        "json: cannot unmarshal number into Go struct field Root.texts of type string",
        "json: cannot unmarshal number into Root.texts.0 of type string",
    ),
    (
        b'{"ml":{"k":[]}}',
        "json: cannot unmarshal array into Go struct field Root.ml of type main.Leaf",
        "json: cannot unmarshal array into Go struct field Root.ml.k of type main.Leaf",
    ),
    (
        b'{"e":1}',
        "json: cannot unmarshal number into Go struct field Root.Inner.e of type string",
        "json: cannot unmarshal number into Go struct field Root.e of type string",
    ),
    (
        b'{"m":{"k":[1e999]}}',
        "json: cannot unmarshal number 1e999 into Go struct field Root.m of type float64",
        "json: cannot unmarshal number 1e999 into Root.m.k.0 of type float64",
    ),
    (
        b'{"by":"!"}',
        "illegal base64 data at input byte 0",
        "json: cannot unmarshal string into Go struct field Root.by of type []uint8: "
        "illegal base64 data at input byte 0",
    ),
    (b'{"i":"x","s":1}', "json: cannot unmarshal string into Go struct field Root.i of type int", ""),
    (b'{"i":"x",', "unexpected EOF", ""),
]


def test_the_decoder_has_the_words_of_go() -> None:
    assert [
        (body[:99], decode(body, ROOT, OLDER).text, decode(body, ROOT, NEWER).text) for body, _, _ in GO_ERRORS
    ] == [(body[:99], older, newer or older) for body, older, newer in GO_ERRORS]


def test_the_decoder_fills_in_what_did_not_come() -> None:
    decoded = decode(
        b'{"s":null,"L":{"n":2},"texts":["a",null],"r": [1, 2] ,"by":"AAE=","i":-0,"nosuch":1} x', ROOT, NEWER
    )
    assert decoded == {
        **ROOT.zero(),
        "l": {"name": "", "n": 2, "u8": 0},
        "texts": ["a", ""],
        "r": "[1, 2]",
        "by": b"\0\1",
    }


def test_a_key_that_comes_twice_goes_into_the_same_struct() -> None:
    decoded = decode(b'{"l":{"n":1},"l":{"name":"a"},"a":1,"a":2}', ROOT, NEWER)
    assert (decoded["l"], decoded["a"]) == ({"name": "a", "n": 1, "u8": 0}, 2)


@pytest.mark.parametrize(
    ("body", "text"), [(b'"\\ud800x"', "�x"), (b'"\xff\xf0\x9f"', "���"), (b'"\\ud83d\\ude00"', "😀")]
)
def test_what_is_no_unicode_is_replaced(body: bytes, text: str) -> None:
    assert decode(body, ANY, NEWER) == text


@pytest.mark.parametrize("version", [OLDER, NEWER])
@A_FEW
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0123456789.eE+-tfn ').map(str.encode))
def test_any_bytes_are_a_value_or_an_error(version: str, body: bytes) -> None:
    decoded = decode(body, ANY, version)
    is_refused = isinstance(decoded, GoError) and decoded.kind is not ErrorKind.TYPE  # that is a number beyond float64
    assert not (is_refused and is_json(body))


def is_json(body: bytes) -> bool:
    try:
        json.loads(body.decode("utf-8", "replace"), parse_constant=lambda text: int("no" + text))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("depth", [100, 900])
@pytest.mark.parametrize("inside", ["1", '"\\ud800"', '{"a":1}'])
def test_a_deep_value_is_taken(depth: int, inside: str) -> None:
    body = f'{{"a":{"[" * depth}{inside}{"]" * depth}}}'.encode()
    assert not isinstance(decode(body, ROOT, NEWER), GoError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@A_FEW
@given(JSON)
def test_any_json_is_itself(value: Any) -> None:
    assert decode(json.dumps(value).encode(), ANY, NEWER) == value


FIELD_NAMES = sorted({one.name for path in PATHS for one in request_type(path, "0.24.0").fields})  # type: ignore[union-attr]


@A_FEW
@given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(FIELD_NAMES), JSON, max_size=4))
def test_any_request_is_refused_or_not(path: str, sent: dict[str, Any]) -> None:
    body = json.dumps({"model": "smollm2:135m", **sent}).encode()
    given_ = [answer(Asked(method="POST", target=path, body=body), asked_world(version)) for version in VERSIONS]
    assert {one is None or one.reply.status >= 200 for one in given_} == {True}


DURATIONS: list[tuple[str, float | str]] = [
    ("0", 0.0),
    ("5m", 300.0),
    ("1h2m3.5s", 3723.5),
    ("-1m", -60.0),
    ("+1ms", 0.001),
    ("1us2µs3ns", 3.003e-06),
    (".5s", 0.5),
    ("", 'time: invalid duration ""'),
    ("abc", 'time: invalid duration "abc"'),
    ("300", 'time: missing unit in duration "300"'),
    ("3x", 'time: unknown unit "x" in duration "3x"'),
    ("1h2", 'time: missing unit in duration "1h2"'),
    (".s", 'time: invalid duration ".s"'),
    ("é", 'time: invalid duration "\\xc3\\xa9"'),
    ("99999999999h", 'time: invalid duration "99999999999h"'),
]


def test_durations_are_those_of_go() -> None:
    parsed = [(text, parse_duration(text)) for text, _ in DURATIONS]
    assert [(text, one.text if isinstance(one, GoError) else one) for text, one in parsed] == DURATIONS
