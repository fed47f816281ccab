"""A completion made to fit a request, and which requests are the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from builders import recording
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, Model, World
from ollama_harness.answers.completions import tokens
from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.making.fit import fit, spoken
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.answers.recorded import Recorded, canonical
from ollama_harness.recordings.recording import Request

pytestmark = pytest.mark.same_everywhere

NEWEST = "0.32.15"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FRANCE = spoken("The capital of France is Paris.")


def tool(name: str, schema: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema or WEATHER}}


def wanted(path: str = "/api/chat", version: str = NEWEST, **fields: Any) -> Wanted:
    able = frozenset({"completion", "tools", "thinking"})
    world = World(version=version, models={"m:latest": Model(name="m:latest", capabilities=able)})
    body: dict[str, Any] = {"model": "m", "think": False, **fields}
    if path == "/api/chat":
        body = {"messages": [{"role": "user", "content": "Hi"}], **body}
    found = wanted_of(Asked(method="POST", target=path, body=json.dumps(body).encode()), world)
    assert found is not None
    return found


def fitted(said: Completion = FRANCE, **fields: Any) -> Completion:
    return fit(said, wanted(**fields), same_format=False)


# --- tokens -----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_the_tokens_of_a_text_are_the_text(text: str) -> None:
    assert "".join(tokens.split(text)) == text
    assert all(tokens.split(text))


def test_tokens_are_about_words() -> None:
    assert tokens.split("The sky is blue, at 12.") == ["The", " sky", " is", " blue", ",", " at", " ", "1", "2", "."]


# --- what is cut ------------------------------------------------------------------------------------------------------


def test_a_request_that_decides_nothing_gets_the_completion_as_it_is() -> None:
    assert fitted() == FRANCE


@pytest.mark.parametrize(
    ("options", "text", "why", "count"),
    [
        ({"num_predict": 3}, "The capital of", DoneReason.LENGTH, 3),
        ({"num_predict": 100}, FRANCE.text, DoneReason.STOP, 8),
        ({"num_predict": -1}, FRANCE.text, DoneReason.STOP, 8),
        ({"num_predict": 8}, FRANCE.text, DoneReason.STOP, 8),
        ({"num_predict": 7}, FRANCE.text, DoneReason.LENGTH, 7),
        ({"stop": ["France"]}, "The capital of ", DoneReason.STOP, 5),
        ({"stop": ["The"]}, "", DoneReason.STOP, 1),
        ({"stop": ["Rome", " is", "France"], "num_predict": 5}, "The capital of ", DoneReason.STOP, 5),
    ],
)
def test_stop_and_num_predict_cut(options: Any, text: str, why: DoneReason, count: int) -> None:
    made = fitted(options=options)
    assert (made.text, made.done_reason, made.tokens) == (text, why, count)


@given(st.integers(1, 12), st.lists(st.sampled_from(["a", "of F", "Paris", ".", "zzz"]), max_size=2))
def test_what_is_left_is_a_beginning_and_ends_in_time(limit: int, stop: list[str]) -> None:
    made = fitted(options={"num_predict": limit, "stop": stop})
    assert FRANCE.text.startswith(made.text)
    assert not any(text in made.text for text in stop)
    assert len(made.pieces) <= made.tokens <= limit
    assert [piece.at_s for piece in made.pieces] == sorted(piece.at_s for piece in made.pieces)
    assert made.end_s >= max((piece.at_s for piece in made.pieces), default=0)


def test_tokens_that_no_record_shows_do_not_pass_the_limit() -> None:
    made = fitted(replace(FRANCE, tokens=FRANCE.tokens + 5), options={"num_predict": FRANCE.tokens + 2})
    assert (made.text, made.done_reason, made.tokens) == (FRANCE.text, DoneReason.STOP, FRANCE.tokens + 2)


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "names", "called"),
    [
        ("What is the weather in Paris?", ["get_time", "getWeather"], ["getWeather"]),
        ("Weather in Paris and time in Oslo?", ["get_weather", "get_time"], ["get_weather", "get_time"]),
        ("What shall I wear?", ["get_weather", "get_time"], ["get_weather"]),
    ],
)
def test_the_tools_that_the_prompt_speaks_of_are_called(prompt: str, names: list[str], called: list[str]) -> None:
    made = fitted(tools=[tool(name) for name in names], messages=[{"role": "user", "content": prompt}])
    assert [call.name for call in made.calls] == called
    assert (made.text, made.done_reason) == ("", DoneReason.STOP)
    assert [call.arguments.keys() for call in made.calls] == [{"city"}] * len(called)


def test_the_names_of_fields_have_any_case() -> None:
    named = {"Type": "function", "Function": {"Name": "weather", "Parameters": WEATHER}}
    asked = wanted(Tools=[named], messages=[{"role": "user", "content": "Weather?"}])
    assert (
        asked.tools == wanted(tools=[tool("weather")], messages=[{"role": "user", "content": "Weather?"}]).tools != ()
    )


def test_the_arguments_are_valid_and_of_the_prompt() -> None:
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    [call] = fitted(tools=[tool("weather")], messages=messages).calls
    jsonschema.validate(call.arguments, WEATHER)
    assert call.arguments == {"city": "Paris"}


@pytest.mark.parametrize("prompt", ["Say hello.", "Hi!", "Thank you"])
def test_a_greeting_is_answered_in_words(prompt: str) -> None:
    assert fitted(tools=[tool("get_weather")], messages=[{"role": "user", "content": prompt}]) == FRANCE


def test_a_tool_without_a_name_is_none() -> None:
    bare = {"type": "function", "name": "get_weather", "parameters": WEATHER}
    ask = [{"role": "user", "content": "Weather?"}]
    assert wanted(tools=[bare, {"type": "function", "function": {}}], messages=ask).tools == ()
    assert [each.name for each in wanted("/v1/responses", tools=[bare], input="Weather?").tools] == ["get_weather"]


def test_recorded_arguments_are_taken_where_they_fit() -> None:
    recorded = Completion(pieces=(Piece(calls=(Call(name="get_weather", arguments={"city": "Rome"}),), at_s=1.0),))
    messages = [{"role": "user", "content": "Weather?"}]
    [piece] = fitted(recorded, tools=[tool("get_weather")], messages=messages).pieces
    assert (piece.calls, piece.at_s) == ((Call(name="get_weather", arguments={"city": "Rome"}),), 1.0)


def test_after_the_result_of_a_call_the_model_answers_in_words() -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    turn = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "11 degrees", "tool_name": "get_weather"},
    ]
    tools = [tool("get_weather"), tool("get_time")]
    assert fitted(tools=tools, messages=turn) == FRANCE
    [next_call] = fitted(tools=tools, messages=[*turn, {"role": "user", "content": "go on"}]).calls
    assert next_call.name == "get_time", "the one that was not called yet"
    assert fitted(tools=tools[:1], messages=[*turn, {"role": "user", "content": "go on"}]) == FRANCE, "all were called"


# --- JSON, thinking, logprobs -----------------------------------------------------------------------------------------


def test_json_is_json() -> None:
    assert isinstance(json.loads(fitted(format="json").text), dict)
    assert isinstance(json.loads(fitted(format={}).text), dict)
    assert fitted(format="").text == FRANCE.text


def test_json_keeps_to_the_schema_that_the_prompt_tells() -> None:
    told = f"Answer as JSON {{so}}. The schema: {json.dumps(WEATHER)}"
    turn = [{"role": "system", "content": told}, {"role": "user", "content": "I live in Oslo"}]
    assert json.loads(fitted(format="json", messages=turn).text) == {"city": "Oslo"}


def test_json_has_the_keys_that_the_prompt_names() -> None:
    ask = "Tell a joke as JSON with 'setup' and `punchline` keys."
    made = json.loads(fitted(format="json", messages=[{"role": "user", "content": ask}]).text)
    assert list(made) == ["setup", "punchline"]


def test_a_schema_is_kept() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    made = fitted(format=schema)
    jsonschema.validate(json.loads(made.text), schema)
    assert len(made.pieces) > 3, "in pieces"


def test_thinking_is_there_when_it_is_wanted_and_only_then() -> None:
    thought = spoken("9", thinking="Four and five.")
    assert fit(FRANCE, wanted(think=True), same_format=False, thought=thought).thinking == "Four and five."
    assert fitted(think=True).thinking
    assert (fitted(thought, think=True), fitted(thought).thinking) == (thought, "")
    assert fitted(think="low", version="0.5.7").thinking == "", "no version before 0.9.0 thinks"


def test_a_model_that_can_think_does_so_by_default_since_0_12_5() -> None:
    assert wanted(think=None).thinks
    assert not wanted(think=None, version="0.12.4").thinks
    assert not wanted(think=False).thinks


@pytest.mark.parametrize("top", [0, 1, 3])
def test_logprobs_have_an_entry_for_each_token(top: int) -> None:
    made = fitted(logprobs=True, top_logprobs=top)
    assert "".join(entry["token"] for entry in made.logprobs) == FRANCE.text
    assert {len(entry.get("top_logprobs", [])) for entry in made.logprobs} == {top}
    assert all(entry["logprob"] <= 0 and bytes(entry["bytes"]).decode() == entry["token"] for entry in made.logprobs)
    assert made == fitted(logprobs=True, top_logprobs=top), "the same request, the same numbers"


def test_logprobs_that_are_not_wanted_are_left_out() -> None:
    assert fitted(fitted(logprobs=True, top_logprobs=2)) == FRANCE


# --- the same request -------------------------------------------------------------------------------------------------

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("/api/chat", CHAT, {**CHAT, "stream": None, "tools": [], "format": "", "options": {}, "keep_alive": None}),
        ("/api/chat", CHAT, {**CHAT, "model": "m:latest", "stream": True, "truncate": True, "shift": True}),
        ("/api/show", {"model": "m"}, {"model": "", "system": "", "options": None, "verbose": False, "name": "m"}),
        ("/api/pull", {"model": "m"}, {"name": "m", "insecure": False}),
        (
            "/api/generate",
            {"model": "m", "prompt": "x"},
            {"prompt": "x", "model": "m", "options": {"seed": None}} | {"raw": False},
        ),
    ],
)
def test_what_ollama_reads_the_same_is_the_same_request(path: str, one: Any, other: Any) -> None:
    assert canonical(Request(method="POST", path=path, json=one)) == canonical(
        Request(method="POST", path=path, json=other)
    )


@pytest.mark.parametrize("more", [{"stream": False}, {"think": False}, {"options": {"seed": 1}}, {"model": "n"}])
def test_what_it_reads_otherwise_is_another(more: dict[str, Any]) -> None:
    one, other = (Request(method="POST", path="/api/chat", json=body) for body in (CHAT, {**CHAT, **more}))
    assert canonical(one) != canonical(other)


def test_the_recording_of_a_request_answers_it() -> None:
    request = Request(method="POST", path="/api/chat", json=CHAT)
    there, other = (replace(recording([b"{}\n"]), request=each) for each in (request, replace(request, path="/x")))
    assert Recorded([other, there]).same(request) is there
    assert Recorded([other]).same(request) is None
    assert Recorded([replace(there, intervention="the runner was killed")]).same(request) is None
    foreign = replace(there, request=replace(request, headers=(("Host", "evil"),)))
    assert Recorded([foreign]).same(request) is None
    assert Recorded([there, foreign]).same(replace(request, headers=(("host", "evil"), ("Accept", "*")))) is foreign
