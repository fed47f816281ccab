"""What is a secret, and what is left of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import cuts, recording
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.secrets import (
    Redactor,
    find,
    home_pattern,
    name_pattern,
    redact,
    redact_headers,
    redact_request,
    redaction,
    secrets_in,
)

pytestmark = pytest.mark.same_everywhere

JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
SECRETS = [
    # under the name of a secret, in JSON
    (rb'{"api_key":"abc"}', rb"abc"),
    (rb'{"apiKey": "abc"}', rb"abc"),
    (rb'{"openai_api_key":"a\"b"}', rb'a\"b'),
    (rb'{"password":"p w"}', rb"p w"),
    (rb'{"token":"hunter2"}', rb"hunter2"),
    (rb'{"access_token":"x1"}', rb"x1"),
    (rb'{"GITLAB_TOKEN_2":"x1"}', rb"x1"),
    (rb'{"client_secret":"x1"}', rb"x1"),
    (rb'{"pwd":"abc"}', rb"abc"),
    (rb'{"pass":"abc"}', rb"abc"),
    (rb'{"auth":"abc"}', rb"abc"),
    (rb'{"session":"abc"}', rb"abc"),
    (rb'{"sessionId":"abc"}', rb"abc"),
    (rb'{"cookies":"abc"}', rb"abc"),
    (rb'{"Authorization":"Basic dTpw"}', rb"Basic dTpw"),
    (rb'{"passwords":["abc"]}', rb"abc"),
    (rb'{"credentials":{"who":[true,{"x":"abc"}]}}', rb"abc"),
    (rb'{"password":"cut of', rb"cut of"),
    (rb'{"credentials":{"who":"abc","n":1', rb'{"who":"abc","n":1'),
    (rb'INFO got {"password": "abc"} from x', rb"abc"),
    (rb'data: {"api_key":"abc"}', rb"abc"),
    # whatever layers and spellings it is under
    (rb'{"arguments":"{\"api_key\":\"abc\",\"city\":\"Paris\"}"}', rb"abc"),
    (rb'{"arguments":"{\"password\":\"a\\\"b\"}"}', rb'a\\\"b'),
    (rb'{"a":"{\"b\":\"{\\\"password\\\":\\\"abc\\\"}\"}"}', rb"abc"),
    (rb'{"a":"{\"b\":\"{\\\"c\\\":\\\"{\\\\\\\"api_key\\\\\\\":\\\\\\\"abc\\\\\\\"}\\\"}\"}"}', rb"abc"),
    (rb'{"p\u0061ssword":"abc"}', rb"abc"),
    (rb'{"api\u005fkey":"abc"}', rb"abc"),
    (rb'{"a":"{\"p\\u0061ssword\":\"abc\"}"}', rb"abc"),
    (rb'{"a":"{\u0022password\u0022:\u0022abc\u0022}"}', rb"abc"),
    (rb'{"a":"s\u006b-0123456789abcdef"}', rb"s\u006b-0123456789abcdef"),
    (rb'{"a":"{\"p\\u0061ssword\":\"cut', rb"cut"),
    (rb'{"a":"the file\nAPI_KEY=abc\nDEBUG=1"}', rb"abc"),
    # assigned
    (rb"API_KEY=abc", rb"abc"),
    (rb'export OPENAI_API_KEY="abc def"', rb"abc def"),
    (rb"password = 'abc'", rb"abc"),
    (rb"Server=x;Password=a,b;User=y", rb"a,b"),
    (rb"grant_type=password&client_secret=abc&n=1", rb"abc"),
    (rb"{'password': 'abc', 'n': 1}", rb"abc"),
    (rb"  password: abc", rb"abc"),
    (rb"- secret: abc # a comment", rb"abc"),
    (rb'{"a":"db:\n  password: abc\n  user: x"}', rb"abc"),
    (rb"my password: hunter2, of course", rb"hunter2"),
    (rb"Your API key: abc123.", rb"abc123"),
    (rb'curl -H "X-Api-Key: abc" http://x', rb"abc"),
    (rb"session=abc123", rb"abc123"),
    (rb"error: password=abc", rb"abc"),
    (rb'msg="login password=abc ok"', rb"abc"),
    (rb'{"a":"cannot log in: password=abc"}', rb"abc"),
    (rb"db: {password: abc123, user: x}", rb"abc123"),
    (rb"map[OLLAMA_API_KEY:abc123 OLLAMA_DEBUG:1]", rb"abc123"),
    (rb'{"dbpass":"abc"}', rb"abc"),
    (rb'{"jwt":"abc"}', rb"abc"),
    (rb'{"creds":"abc"}', rb"abc"),
    (rb'{"csrf":"abc"}', rb"abc"),
    (rb'{"env":[{"name":"API_KEY","value":"abc"}]}', rb"abc"),
    (rb"http://x/?api%5Fkey=abc", rb"abc"),
    (rb"http://x/;jsessionid=abc", rb"abc"),
    # in JSON over several lines
    (b'{\n  "passwords": [\n    "abc"\n  ]\n}', rb"abc"),
    (b'{\n  "secret": {\n    "x": "abc"\n  }\n}\n', rb"abc"),
    (b'{"password":\r\n"abc"}', rb"abc"),
    (b'{"a": [\n{"p\\u0061ssword":\n"abc"}\n]}\n{"b":1}', rb"abc"),
    # by their form
    (rb"my key is sk-proj-0123456789abcdef.", rb"sk-proj-0123456789abcdef"),
    (rb"sk_live_0123456789abcdef", rb"sk_live_0123456789abcdef"),
    (rb"ghp_0123456789abcdefghij0123456789abcdef", rb"ghp_0123456789abcdefghij0123456789abcdef"),
    (rb"github_pat_0123456789abcdef_012", rb"github_pat_0123456789abcdef_012"),
    (rb"glpat-0123456789abcdefghij", rb"glpat-0123456789abcdefghij"),
    (rb"npm_0123456789abcdefghij0123456789abcdef", rb"npm_0123456789abcdefghij0123456789abcdef"),
    (rb"hf_abcdefghijklmnopqrst", rb"hf_abcdefghijklmnopqrst"),
    (rb"xoxb-0123456789-abc", rb"xoxb-0123456789-abc"),
    (rb"AKIAIOSFODNN7EXAMPLE", rb"AKIAIOSFODNN7EXAMPLE"),
    (rb"AIzaSyA0123456789abcdefghijklmnopqrstuv", rb"AIzaSyA0123456789abcdefghijklmnopqrstuv"),
    (rb"r8_0123456789abcdefghij", rb"r8_0123456789abcdefghij"),
    (rb"hvs.0123456789abcdefghij", rb"hvs.0123456789abcdefghij"),
    (b'"' + JWT + b'"', JWT),
    (rb"Authorization: Bearer abc123def", rb"abc123def"),
    (rb"Authorization: Bearer abc", rb"abc"),
    (rb'{"header":"Bearer abc"}', rb"abc"),
    (rb"Authorization: Basic dTpw", rb"dTpw"),
    (rb"they sent Basic dXNlcjpwYXNz and got in", rb"dXNlcjpwYXNz"),
    (rb'{"a":"Authorization: Digest username=\"u\""}', rb"username=\"u\""),
    (rb"Set-Cookie: id=abc; Path=/", rb"id=abc; Path=/"),
    (rb"GET /x?a=1&api_key=abc&b=2", rb"abc"),
    (rb"https://x/?key=abc&b=2", rb"abc"),
    (rb"https://x/?sig=abc", rb"abc"),
    (rb"https://x/?auth=abc#d", rb"abc"),
    (rb"https://x/?X-Amz-Signature=abc", rb"abc"),
    (rb'{"url":"https://x/?a=1\u0026key=abc"}', rb"abc"),
    (rb"http://user:pass@host/x", rb"user:pass"),
    (rb"https://user@host", rb"user"),
    (rb'{"a":"https:\/\/user:pass@host"}', rb"user:pass"),
    (rb'{"k":"-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"}', rb"\nMII\n"),
]  # fmt: skip
NUMBERS = [
    (b'{"password":12345}', b'{"password":11111}'),
    (b'{"api_keys":[-20.5e-7,0,1234]}', b'{"api_keys":[-11.1e-0,1,1111]}'),
    (b'{"token":987654}', b'{"token":111111}'),
    (b'{"a":"{\\"pwd\\":4711}"}', b'{"a":"{\\"pwd\\":1111}"}'),
    (b'INFO {"password": 4711} x', b'INFO {"password": 1111} x'),
    (b'{"password":"12345"}', b'{"password":"*****"}'),
    (b"password=12345", b"password=*****"),
]
NO_SECRETS = [
    rb'{"token":"Hello","logprob":-0.1,"bytes":[72]}',
    rb'{"logprob":-0.1,"token":"Hello"}',
    rb'{"content":"{\"token\":\"Hello\",\"logprob\":-0.1}"}',
    rb'{"token":"Hello","logprob":-0.1,"byt',
    rb'{"prompt_eval_count":3,"tokens":["a","b"],"eos_token_id":2,"bos_token":"<s>"}',
    rb'{"max_tokens":100,"total_tokens":12345,"keep_alive":"5m0s","context":[1,2,3],"max_output_tokens":2048}',
    rb'{"usage":{"prompt_tokens":1234,"completion_tokens":5678},"prompt_cache_key":"abc"}',
    rb'{"tokenizer.ggml.tokens":["a"],"tokenizer.ggml.token_type":[1],"tokenizer.ggml.pre":"default"}',
    rb'{"key":"abc","public_key":"abc","author":"abc","passed":"abc","session_length":1234}',
    rb'{"auth":"none","session":"required","cookies":true,"password":null,"pass":12}',
    rb'{"properties":{"password":{"type":"string","description":"of the user"},"token":{"type":["string","null"]}}}',
    rb'{"a":"{\"password\":{\"type\":\"string\"}}"}',
    rb'x {"password":{"type":"string"}} y',
    rb'{"signin_url":"https://ollama.com/connect?name=host&key=c3NoLWVkMjU1MTkgQUFBQQ"}',
    rb'{"response":"the bearer of good news said: risk-averse-people-first, task-list-number-one"}',
    rb'{"response":"mail me@example.com, see http://example.com/@user"}',
    rb'{"response":"Basic concepts: the session went well. Token: a piece of text. Password: choose a long one."}',
    rb'{"digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}',
    rb'{"response":"client = OpenAI(api_key=os.getenv(\"X\"), password=password, token=self.token)"}',
    rb'{"response":"if password == \"x\" or token != 5: API_KEY=$API_KEY; SECRET=${SECRET}; key=<your-key>"}',
    rb"PWD=/home/x",
    rb"Access-Control-Allow-Headers: Authorization, Content-Type",
    rb'{"content":"password=","x":"y"}',
    rb'{"a":"\"password\": ","b":"x"}',
    rb'data: {"a":"\"password\": ","b":"x"}',
    rb'{"response":"Session: Introduction"}',
    rb"it is Basic aGVsbG8gd29ybGQ= of course",
    rb'{"compass":"north","bypass":"a1b2c3d4","name":"key","value":"abc"}',
    rb"a secret:name of a token:x, key:12",
    rb'{"password":""}',
    rb'{"secret":"***"}',
]  # fmt: skip

#: Text in which every second piece is part of something secret.
_PIECES = (
    *(b'"api_key":"', b'"token":"', b'"', b"\\", b'\\"', b"sk-", b"Bearer ", b"ghp_", b"http://", b"@", b"eyJ", b"."),
    *(b"abcdefgh", b"0123456789abcdef", b"\n", b" ", b",", b":", b'","logprob":1', b"\xff", b"*", b"=", b"?token"),
    *(b"{", b"}", b"[", b"]", b'{"password":', b'{"a":['),
)
risky = st.lists(st.sampled_from(_PIECES), max_size=30).map(b"".join)


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_blanked_and_nothing_else(text: bytes, secret: bytes) -> None:
    assert redact(text) == text.replace(secret, b"*" * len(secret))


@pytest.mark.parametrize(("text", "blanked"), NUMBERS)
def test_a_number_stays_one_where_json_has_one(text: bytes, blanked: bytes) -> None:
    assert redact(text) == blanked


@pytest.mark.parametrize("text", NO_SECRETS)
def test_what_is_no_secret_stays(text: bytes) -> None:
    assert redact(text) == text


# ------------------------------------------------------------------------------------------ properties

_prose = st.lists(
    st.sampled_from(
        [
            *(
                "the",
                "key",
                "token",
                "session",
                "password",
                "secret",
                "basic",
                "bearer",
                "cookie",
                "auth",
                "pass",
                "api",
            ),
            *("a well-known", "sky", "blue.", "Why?", "user@example", "5", "2026", "<p>", "x = 1"),
            *("author:", "tokens:", "passed:", "keys:", "日本語", "😀", "\n", '"', "\\", "{", "}", "[", "&", "?", "#"),
        ]
    ),
    max_size=8,
).map(lambda words: " ".join(["Well,", *words]))  # `Bearer abc` alone is a token
_harmless_names = st.sampled_from(
    [
        *("model", "created_at", "response", "done", "done_reason", "context", "total_duration", "prompt_eval_count"),
        *("max_tokens", "completion_tokens", "eos_token", "keep_alive", "key", "tokens", "token_count", "author"),
        *("required", "properties", "digest", "prompt_cache_key", "tokenizer.ggml.tokens", "passed", "sessions_seen"),
    ]
)
_secret_names = st.sampled_from(
    [
        *("password", "api_key", "apiKey", "OPENAI_API_KEY", "x-api-key", "client_secret", "Authorization", "passwd"),
        *("access_token", "refreshToken", "private_key", "credentials", "GITHUB_TOKEN", "aws_secret_access_key"),
    ]
)
_numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
_harmless = st.recursive(
    _prose | _numbers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_harmless_names, inner, max_size=3),
    max_leaves=8,
)
_any_names = _harmless_names | _secret_names | st.text(max_size=5)
_risky_texts = risky.map(lambda data: data.decode("latin-1")) | _prose | st.text(max_size=8)
_mixed = st.recursive(
    _risky_texts | _numbers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_any_names, inner, max_size=3),
    max_leaves=8,
)


def shape(value: Any) -> Any:
    """What of a JSON value no redaction may change: names, types, how many there are of what."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items()}
        case list():
            return list(map(shape, value))
        case _:
            return type(value).__name__


