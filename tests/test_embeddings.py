"""Answers with vectors: read, written as Ollama writes them, and made for texts that nobody recorded."""

from __future__ import annotations

import json
import math
import re
import struct
from base64 import b64decode
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import in_one_test
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_harness.answers import Asked, Model, World, world_of
from ollama_harness.answers.completions.dialects.embeddings import embedded, read_embedding, whole_embedding
from ollama_harness.answers.completions.making.embedder import Embedder, own_embedding, own_vectors
from ollama_harness.answers.completions.making.vectors import cut, length, made_vector, normalized
from ollama_harness.answers.completions.wanted import Wanted, wanted_of
from ollama_harness.answers.go.go_float import float32_texts, float64_text, pack_float32, unpack_float32
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_everywhere

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
STORE = packaged_store()
VERSIONS = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")
NEWEST = VERSIONS[-1]
EMBED, EMBEDDINGS, OPENAI = PATHS = ("/api/embed", "/api/embeddings", "/v1/embeddings")
MODEL = "smollm2-embed:135m"
WIDTH = 576

_MEASURED = re.compile(r'("(?:total_duration|load_duration)":)\d+')


def good() -> list[Recording]:
    return [one for one in map(STORE.get, STORE.ids) if one.request.path in PATHS and one.response.status == 200]


@cache
def world(version: str) -> World:
    return world_of(STORE.of_version(version), version)


@cache
def embedder(version: str) -> Embedder:
    return Embedder(STORE.of_version(version))


def wanted_by(request: Request, version: str) -> Wanted:
    found = wanted_of(Asked(method="POST", target=request.path, body=request.content or b""), world(version))
    assert found is not None
    return found


def wanted(path: str = EMBED, version: str = NEWEST, **fields: Any) -> Wanted:
    return wanted_by(Request(method="POST", path=path, json={"model": MODEL, **fields}), version)


def masked(data: bytes) -> str:
    return _MEASURED.sub(r"\1?", data.decode())


def answer(version: str = NEWEST, path: str = EMBED, **fields: Any) -> dict[str, Any]:
    asked = wanted(path, version, **fields)
    value: dict[str, Any] = json.loads(whole_embedding(embedder(version).embedding(asked), asked))
    return value


def vectors(version: str = NEWEST, path: str = EMBED, **fields: Any) -> list[list[float]]:
    value = answer(version, path, **fields)
    match path:
        case "/api/embed":
            found: list[list[float]] = value["embeddings"]
            return found
        case "/api/embeddings":
            return [value["embedding"]]
    return [one["embedding"] for one in value["data"]]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)


# --- numbers ----------------------------------------------------------------------------------------------------------

#: What encoding/json of Go 1.26 writes, by the bits of a float32.
FLOAT32 = {
    0x00000000: "0",
    0x80000000: "-0",
    0x00000001: "1e-45",
    0x00800000: "1.1754944e-38",
    0x7F7FFFFF: "3.4028235e+38",
    0x3F800000: "1",
    0xBF000000: "-0.5",
    0x3DCCCCCD: "0.1",
    0x358637BD: "0.000001",
    0x358637BC: "9.999999e-7",
    0x34BB22ED: "3.4856876e-7",
    0x38D1B717: "0.0001",
    0x39800000: "0.00024414063",  # halfway, and a power of two
    0x43800200: "256.01562",  # halfway, down to the even one
    0x43800600: "256.04688",  # halfway, up to the even one
    0x6258D726: "999999950000000000000",
    0x6258D727: "1e+21",
    0x49742400: "1000000",
    0x4B7FFFFF: "16777215",
    0x0F800000: "1.2621775e-29",  # a power of two, whose nearest text of 8 digits is another float32
}
#: The same of a float64.
FLOAT64 = {
    0.1: "0.1",
    -0.0: "-0",
    100.0: "100",
    1e-7: "1e-7",
    1.5e-10: "1.5e-10",
    0.00001234: "0.00001234",
    1e20: "100000000000000000000",
    1e21: "1e+21",
    -3.2434773445129395: "-3.2434773445129395",
    5e-324: "5e-324",
}


