"""Vectors for the texts of a request: a text that was recorded gets its own, any other one that is made.

`dimensions` cuts it since 0.11.11, and never makes it longer. A model that was not recorded has as many as are asked.

Source: the recordings; server/routes.go (`EmbedHandler`, `EmbeddingsHandler`).
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ollama_harness.answers.completions.completion import LOAD_NS
from ollama_harness.answers.completions.dialects.embeddings import Embedding, read_embedding
from ollama_harness.answers.completions.making.vectors import cut, length, made_vector, normalized, scaled
from ollama_harness.answers.completions.tokens import count
from ollama_harness.answers.completions.wanted import Wanted
from ollama_harness.answers.fitting import model_of
from ollama_harness.answers.go.go_float import pack_float32
from ollama_harness.answers.model_name import parse_name
from ollama_harness.answers.requests.model_use import Use
from ollama_harness.recordings.recording import Recording, Request

__all__ = ["Embedder", "own_embedding", "own_vectors"]

_EMBEDDINGS = "/api/embeddings"

#: What a text takes, and how wide a vector is (that of nomic-embed-text), where nothing was recorded.
_TEXT_NS = 20_112_904
_WIDTH = 768

#: No model has wider vectors.
_WIDEST = 16_384


def own_vectors(vectors: Sequence[Sequence[float]]) -> tuple[bytes, ...]:
    """The user's own vectors, packed.

    Raises: ValueError (no vector, an empty one, two widths, or a number that no float32 can hold).
    """
    if isinstance(vectors, str | bytes) or not isinstance(vectors, Sequence) or not vectors:
        raise ValueError("there is no vector; give at least one: [[0.1, 0.2, 0.3]]")
    packed = tuple(_packed(vector, number) for number, vector in enumerate(vectors, start=1))
    for number, vector in enumerate(packed, start=1):
        if len(vector) != len(packed[0]):
            raise ValueError(
                f"vector {number} has {len(vector) // 4} numbers, and the first has {len(packed[0]) // 4}; "
                "give all the same width, as a model does"
            )
    return packed


def own_embedding(vectors: Sequence[bytes], wanted: Wanted) -> Embedding:
    """The user's own vectors, as they are: one for each text, from the first again where there are more texts."""
    texts = wanted.texts
    return _answer((vectors[index % len(vectors)] for index in range(len(texts))), map(count, texts), wanted)


def _packed(vector: Sequence[float], number: int) -> bytes:
    """One of the user's own, checked. `number` says which, in errors."""
    if isinstance(vector, str | bytes) or not isinstance(vector, Sequence) or not vector:
        raise ValueError(f"vector {number} is no list of numbers; give a list of lists: [[0.1, 0.2, 0.3]]")
    for value in vector:
        try:
            if isinstance(value, bool) or not math.isfinite(value):
                raise TypeError
            pack_float32([value])
        except (TypeError, OverflowError, struct.error):
            raise ValueError(f"vector {number} has {value!r}, which is no number that a float32 can hold") from None
    return pack_float32(vector)


def _answer(
    vectors: Iterable[bytes],
    tokens: Iterable[int],
    wanted: Wanted,
    *,
    load_ns: int = LOAD_NS,
    text_ns: int = _TEXT_NS,
) -> Embedding:
    """An answer with the tokens of each text; none has more than the context."""
    if not wanted.texts:
        return Embedding(end_s=load_ns / 1e9)
    options = wanted.body.get("options")
    context = options.get("num_ctx") if isinstance(options, Mapping) else None
    if isinstance(context, int) and context > 0:
        tokens = (min(each, context) for each in tokens)
    total_ns = load_ns + text_ns * len(wanted.texts)
    return Embedding(
        vectors=tuple(vectors), prompt_tokens=sum(tokens), total_ns=total_ns, load_ns=load_ns, end_s=total_ns / 1e9
    )