def packed(value: object, layers: int) -> bytes:
    """The value as JSON, in a string of JSON, in a string of JSON, …"""
    text = json.dumps(value)
    for _ in range(layers):
        text = json.dumps({"content": text})
    return text.encode()


def unpacked(text: bytes, layers: int) -> Any:
    value = json.loads(text)
    for _ in range(layers):
        value = json.loads(value["content"])
    return value


@given(_harmless, st.integers(0, 3))
def test_json_without_anything_secret_stays_as_it_is(value: object, layers: int) -> None:
    assert redact(packed(value, layers)) == packed(value, layers)


@given(_prose)
def test_prose_stays_as_it_is(text: str) -> None:
    assert redact(text.encode()) == text.encode()


@given(_mixed, st.integers(0, 3))
def test_json_stays_json_with_the_same_names_and_types(value: object, layers: int) -> None:
    line = packed(value, layers)
    assert shape(unpacked(redact(line), layers)) == shape(value)


@st.composite
def _spelled(draw: st.DrawFn, name: str) -> str:
    """A name in JSON, any of its characters as an escape."""
    escaped = draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    return "".join(f"\\u{ord(c):04x}" if esc else c for c, esc in zip(name, escaped, strict=True))


@given(st.data(), _secret_names, st.integers(0, 3))
def test_nothing_under_a_secret_name_is_left_however_it_is_written(data: st.DataObject, name: str, layers: int) -> None:
    found = st.text('xyz"\\\n', min_size=1, max_size=6) | st.integers(10, 10**6)
    secret = data.draw(found | st.lists(found, min_size=1, max_size=3) | st.fixed_dictionaries({"a": found}))
    text = f'{{"before": 1, "{data.draw(_spelled(name))}": {json.dumps(secret)}, "after": "b"}}'
    line = text
    for _ in range(layers):
        line = json.dumps({"content": line})
    blanked = unpacked(redact(line.encode()), layers)
    assert (blanked["before"], blanked["after"]) == (1, "b")
    leaves = re.findall(r"[^\[\]{}:, ]+", json.dumps(blanked[name]).replace('"a"', ""))
    assert leaves
    assert all(set(leaf) <= set('"*') or set(leaf) == {"1"} for leaf in leaves)


