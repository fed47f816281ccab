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
from collections.abc import Sequence
from functools import lru_cache
from hashlib import shake_128

from ollama_harness.answers.go.go_float import pack_float32, unpack_float32

__all__ = ["cut", "length", "made_vector", "normalized", "scaled"]

#: A word. Scripts without blanks between their words count by letters.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")

#: How much of a text are its words, and how much is its own.
_WORDS_WEIGHT = 10

#: The middle of what a byte can be.
_CENTER = 127.5

_ONE = struct.Struct("<f")


def normalized(vector: bytes) -> bytes:
    """The vector with a length of 1; one of zeros stays as it is."""
    values = unpack_float32(vector)
    total, pack, unpack = 0.0, _ONE.pack, _ONE.unpack
    try:
        for square in unpack_float32(pack_float32([value * value for value in values])):
            [total] = unpack(pack(total + square))
    except OverflowError:  # no model gives such numbers
        return _of_length_1(values)
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
    own, words = _direction(text, width), [_direction(word, width) for word in _WORD.findall(text.lower())]
    totals = map(sum, zip(*words, strict=True)) if words else [0] * width
    center = _CENTER * (_WORDS_WEIGHT * len(words) + 1)
    numbers = [_WORDS_WEIGHT * total + one - center for total, one in zip(totals, own, strict=True)]
    return _of_length_1(numbers)


def _of_length_1(numbers: Sequence[float]) -> bytes:
    size = math.hypot(*numbers) or 1
    return pack_float32([number / size for number in numbers])


@lru_cache(maxsize=4096)
def _direction(text: str, width: int) -> bytes:
    """A byte for each number of a vector, as random as can be, and the same for the same text."""
    return shake_128(text.encode("utf-8", "surrogatepass")).digest(width)
