"""Names of models, read as Ollama reads them."""

from __future__ import annotations

import pytest
from builders import A_FEW
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers.model_name import ConflictingSourceError, ModelName, ModelSource, parse_name, parse_ref

pytestmark = pytest.mark.same_everywhere

LETTERS = "abcXYZ019_"
PART = st.text(alphabet=LETTERS, min_size=1, max_size=8)
#: Text with what separates parts, and letters that no part may have.
TEXT = st.text(alphabet=LETTERS + ":/.-@ é\n", max_size=24) | st.text(max_size=24)


VALID: list[tuple[str, str, str]] = [
    ("m", "registry.ollama.ai/library/m:latest", "m:latest"),
    ("m:7b", "registry.ollama.ai/library/m:7b", "m:7b"),
    ("me/m", "registry.ollama.ai/me/m:latest", "me/m:latest"),
    ("h.com/me/m:t", "h.com/me/m:t", "h.com/me/m:t"),
    ("h:80/me/m", "h:80/me/m:latest", "h:80/me/m:latest"),
    ("https://h/me/m", "h/me/m:latest", "h/me/m:latest"),
    ("registry.ollama.ai/library/m:7b", "registry.ollama.ai/library/m:7b", "m:7b"),
    ("Registry.ollama.ai/LIBRARY/M", "Registry.ollama.ai/LIBRARY/M:latest", "M:latest"),
]


def test_valid_names_are_filled_in() -> None:
    names = [(text, parse_name(text)) for text, _, _ in VALID]
    assert [(text, name.full, name.short) for text, name in names if name.is_valid] == VALID


INVALID: list[tuple[str, str]] = [
    ("", "registry.ollama.ai/library/:latest"),
    (" ", "registry.ollama.ai/library/ :latest"),
    ("/", "registry.ollama.ai/!MISSING!/!MISSING!:latest"),
    (":", "registry.ollama.ai/library/!MISSING!:!MISSING!"),
    ("m:", "registry.ollama.ai/library/m:!MISSING!"),
    ("m:7b:", "registry.ollama.ai/library/m:7b:!MISSING!"),
    ("../../etc/passwd", "../../etc/passwd:latest"),
    ("m@sha256:abc", "registry.ollama.ai/library/m@sha256:abc"),
    ("modèle", "registry.ollama.ai/library/modèle:latest"),
    ("a b", "registry.ollama.ai/library/a b:latest"),
    ("a.b/m", "registry.ollama.ai/a.b/m:latest"),
    ("-m", "registry.ollama.ai/library/-m:latest"),
    ("m\n", "registry.ollama.ai/library/m\n:latest"),
]


def test_invalid_names_keep_what_was_asked() -> None:
    names = [(text, parse_name(text)) for text, _ in INVALID]
    assert [(text, name.full) for text, name in names if not name.is_valid] == INVALID


@pytest.mark.parametrize(("part", "greatest"), [("host", 350), ("namespace", 80), ("model", 80), ("tag", 80)])
def test_each_part_has_a_greatest_length(part: str, greatest: int) -> None:
    parts = {"host": "h", "namespace": "n", "model": "m", "tag": "t"}
    assert ModelName(**parts | {part: "x" * greatest}).is_valid
    assert not ModelName(**parts | {part: "x" * (greatest + 1)}).is_valid
    assert not ModelName(**parts | {part: ""}).is_valid


@A_FEW
@given(host=PART, namespace=PART, model=PART, tag=PART)
def test_full_and_short_names_read_as_themselves(host: str, namespace: str, model: str, tag: str) -> None:
    name = ModelName(host=host, namespace=namespace, model=model, tag=tag)
    assert parse_name(name.full) == name
    assert parse_name(name.short).key == name.key
    assert parse_name(name.full.upper()).key == name.key


@A_FEW
@given(TEXT)
def test_any_text_is_a_name_with_four_parts(text: str) -> None:
    name = parse_name(text)
    assert name.host
    assert name.namespace
    assert name.tag
    if name.is_valid:
        assert parse_name(name.short).key == name.key


PLACES: list[tuple[str, str, ModelSource, str]] = [
    ("m", "m", ModelSource.UNSPECIFIED, "m"),
    (" m:7b\n", "m:7b", ModelSource.UNSPECIFIED, "m:7b"),
    ("m:cloud", "m", ModelSource.CLOUD, "m:cloud"),
    ("m:CLOUD", "m", ModelSource.CLOUD, "m:cloud"),
    ("m:120b-cloud", "m:120b", ModelSource.CLOUD, "m:120b-cloud"),
    ("m:120b:cloud", "m:120b", ModelSource.CLOUD, "m:120b-cloud"),
    ("m:local", "m", ModelSource.LOCAL, "m"),
    ("m-cloud", "m-cloud", ModelSource.UNSPECIFIED, "m-cloud"),
    ("h:80/n/m-cloud", "h:80/n/m-cloud", ModelSource.UNSPECIFIED, "h:80/n/m-cloud"),
    ("m:7b:", "m:7b:", ModelSource.UNSPECIFIED, "m:7b:"),
]


def test_a_name_says_where_its_model_is() -> None:
    refs = [(text, parse_ref(text)) for text, *_ in PLACES]
    assert [(text, ref.base, ref.source, ref.stub) for text, ref in refs if ref is not None] == PLACES


@pytest.mark.parametrize("text", ["", " ", "\t\r\n\x85"])
def test_an_empty_name_is_none(text: str) -> None:
    assert parse_ref(text) is None


@pytest.mark.parametrize("text", ["m:cloud:local", "m:local:cloud", "m:7b-cloud:local", "m:cloud:cloud"])
def test_a_name_with_two_sources_is_refused(text: str) -> None:
    with pytest.raises(ConflictingSourceError):
        parse_ref(text)


@A_FEW
@given(TEXT)
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        ref = parse_ref(text)
    except ConflictingSourceError:
        assert ":" in text
    else:
        assert ref is None or ref.stub.startswith(ref.base)