@given(risky | st.binary(max_size=40))
def test_text_around_a_json_value_hides_nothing(text: bytes) -> None:
    line = text.replace(b"\n", b" ").replace(b'"', b"'").replace(b"\\", b"/") + b' {"password": "fg hij"}'
    assert redact(line).endswith(b'{"password": "******"}')


@given(risky | st.binary(max_size=60))
def test_nothing_secret_is_found_in_what_was_blanked_and_its_length_stays(data: bytes) -> None:
    blanked = redact(data)
    assert len(blanked) == len(data)
    assert list(find(blanked)) == []
    assert redact(blanked) == blanked
    assert all(before == after or after in b"*10" for before, after in zip(data, blanked, strict=True))


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


def test_json_over_several_lines_is_held_until_it_is_whole_and_stays_json() -> None:
    body = json.dumps({"a": [{"passwords": ["abc", 12]}]}, indent=1).encode()
    redactor = Redactor()
    assert redactor.feed(body + b"\n")[:-1] == redact(body)
    assert b"".join(redactor.feed(body[i : i + 1]) for i in range(len(body))) == b""
    assert json.loads(redactor.finish()) == {"a": [{"passwords": ["***", 11]}]}


@pytest.mark.parametrize("line", [b"[1,\n", b'{"a":[\n', b"[[],\n", b'{"\\"\\"\n', b"[}\n[,\n"])
def test_json_that_never_ends_is_read_about_once(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    text, read = line * 2_000 + b'"token"', 0
    end_of_value = redaction.end_of_value

    def counted(data: bytes, at: int) -> tuple[int, bool | None]:
        nonlocal read
        end, is_json = end_of_value(data, at)
        read += end - at
        return end, is_json

    monkeypatch.setattr(redaction, "end_of_value", counted)
    assert redact(text) == text
    assert 0 < read < 2 * len(text)


@pytest.mark.parametrize("secret", [b'"api_key":"SECRET"', b'"keys":1,"api_keys":["SECRET"]', b"API_KEY=SECRET "])
def test_a_long_line_is_blanked_in_pieces_wherever_its_secrets_stand(
    monkeypatch: pytest.MonkeyPatch, secret: bytes
) -> None:
    monkeypatch.setattr(redaction, "MAX_LINE_BYTES", 8192)
    monkeypatch.setattr(redaction, "OVERLAP_BYTES", 2048)
    secret = secret.replace(b"SECRET", b"s" * 300)
    for before in (*range(0, 8200, 800), *range(7850, 8200, 14)):
        line = b"." * before + secret + b"." * 9000 + secret + b"\nnext\n"
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


@given(_harmless.filter(lambda value: value is not None))
def test_json_without_secrets_stays_the_same_json(value: object) -> None:
    request = Request(method="POST", path="/", json=value)
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


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info"),
        *("Cookie", "Set-Cookie", "Set-Cookie2", "API-Key", "X-Api-Key", "X-Auth-Token", "X-Amz-Security-Token"),
        *("X-Goog-Api-Key", "X-Access-Token", "X-Api-Token", "X-CSRF-Token", "x-xsrf-token", "Private-Token"),
        *("Ocp-Apim-Subscription-Key", "Cf-Access-Client-Secret", "X-Vault-Token", "x-functions-key", "X-Session-Id"),
        *("Cookie2", "X-Goog-Iap-Jwt-Assertion", "Cf-Access-Jwt-Assertion", "Cf-Access-Client-Id", "X-Amz-Signature"),
        *("X-Forwarded-Client-Cert", "X-Jwt"),
        *("X-Hub-Signature-256", "X-Signature", "DPoP", "X-Mashape-Key"),
    ],
)
def test_what_a_header_of_credentials_holds_is_blank_whatever_it_is(name: str) -> None:
    assert redact_headers(((name, "x y"), ("X-Other", "x y"))) == ((name, "***"), ("X-Other", "x y"))
    one = recording(headers=(("Content-Type", "text/plain"), (name, "x y")))
    assert list(secrets_in(one)) == [(f"response.headers.{name}", "credentials")]


