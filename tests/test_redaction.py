"""What is a secret, and what is left of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from builders import cuts, json_values, recording
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.recordings import redaction
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.redaction import (
    Redactor,
    find,
    home_pattern,
    name_pattern,
    redact,
    redact_request,
    secrets_in,
)
from ollama_harness.recordings.store import RecordingStore

JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
SECRETS = [
    (b'{"api_key":"abc"}', b"abc"),
    (b'{"apiKey": "abc"}', b"abc"),
    (b'{"openai_api_key":"a\\"b"}', b'a\\"b'),
    (b'{"password":"p w"}', b"p w"),
    (b'{"token":"hunter2"}', b"hunter2"),
    (b'{"access_token":"x1"}', b"x1"),
    (b'{"client_secret":"x1"}', b"x1"),
    (b'{"Authorization":"Basic dTpw"}', b"Basic dTpw"),
    (b'{"password":"cut of', b"cut of"),
    (b'{"arguments":"{\\"api_key\\":\\"abc\\",\\"city\\":\\"Paris\\"}"}', b"abc"),
    (b'{"arguments":"{\\"password\\":\\"a\\\\\\"b\\"}"}', b'a\\\\\\"b'),
    (b"my key is sk-proj-0123456789abcdef.", b"sk-proj-0123456789abcdef"),
    (b"ghp_0123456789abcdefghij0123456789abcdef", b"ghp_0123456789abcdefghij0123456789abcdef"),
    (b"hf_abcdefghijklmnopqrst", b"hf_abcdefghijklmnopqrst"),
    (b"AKIAIOSFODNN7EXAMPLE", b"AKIAIOSFODNN7EXAMPLE"),
    (b'"' + JWT + b'"', JWT),
    (b"Authorization: Bearer abc123def", b"abc123def"),
    (b'{"header":"Bearer abc"}', b"abc"),
    (b"GET /x?a=1&api_key=abc&b=2", b"abc"),
    (b"http://user:pass@host/x", b"user:pass"),
    (b"https://user@host", b"user"),
]
NO_SECRETS = [
    b'{"token":"Hello","logprob":-0.1,"bytes":[72]}',
    b'{"content":"{\\"token\\":\\"Hello\\",\\"logprob\\":-0.1}"}',
    b'{"prompt_eval_count":3,"tokens":["a","b"],"eos_token_id":2}',
    b'{"signin_url":"https://ollama.com/connect?name=host&key=c3NoLWVkMjU1MTkgQUFBQQ"}',
    b'{"response":"the bearer of good news said: risk-averse-people-first, task-list-number-one"}',
    b'{"response":"mail me@example.com, see http://example.com/@user"}',
    b'{"digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}',
    b'{"password":""}',
    b'{"secret":"***"}',
]

#: Text in which every second piece is part of something secret.
_PIECES = (
    *(b'"api_key":"', b'"token":"', b'"', b"\\", b'\\"', b"sk-", b"Bearer ", b"ghp_", b"http://", b"@", b"eyJ", b"."),
    *(b"abcdefgh", b"0123456789abcdef", b"\n", b" ", b",", b":", b'","logprob":1', b"\xff", b"*", b"=", b"?token"),
)
risky = st.lists(st.sampled_from(_PIECES), max_size=30).map(b"".join)


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_blanked_and_nothing_else(text: bytes, secret: bytes) -> None:
    assert redact(text) == text.replace(secret, b"*" * len(secret))


@pytest.mark.parametrize("text", NO_SECRETS)
def test_what_is_no_secret_stays(text: bytes) -> None:
    assert redact(text) == text


def test_no_recording_of_the_project_holds_a_secret(store: RecordingStore) -> None:
    assert {id_: found for id_ in store.ids if (found := list(secrets_in(store.get(id_))))} == {}


@given(risky | st.binary(max_size=60))
def test_nothing_secret_is_found_in_what_was_blanked_and_its_length_stays(data: bytes) -> None:
    blanked = redact(data)
    assert len(blanked) == len(data)
    assert list(find(blanked)) == []
    assert redact(blanked) == blanked
    assert all(before == after or after == ord("*") for before, after in zip(data, blanked, strict=True))


@given(st.data())
def test_however_a_body_comes_it_is_blanked_alike(data: st.DataObject) -> None:
    body = data.draw(risky)
    redactor = Redactor()
    pieces = data.draw(cuts(body)) if body else []
    assert b"".join(map(redactor.feed, pieces)) + redactor.finish() == redact(body)


def test_no_line_is_held_once_it_is_whole() -> None:
    redactor = Redactor()
    assert redactor.feed(b'{"token":"a') == b""
    assert redactor.feed(b'b"}\n{') == b'{"token":"**"}\n'
    assert redactor.finish() == b"{"


def test_a_long_line_is_blanked_in_pieces_wherever_its_secrets_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MAX_LINE_BYTES", 8192)
    monkeypatch.setattr(redaction, "OVERLAP_BYTES", 2048)
    secret = b'"api_key":"' + b"s" * 300 + b'"'
    for before in itertools.chain(range(0, 8200, 400), range(7850, 8200, 7)):
        line = b"a" * before + secret + b"b" * 9000 + secret + b"\nnext\n"
        redactor = Redactor()
        pieces = [line[at : at + 777] for at in range(0, len(line), 777)]
        got = b"".join(map(redactor.feed, pieces)) + redactor.finish()
        assert got == line.replace(b"s" * 300, b"*" * 300)


def test_memory_is_bounded_however_long_a_line_is() -> None:
    redactor = Redactor()
    fed = 0
    for _ in range(100):
        fed += 65536 - len(redactor.feed(b"a" * 65536))
        assert fed <= redaction.MAX_LINE_BYTES + 65536
    assert fed == len(redactor.finish())


def test_the_rest_of_a_line_is_blank_where_one_secret_is_longer_than_the_overlap() -> None:
    size = 3 * redaction.MAX_LINE_BYTES
    line = b'{"password":"' + b"s" * size + b'","b":"' + b"s" * 9 + b'"}'
    redactor = Redactor()
    got = redactor.feed(line[:100]) + redactor.feed(line[100:]) + redactor.feed(b"\nnext\n") + redactor.finish()
    assert b"s" not in got.removeprefix(b'{"password":"')
    assert got.endswith(b"*\nnext\n")
    assert len(got) == len(line) + 6


# ------------------------------------------------------------------------------------------ requests and recordings


@given(json_values.filter(lambda value: value is not None))
def test_json_without_secrets_stays_the_same_json(value: object) -> None:
    request = Request(method="POST", path="/", json=value)
    if not list(find(json.dumps(value).encode())):
        assert redact_request(request) == request


def test_a_request_loses_its_secrets_wherever_they_are() -> None:
    request = Request(
        method="POST",
        path="/api/x?token=abc",
        headers=(("authorization", "Bearer abc"), ("Cookie", "a=b"), ("Referer", "http://u:p@h/"), ("Accept", "*/*")),
        json={"password": "pä", "messages": [{"content": "sk-0123456789abcdef"}], "n": 1.5},
    )
    assert redact_request(request) == Request(
        method="POST",
        path="/api/x?token=***",
        headers=(("authorization", "*" * 10), ("Cookie", "***"), ("Referer", "http://***@h/"), ("Accept", "*/*")),
        json={"password": "*" * 7, "messages": [{"content": "*" * 19}], "n": 1.5},
    )
    assert redact_request(Request(method="POST", path="/", body='{"password": "x')).body == '{"password": "*'


def test_a_finding_says_where_it_is() -> None:
    one = recording(b'{"a":1}\n', b'{"token":"x"}\n', request_json={"password": "x"}, note="sk-0123456789abcdef")
    assert [field for field, _ in secrets_in(one)] == ["request.json", "note", "body, line 2"]
    headers = (("Content-Type", "text/plain"), ("Set-Cookie", "a=b"))
    assert list(secrets_in(recording(headers=headers))) == [("response.headers.Set-Cookie", "credentials")]


# ------------------------------------------------------------------------------------------ on request


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        (b"/home/ada/x", b"/home/***/x"),
        (b'"/Users/ada"', b'"/Users/***"'),
        (rb'"C:\\Users\\Ada L\\.ollama"', rb'"C:\\Users\\*****\\.ollama"'),
        (b"c:/users/ada/x", b"c:/users/***/x"),
        (b"/srv/people/grace/x", b"/srv/people/*****/x"),
        (b"/srv/people/gracenote", b"/srv/people/gracenote"),
        (b"at home/x", b"at home/x"),
    ],
)
def test_a_home_loses_its_name(text: bytes, blanked: bytes) -> None:
    assert redact(text, home_pattern(Path("/srv/people/grace"))) == blanked


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        (b'"http://box.lan:1/" BOX', b'"http://*******:1/" ***'),
        (b"boxes, my-box, inbox", b"boxes, my-box, inbox"),
    ],
)
def test_a_host_loses_its_name_and_words_stay(text: bytes, blanked: bytes) -> None:
    assert redact(text, name_pattern(["box.lan", "box"])) == blanked
