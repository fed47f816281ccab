"""Numbers with fractions as Go's encoding/json writes them: float64, and float32, which has fewer digits.

Both are the shortest text that is read back as the same number, and of several the nearest. Go writes an exponent only
below 1e-6 and from 1e21 on, and no zero before its digit (`1e-7`). Python's `repr` finds the same digits of a float64.

An answer has thousands of float32, so their digits are found with `%.8g` and its like, for all of them in one step.
That is exact from 1e-4 to 1e6, where a text of 9 digits is further from the middle of two float32 than it is from what
Python reads, but not for a power of two, because the float32 below it is nearer. `_fewest_digits` finds all others.

Source: encoding/json, encode.go (`floatEncoder`); strconv, ftoa.go.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

__all__ = ["float32_texts", "float64_text", "pack_float32", "unpack_float32"]

#: With 9 digits every float32 has a text of its own, and with 6 every text has a float32 of its own.
_MOST_DIGITS, _SURE_DIGITS = 9, 6
_LEAST_FAST, _MOST_FAST = 1e-4, 1e6

#: Binary digits of a float32, and the exponent (of `frexp`) below which there are fewer.
_BITS, _LEAST_EXPONENT = 24, -125

#: The mantissa (of `frexp`) of a power of two.
_POWER = 0.5


def pack_float32(values: Sequence[float]) -> bytes:
    """The numbers rounded to float32, little-endian. Raises: OverflowError (one is too large)."""
    return struct.pack(f"<{len(values)}f", *values)


def unpack_float32(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 4}f", data)


def float64_text(value: float) -> str:
    """A finite number as Go writes a float64."""
    text = repr(float(value))
    if "e" not in text:
        return text.removesuffix(".0")
    return format(Decimal(text), "f" if 1e-6 <= abs(value) < 1e21 else "e")


def float32_texts(data: bytes) -> list[str]:
    """Finite packed numbers as Go writes float32."""
    values = unpack_float32(data)
    texts = [""] * len(values)
    fast = [place for place, value in enumerate(values) if _LEAST_FAST <= abs(value) < _MOST_FAST]
    fast = [place for place in fast if abs(math.frexp(values[place])[0]) != _POWER]
    for digits in range(_MOST_DIGITS - 1, _SURE_DIGITS - 1, -1):
        numbers = [values[place] for place in fast]
        shorter = (f"%.{digits}g " * len(numbers) % tuple(numbers)).split()
        read = unpack_float32(pack_float32([*map(float, shorter)]))
        found = []
        for place, number, text, one in zip(fast, numbers, shorter, read, strict=True):
            if number == one:
                texts[place] = text
                found.append(place)
            elif not texts[place]:
                texts[place] = f"{number:.{_MOST_DIGITS}g}"
        fast = found
    return [text or _exact_text(value) for text, value in zip(texts, values, strict=True)]


_LEAST_PLAIN, _MOST_PLAIN = unpack_float32(pack_float32([1e-6, 1e21]))


def _exact_text(value: float) -> str:
    """Any finite float32 as Go writes it."""
    size, sign = abs(value), "-" if math.copysign(1, value) < 0 else ""
    if size == 0:
        return f"{sign}0"
    return sign + format(_fewest_digits(size), "f" if _LEAST_PLAIN <= size < _MOST_PLAIN else "e")


_EXACT = Context(prec=160)


def _fewest_digits(size: float) -> Decimal:
    """The decimal number of the fewest digits that is nearer to this float32 than to any other."""
    mantissa, exponent = math.frexp(size)
    exact, step = Decimal(size), 2.0 ** (max(exponent, _LEAST_EXPONENT) - _BITS)
    is_power = mantissa == _POWER and exponent > _LEAST_EXPONENT  # the float32 below it is half as far
    low, high = _EXACT.subtract(exact, Decimal(step / (4 if is_power else 2))), _EXACT.add(exact, Decimal(step / 2))
    is_even = size / step % 2 == 0  # both ends are rounded to an even one
    nearest = ROUND_HALF_UP if is_power else ROUND_HALF_EVEN  # of two that are as near, the one that Go takes
    for digits in range(1, _MOST_DIGITS):
        for rounding in (nearest, ROUND_FLOOR, ROUND_CEILING):
            number = Context(digits, rounding).plus(exact)
            if low < number < high or (is_even and number in (low, high)):
                return number.normalize()
    return Context(_MOST_DIGITS).plus(exact)