@pytest.mark.parametrize(
    "header",
    [
        *(("Access-Control-Allow-Credentials", "true"), ("Access-Control-Allow-Headers", "Authorization, X-Api-Key")),
        *(("Sec-WebSocket-Key", "abc"), ("Idempotency-Key", "abc"), ("X-RateLimit-Remaining-Tokens", "12345")),
        *(("WWW-Authenticate", "Basic realm=x"), ("Keep-Alive", "timeout=5"), ("Content-Length", "12345")),
    ],
)
def test_other_headers_stay(header: tuple[str, str]) -> None:
    assert redact_headers((header,)) == (header,)
    assert list(secrets_in(recording(headers=(("Content-Type", "text/plain"), header)))) == []


def test_what_a_blank_parts_from_it_is_found_as_well() -> None:
    assert redact(b"AKIAIOSFODNN7EXAMPLEsk-0123456789ab") == b"*" * 35


def test_a_finding_says_where_it_is() -> None:
    key = "sk-0123456789abcdef"
    request = {"password": "x"}
    one = recording(b'{"a":1}\n', b'{"token":"x"}\n', request_json=request, note=f"with {key}", reason=f"Got {key}")
    one = replace(one, intervention=f"killed with {key}")
    fields = ["request.json", "response.reason", "intervention", "note", "body, line 2"]
    assert [field for field, _ in secrets_in(one)] == fields
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
