"""Names of models, read as Ollama reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.answers.model_name import ConflictingSourceError, ModelName, ModelSource, parse_name, parse_ref

LETTERS = "abcXYZ019_"
PART = st.text(alphabet=LETTERS, min_size=1, max_size=8)
#: Text with what separates parts, and letters that no part may have.
TEXT = st.text(alphabet=LETTERS + ":/.-@ é\n", max_size=24) | st.text(max_size=24)


@pytest.mark.parametrize(
    ("text", "full", "short"),
    [
        ("m", "registry.ollama.ai/library/m:latest", "m:latest"),
        ("m:7b", "registry.ollama.ai/library/m:7b", "m:7b"),
        ("me/m", "registry.ollama.ai/me/m:latest", "me/m:latest"),
        ("h.com/me/m:t", "h.com/me/m:t", "h.com/me/m:t"),
        ("h:80/me/m", "h:80/me/m:latest", "h:80/me/m:latest"),
        ("https://h/me/m", "h/me/m:latest", "h/me/m:latest"),
        ("registry.ollama.ai/library/m:7b", "registry.ollama.ai/library/m:7b", "m:7b"),
        ("Registry.ollama.ai/LIBRARY/M", "Registry.ollama.ai/LIBRARY/M:latest", "M:latest"),
    ],
)
def test_valid_names_are_filled_in(text: str, full: str, short: str) -> None:
    name = parse_name(text)
    assert (name.is_valid, name.full, name.short) == (True, full, short)


@pytest.mark.parametrize(
    ("text", "full"),
    [
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
    ],
)
def test_invalid_names_keep_what_was_asked(text: str, full: str) -> None:
    name = parse_name(text)
    assert (name.is_valid, name.full) == (False, full)


@pytest.mark.parametrize(("part", "greatest"), [("host", 350), ("namespace", 80), ("model", 80), ("tag", 80)])
def test_each_part_has_a_greatest_length(part: str, greatest: int) -> None:
    parts = {"host": "h", "namespace": "n", "model": "m", "tag": "t"}
    assert ModelName(**parts | {part: "x" * greatest}).is_valid
    assert not ModelName(**parts | {part: "x" * (greatest + 1)}).is_valid
    assert not ModelName(**parts | {part: ""}).is_valid


@given(host=PART, namespace=PART, model=PART, tag=PART)
def test_full_and_short_names_read_as_themselves(host: str, namespace: str, model: str, tag: str) -> None:
    name = ModelName(host=host, namespace=namespace, model=model, tag=tag)
    assert parse_name(name.full) == name
    assert parse_name(name.short).key == name.key
    assert parse_name(name.full.upper()).key == name.key


@given(TEXT)
def test_any_text_is_a_name_with_four_parts(text: str) -> None:
    name = parse_name(text)
    assert name.host
    assert name.namespace
    assert name.tag
    if name.is_valid:
        assert parse_name(name.short).key == name.key


@pytest.mark.parametrize(
    ("text", "base", "source", "stub"),
    [
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
    ],
)
def test_a_name_says_where_its_model_is(text: str, base: str, source: ModelSource, stub: str) -> None:
    ref = parse_ref(text)
    assert ref is not None
    assert (ref.base, ref.source, ref.stub) == (base, source, stub)


@pytest.mark.parametrize("text", ["", " ", "\t\r\n\x85"])
def test_an_empty_name_is_none(text: str) -> None:
    assert parse_ref(text) is None


@pytest.mark.parametrize("text", ["m:cloud:local", "m:local:cloud", "m:7b-cloud:local", "m:cloud:cloud"])
def test_a_name_with_two_sources_is_refused(text: str) -> None:
    with pytest.raises(ConflictingSourceError):
        parse_ref(text)


@given(TEXT)
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        ref = parse_ref(text)
    except ConflictingSourceError:
        return
    assert ref is None or ref.stub.startswith(ref.base)