@pytest.mark.parametrize(("bits", "text"), FLOAT32.items())
def test_a_float32_is_written_as_go_writes_it(bits: int, text: str) -> None:
    assert float32_texts(struct.pack("<I", bits)) == [text]


@pytest.mark.parametrize(("value", "text"), FLOAT64.items())
def test_a_float64_is_written_as_go_writes_it(value: float, text: str) -> None:
    assert float64_text(value) == text


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-1, 1, width=32), min_size=1))
@example([0.01, 2**-13, -1234.5, 999999.94])
def test_a_float32_has_the_shortest_text_that_is_read_back(values: list[float]) -> None:
    data = pack_float32(values)
    texts = float32_texts(data)
    assert pack_float32([*map(float, texts)]) == data
    digits = [len(Decimal(text).normalize().as_tuple().digits) for text in texts]
    shorter = [f"{value:.{count - 2}e}" for value, count in zip(values, digits, strict=True) if count > 1]
    longer = [value for value, count in zip(values, digits, strict=True) if count > 1]
    assert all(read_back(text) != value for text, value in zip(shorter, longer, strict=True))


def read_back(text: str) -> float:
    try:
        return unpack_float32(pack_float32([float(text)]))[0]
    except OverflowError:
        return math.inf


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float64_is_read_back_and_has_an_exponent_only_where_go_writes_one(value: float) -> None:
    text = float64_text(value)
    assert float(text) == value
    assert ("e" in text) == (value != 0 and not 1e-6 <= abs(value) < 1e21)
    assert "e-0" not in text


# --- recorded answers -------------------------------------------------------------------------------------------------


@in_one_test("recording", good())
def test_what_is_read_is_written_as_the_same_bytes(recording: Recording) -> None:
    embedding = read_embedding(recording)
    assert embedding is not None
    asked = wanted_by(recording.request, recording.ollama_version)
    made = embedded(embedding, asked, request=recording.request, name=recording.name)
    assert [(frame.at_s, frame.data) for frame in made.frames] == [(one.at_s, one.data) for one in recording.frames]
    hidden = [(name, "" if name == "Date" else value) for name, value in recording.response.headers]
    assert [*made.response.headers] == hidden
    assert (made.name, made.ollama_version) == (recording.name, recording.ollama_version)


#: What no other recording has the vector of.
ALONE = {"embed-long-default", "embeddings-legacy"}


@in_one_test("recording", good())
def test_a_text_has_the_vector_of_any_other_route(recording: Recording) -> None:
    """Each answer is made of the other recordings: the very numbers, but for how long it took."""
    others = [one for one in STORE.of_version(recording.ollama_version) if one.name != recording.name]
    asked = wanted_by(recording.request, recording.ollama_version)
    made = whole_embedding(Embedder(others).embedding(asked), asked)
    if recording.name in ALONE:
        assert json.loads(made).keys() == json.loads(recording.body).keys()
    else:
        assert masked(made) == masked(recording.body)


def test_the_older_route_has_the_length_that_the_model_gives() -> None:
    [older] = vectors("0.24.0", EMBEDDINGS, prompt="sky")
    [newer] = vectors(NEWEST, EMBEDDINGS, prompt="sky")
    assert math.hypot(*older) == pytest.approx(46.5, rel=0.01)
    assert older[:2] == pytest.approx([-0.5984905958175659, -0.8455543518066406], rel=0.01)
    assert math.hypot(*newer) == pytest.approx(1)