class Embedder:
    """Finds vectors for texts. `recordings` are those of one version; a text has the same vector on all routes."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._normal = _Known()
        self._raw = _Known()
        self._tokens: dict[str, int] = {}
        self._widths: dict[str, int] = {}
        self._lengths: dict[str, float] = {}
        timed: list[tuple[int, int]] = []
        for recording in recordings:
            embedding, texts = read_embedding(recording), _texts_of(recording.request)
            if embedding is None or not texts or len(embedding.vectors) != len(texts):
                continue
            self._learn(recording.request, texts, embedding)
            if embedding.total_ns:
                timed.append((embedding.load_ns, (embedding.total_ns - embedding.load_ns) // len(texts)))
        self._load_ns = min((load_ns for load_ns, _ in timed), default=LOAD_NS)
        self._text_ns = min((text_ns for _, text_ns in timed), default=_TEXT_NS)

    def _learn(self, request: Request, texts: Sequence[str], embedding: Embedding) -> None:
        model = parse_name(model_of(request)).key
        is_raw = request.path == _EMBEDDINGS
        if len(texts) == 1 and embedding.prompt_tokens:
            self._tokens[texts[0]] = embedding.prompt_tokens
        for text, vector in zip(texts, embedding.vectors, strict=True):
            width = len(vector) // 4
            if width == request.json.get("dimensions"):  # it was cut
                continue
            (self._raw if is_raw else self._normal).add(text, model, vector)
            self._widths.setdefault(model, width)
            if is_raw:
                self._lengths.setdefault(model, length(vector))

    def embedding(self, wanted: Wanted) -> Embedding:
        """The answer to a request: a vector for each of its texts."""
        model = parse_name(wanted.model).key
        width = self._widths.get(model) or self._unknown_width(wanted.dimensions)
        if wanted.use is Use.EMBEDDINGS:
            vectors = (self._raw_vector(text, model, width) for text in wanted.texts)
        else:
            vectors = (cut(self._vector(text, model, width), wanted.dimensions) for text in wanted.texts)
        tokens = (self._tokens.get(text) or count(text) for text in wanted.texts)
        return _answer(vectors, tokens, wanted, load_ns=self._load_ns, text_ns=self._text_ns)

    def _unknown_width(self, dimensions: int) -> int:
        """How wide the vectors of a model are that was not recorded."""
        width = next(iter(self._widths.values()), _WIDTH)
        return max(width, dimensions) if dimensions <= _WIDEST else width

    def _vector(self, text: str, model: str, width: int) -> bytes:
        if (found := self._normal.find(text, model, width)) is not None:
            return found
        raw = self._raw.find(text, model, width)
        return made_vector(text, width) if raw is None else normalized(raw)

    def _raw_vector(self, text: str, model: str, width: int) -> bytes:
        """The vector as the model gives it; one that is not known has the length of those that are."""
        if (found := self._raw.find(text, model, width)) is not None:
            return found
        size = self._lengths.get(model) or next(iter(self._lengths.values()), 1.0)
        return scaled(self._vector(text, model, width), size)


class _Known:
    """The vectors of recorded texts, by model."""

    def __init__(self) -> None:
        self._by_text: dict[str, dict[str, bytes]] = defaultdict(dict)

    def add(self, text: str, model: str, vector: bytes) -> None:
        self._by_text[text].setdefault(model, vector)

    def find(self, text: str, model: str, width: int) -> bytes | None:
        """The vector that this model gave, or any other of this width; None if there is none."""
        found = {key: vector for key, vector in self._by_text.get(text, {}).items() if len(vector) == 4 * width}
        return found.get(model) or next(iter(found.values()), None)


def _texts_of(request: Request) -> tuple[str, ...]:
    """The texts of a recorded request."""
    value = request.json if isinstance(request.json, Mapping) else {}
    match value.get("prompt" if request.path == _EMBEDDINGS else "input"):
        case str() as text if text:
            return (text,)
        case list() as texts if all(isinstance(text, str) for text in texts):
            return tuple(texts)
    return ()
