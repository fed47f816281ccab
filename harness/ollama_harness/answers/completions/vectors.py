"""Vectors: the numbers that stand for a text, as packed float32, which is what Ollama calculates with.

`normalized` gives the very bits that Ollama gives: it adds up in float32, one number after the other.

`made_vector` makes one for a text that no model has seen. Each word has a direction of its own, which only depends on
the word, and a text lies between those of its words. So texts that share words are nearer to each other than texts that
do not, and a search over them finds what it should. A tenth is the text's own, because two texts with the same words
are still two.

Source: server/routes.go (`normalize`, `EmbedHandler`); the recordings `embed-one` and `embeddings-legacy` are one
vector before and after it.
"""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from hashlib import shake_128

from ollama_harness.answers.go.go_float import pack_float32, unpack_float32

__all__ = ["cut", "length", "made_vector", "normalized", "scaled"]

#: A word. Scripts without blanks between their words count by letters.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")

_WORDS_WEIGHT = 10

_ONE = struct.Struct("<f")


def normalized(vector: bytes) -> bytes:
    """The vector with a length of 1; one of zeros stays as it is."""
    values = unpack_float32(vector)
    squares = unpack_float32(pack_float32([value * value for value in values]))
    total, pack, unpack = 0.0, _ONE.pack, _ONE.unpack
    for square in squares:
        [total] = unpack(pack(total + square))
    if total == 0:
        return vector
    return scaled(vector, 1 / math.sqrt(total))


def scaled(vector: bytes, factor: float) -> bytes:
    """The vector with each number multiplied by a factor, in float32."""
    [factor] = unpack_float32(pack_float32([factor]))
    return pack_float32([value * factor for value in unpack_float32(vector)])


def length(vector: bytes) -> float:
    return math.hypot(*unpack_float32(vector))


def cut(vector: bytes, dimensions: int) -> bytes:
    """The first numbers of a vector, normalized again; the vector itself where it has no more, or for less than one."""
    size_bytes = 4 * dimensions
    return normalized(vector[:size_bytes]) if 0 < size_bytes < len(vector) else vector


@lru_cache(maxsize=512)
def made_vector(text: str, width: int) -> bytes:
    """A vector of `width` numbers and length 1 that depends on the text alone."""
    own = _direction(text, width)
    words = [_direction(word, width) for word in _WORD.findall(text.lower())]
    if words:
        own = tuple(_WORDS_WEIGHT * sum(column) + one for *column, one in zip(*words, own, strict=True))
    return normalized(pack_float32(own))


@lru_cache(maxsize=2048)
def _direction(text: str, width: int) -> tuple[int, ...]:
    """Numbers of any size and sign that only the text decides about."""
    digest = shake_128(text.encode("utf-8", "surrogatepass")).digest(2 * width)
    return struct.unpack(f"<{width}h", digest)