def test_a_recording_that_holds_no_vectors_is_passed_over() -> None:
    [one] = [one for one in good() if one.id == f"{NEWEST}/embed-dimensions"]
    bodies = (b"", b"[]", b"{", b'{"embeddings":3}', b'{"embeddings":[["a"]]}', b'{"embeddings":[[1e300]]}')
    broken = [replaced(one, body) for body in bodies]
    assert [read_embedding(each) for each in broken] == [None] * len(bodies)
    assert Embedder(broken).embedding(wanted(input="sky")) == Embedder([]).embedding(wanted(input="sky"))


def replaced(recording: Recording, body: bytes) -> Recording:
    return replace(recording, frames=(replace(recording.frames[0], data=body),))


# --- the requests that real servers were asked ------------------------------------------------------------------------


def asked_ids() -> list[tuple[str, str]]:
    """The requests for vectors that were answered, of each version."""
    return [
        (version, id_)
        for version in VERSIONS
        for id_, one in requests(version).items()
        if one["status"] == 200 and one["request"]["target"].partition("?")[0] in PATHS
    ]


@cache
def requests(version: str) -> dict[str, dict[str, Any]]:
    lines = (REQUESTS / f"{version}.jsonl").read_text("utf-8").splitlines()
    return {one["id"]: one for one in map(json.loads, lines)}


#: Requests for texts that no recording has, or (of /api/embeddings) not on this route.
UNRECORDED = {"v1emb-input-three", "embeddings-input-unicode", "embeddings-json-two"}


@in_one_test("version id_", asked_ids())
def test_a_request_is_answered_as_a_real_server_answered_it(version: str, id_: str) -> None:
    real = requests(version)[id_]
    sent = real["request"]
    asked = Asked(method="POST", target=sent["target"], body=sent["body"].encode())
    want = wanted_of(asked, asked_world(version))
    assert want is not None
    made = embedded(embedder(version).embedding(want), want, request=Request(method="POST", path=asked.path), name="x")
    assert said_head(made.response.headers) == said_head(real["headers"])
    body, real_body = made.body.decode(), whole_or_begun(real)
    if real_body.rstrip().endswith("}"):
        assert masked(body.encode()) == masked(real_body.encode())
    elif id_ in UNRECORDED:
        assert NUMBERS.sub("N", body).startswith(NUMBERS.sub("N", real_body.rstrip("-.,e")))
        assert body.count('"embedding":[') == len(want.texts)
    else:
        assert body.startswith(real_body)


NUMBERS = re.compile(r"-?\d[-\d.e]*(,-?\d[-\d.e]*)*")


def asked_world(version: str) -> World:
    """The models of the servers that were asked."""
    names = ("smollm2:135m", "smollm2-tools:135m", "smollm2-think:135m", MODEL)
    return World(version=version, models={name: Model(name=name) for name in names})


def said_head(headers: Any) -> list[tuple[str, str]]:
    return [(name, "" if name in ("Date", "Content-Length") else value) for name, value in headers]


def whole_or_begun(one: dict[str, Any]) -> str:
    """The body without its transfer coding, as far as it was kept."""
    body: str = one["body"]
    if ["Transfer-Encoding", "chunked"] in one["headers"]:
        length_, _, rest = body.partition("\r\n")
        return rest[: int(length_, 16)]
    return body


# --- made answers -----------------------------------------------------------------------------------------------------

WORDS = st.lists(
    st.sampled_from(["sun", "moon", "Rain", "wind", "snow", "ice", "sea"]), min_size=1, max_size=3, unique=True
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [EMBED, OPENAI])
def test_each_text_gets_one_vector_of_length_1(version: str, path: str) -> None:
    found = vectors(version, path, input=["one", "two words", "sky", "one"])
    assert [len(vector) for vector in found] == [WIDTH] * 4
    assert [math.hypot(*vector) for vector in found] == pytest.approx([1] * 4)
    assert found[0] == found[3] != found[1]


