"""A request gets the same words, calls, thinking and reason as a stream and in one piece."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, World
from ollama_harness.answers.completions.completion import Completion
from ollama_harness.answers.completions.dialects import DIALECTS
from ollama_harness.answers.completions.making import Maker
from ollama_harness.answers.completions.wanted import wanted_of
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.store import packaged_store
from ollama_harness.server.recorded_answers import RecordedAnswers

pytestmark = pytest.mark.same_everywhere

VERSIONS = packaged_store().versions


@functools.cache
def maker(version: str) -> tuple[Maker, World]:
    """What makes the answers of a version, in a world where any model is there."""
    recorded = RecordedAnswers(store=packaged_store(), version=version, speed=0, gap_s=None, faults=())
    return Maker(recorded.recordings, recorded.world), replace(recorded.world, any_model=True)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A route, and a good request to it without `stream`."""
    path = draw(st.sampled_from(sorted(DIALECTS)))
    prompt = draw(st.sampled_from(["hi", "Weather in Oslo?", "Is it warm in Rome? {}", "日本語"]))
    think, limit = draw(st.sampled_from([None, True, False])), draw(st.sampled_from([None, 1, 4, 12, 99]))
    stop = draw(st.sampled_from([[], ["e"], [" is", "."], ["o R"], ["{"]]))
    body: dict[str, Any] = {"model": draw(st.sampled_from(["smollm2:135m", "llama3.2", "qwen3:8b"]))}
    tool = {"name": "weather", "description": "", "parameters": SCHEMA} if draw(st.booleans()) else None
    schema = draw(st.sampled_from([None, SCHEMA]))
    more: dict[str, Any]
    if path.startswith("/api/"):
        body |= {"prompt": prompt} if path == "/api/generate" else {"messages": [{"role": "user", "content": prompt}]}
        options = {"stop": stop, **({"num_predict": limit} if limit else {})}
        more = {"think": think, "format": schema, "options": options, "logprobs": draw(st.booleans())}
    elif path == "/v1/responses":
        text = {"format": {"type": "json_schema", "name": "a", "schema": schema}} if schema else None
        more = {
            "input": prompt,
            "max_output_tokens": limit,
            "text": text,
            "reasoning": {"effort": "low"} if think else None,
        }
    elif path == "/v1/messages":
        thinking = {"type": "enabled", "budget_tokens": 1024} if think else None
        more = {"max_tokens": limit or 99, "stop_sequences": stop, "thinking": thinking}
        more["messages"] = [{"role": "user", "content": prompt}]
    elif path == "/v1/completions":
        more = {"prompt": prompt, "max_tokens": limit, "stop": stop}
    else:
        effort = {None: None, True: "high", False: "none"}[think]
        format_ = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}} if schema else None
        more = {"messages": [{"role": "user", "content": prompt}], "max_tokens": limit, "stop": stop}
        more |= {"reasoning_effort": effort, "response_format": format_}
    if tool and path not in ("/api/generate", "/v1/completions"):
        given_as = {"/v1/responses": {"type": "function", **tool}}
        given_as["/v1/messages"] = {"name": tool["name"], "input_schema": SCHEMA}
        more["tools"] = [given_as.get(path, {"type": "function", "function": tool})]
    return path, body | {name: value for name, value in more.items() if value is not None}


def said(version: str, path: str, body: Mapping[str, Any]) -> Completion | None:
    """What the answer to a request says, as its own dialect reads it; None where there is no answer to it."""
    content = json.dumps(body).encode()
    asked = Asked(method="POST", target=path, body=content)
    makes, world = maker(version)
    wanted = wanted_of(asked, world)
    made = makes.answer(wanted, Request(method="POST", path=path, body=content.decode())) if wanted else None
    return DIALECTS[path].read(made.recording) if made else None


@pytest.mark.parametrize("version", VERSIONS)
@A_FEW
@given(request=requests())
def test_a_stream_says_the_same_as_one_piece(version: str, request: tuple[str, dict[str, Any]]) -> None:
    path, body = request
    streamed, whole = (said(version, path, {**body, "stream": stream}) for stream in (True, False))
    assert (streamed is None) == (whole is None)
    if streamed is None or whole is None:
        return
    assert (streamed.text, streamed.thinking, streamed.calls) == (whole.text, whole.thinking, whole.calls)
    if not whole.calls:  # with calls /v1 says that they were made, and not why the model stopped; 0.5.7 not in a stream
        assert streamed.done_reason is whole.done_reason
    for call in whole.calls:
        jsonschema.validate(call.arguments, SCHEMA)