def test_the_same_text_has_the_same_vector_in_every_form() -> None:
    [plain] = vectors(input="a text")
    [legacy] = vectors(path=EMBEDDINGS, prompt="a text")
    [packed] = vectors(path=OPENAI, input=["a text"], encoding_format="base64")
    assert vectors(path=OPENAI, input="a text") == [plain]
    assert pack_float32(legacy) == pack_float32(plain) == b64decode(str(packed))


def test_base64_is_the_form_only_where_the_version_has_it() -> None:
    def kind(version: str, form: str) -> type:
        return type(vectors(version, OPENAI, input="x", encoding_format=form)[0])

    assert [kind(version, "Base64") for version in VERSIONS] == [list, list, str, str, str]
    assert kind(NEWEST, "float") is list


def test_dimensions_cut_a_vector_where_the_version_has_them() -> None:
    assert [len(vectors(version, input="a text", dimensions=64)[0]) for version in VERSIONS] == [576, 576, 64, 64, 64]
    [whole], [first] = vectors(input="a text"), vectors(input="a text", dimensions=64)
    assert math.hypot(*first) == pytest.approx(1)
    assert cosine(first, whole[:64]) == pytest.approx(1)
    assert vectors(path=OPENAI, input="a text", dimensions=64) == [first]


@pytest.mark.parametrize("dimensions", [-1, 0, WIDTH, 4096])
def test_dimensions_that_the_model_has_not_leave_a_vector_as_it_is(dimensions: int) -> None:
    assert vectors(input="a text", dimensions=dimensions) == vectors(input="a text")


def test_a_model_that_was_not_recorded_has_the_dimensions_that_are_asked() -> None:
    sizes = [None, 8, WIDTH, 1024, 10**15]
    found = [vectors(model="nomic-embed-text", input=["sky", "other"], dimensions=size) for size in sizes]
    assert [len(each[0]) for each in found] == [WIDTH, 8, WIDTH, 1024, WIDTH]
    assert [math.hypot(*vector) for each in found for vector in each] == pytest.approx([1] * 10)
    assert found[0][0] == vectors(input="sky")[0]


@given(WORDS, WORDS)
def test_texts_that_share_words_are_nearer_than_texts_that_do_not(words: list[str], others: list[str]) -> None:
    one, shares, other = (
        list(unpack_float32(made_vector(text, WIDTH)))
        for text in (
            " ".join(words),
            f"{' '.join(others)} {words[0].upper()}?",
            " ".join(f"un{each}" for each in words),
        )
    )
    assert cosine(one, shares) > cosine(one, other) + 0.05
    assert cosine(one, one) == pytest.approx(1)


def test_a_search_finds_the_text_that_answers() -> None:
    texts = [
        "Llamas are members of the camelid family, closely related to vicuñas and camels.",
        "Llamas were first domesticated and used as pack animals in the Peruvian highlands.",
        "The capital of France is Paris.",
        "日本の首都は東京です。",
    ]
    found = vectors(input=texts)
    asked = ["What animals are llamas related to?", "capital of France", "東京はどこですか"]
    nearest = [max(range(4), key=lambda at, one=one: cosine(one, found[at])) for one in vectors(input=asked)]
    assert nearest == [0, 2, 3]


@given(st.text(), st.integers(2, 64))
def test_any_text_has_a_vector_of_its_own_that_never_changes(text: str, width: int) -> None:
    vector = made_vector(text, width)
    made_vector.cache_clear()
    assert made_vector(text, width) == vector
    assert len(vector) == 4 * width
    assert length(vector) == pytest.approx(1)
    assert made_vector(f"{text}!", width) != vector


def test_a_vector_depends_on_the_text_and_not_on_the_machine() -> None:
    assert unpack_float32(made_vector("Hello, world!", 4)) == pytest.approx(
        [-0.20788394, 0.7373661, 0.600751, -0.22841568], abs=1e-6
    )


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.integers(-3, 30))
def test_a_vector_that_is_cut_has_length_1_or_is_the_same(values: list[float], dimensions: int) -> None:
    vector = pack_float32(values)
    found = cut(vector, dimensions)
    if 0 < dimensions < len(values):
        assert found == normalized(vector[: 4 * dimensions])
        assert length(found) == pytest.approx(1, rel=1e-4) or not any(abs(one) > 1e-15 for one in values[:dimensions])
    else:
        assert found == vector


def test_numbers_whose_squares_are_too_large_are_normalized_too() -> None:
    assert unpack_float32(normalized(pack_float32([3e30, 4e30]))) == pytest.approx([0.6, 0.8])
    assert normalized(bytes(8)) == bytes(8)


def test_without_a_text_there_is_no_vector_and_no_duration() -> None:
    assert answer(input=[]) == answer(input="") == answer() == {"model": MODEL, "embeddings": []}
    assert answer(path=EMBEDDINGS, prompt="") == {"embedding": []}


def test_tokens_and_durations_are_plausible() -> None:
    short, long = answer(input="two words"), answer(input=["The quick brown fox jumps over the lazy dog."] * 3)
    assert list(short) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert [short["prompt_eval_count"], long["prompt_eval_count"]] == [2, 30]
    assert 0 < short["load_duration"] < short["total_duration"] < long["total_duration"] < 1e9
    assert answer(input="The quick brown fox", options={"num_ctx": 3})["prompt_eval_count"] == 3
    assert answer(path=OPENAI, input="two words")["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_the_answer_names_the_model_as_it_was_asked_for() -> None:
    asked = wanted(model="Smollm2-Embed:135M", input="sky")
    body = whole_embedding(embedder(NEWEST).embedding(asked), asked)
    assert body.startswith(b'{"model":"Smollm2-Embed:135M","embeddings":[[-0.012866795,')


def test_a_small_answer_has_a_length_and_a_large_one_is_chunked() -> None:
    def coding(**fields: Any) -> str:
        asked = wanted(input="a text", **fields)
        made = embedded(embedder(NEWEST).embedding(asked), asked, request=Request(method="POST", path=EMBED), name="x")
        return made.response.headers[-1][0]

    assert [coding(dimensions=4), coding()] == ["Content-Length", "Transfer-Encoding"]


def test_without_recordings_there_are_vectors_too() -> None:
    found = Embedder([]).embedding(wanted(EMBEDDINGS, prompt="a text"))
    assert length(found.vectors[0]) == pytest.approx(1)
    assert found.total_ns > found.load_ns > 0


# --- the user's own ---------------------------------------------------------------------------------------------------


def test_own_vectors_come_as_they_are() -> None:
    own = own_vectors([[0.1, -2, 1e-7], [0.25, 0, 3]])
    asked = wanted(input=["a", "b", "c"], dimensions=2)
    body = whole_embedding(own_embedding(own, asked), asked)
    assert b'"embeddings":[[0.1,-2,1e-7],[0.25,0,3],[0.1,-2,1e-7]]' in body
    legacy = wanted(EMBEDDINGS, prompt="a")
    assert whole_embedding(own_embedding(own, legacy), legacy) == (
        b'{"embedding":[0.10000000149011612,-2,1.0000000116860974e-7]}'
    )
    assert own_embedding(own, wanted(input=[])).vectors == ()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([], "no vector"),
        ([[]], "vector 1 is no list of numbers"),
        ([0.1, 0.2], "vector 1 is no list of numbers"),
        (["0.1"], "vector 1 is no list of numbers"),
        ([[1], [1, math.nan]], "vector 2 has nan"),
        ([[1e300]], r"vector 1 has 1e\+300"),
        ([["a"]], "vector 1 has 'a'"),
        ([[True]], "vector 1 has True"),
        ([[1, 2], [1]], "vector 2 has 1 numbers, and the first has 2"),
    ],
)
def test_own_vectors_that_cannot_be_sent_are_refused(own: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own_vectors(own)
