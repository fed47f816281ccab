"""Types of Go as values, with the names that Go has for them, since the errors of its JSON decoder show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

__all__ = [
    "ANY",
    "BOOL",
    "FLOAT32",
    "FLOAT64",
    "INT",
    "RAW",
    "STRING",
    "UINT8",
    "Any_",
    "Bool",
    "Bytes",
    "Custom",
    "ErrorKind",
    "Field",
    "Float",
    "GoError",
    "GoSlice",
    "GoType",
    "Int",
    "Map",
    "Members",
    "Number",
    "Ordered",
    "Pointer",
    "RawMessage",
    "Struct",
    "Text",
    "fields",
    "fold_name",
]


class ErrorKind(StrEnum):
    """What a decoder objects to."""

    EMPTY = "empty"  # there is no value at all
    SYNTAX = "syntax"
    TYPE = "type"
    OWN = "own"  # a type with a decoder of its own has refused its value


@dataclass(frozen=True, slots=True)
class GoError:
    """An error of the decoder. `text` is as Go's `Error()` gives it; `EOF` if there is no value at all."""

    text: str
    kind: ErrorKind = ErrorKind.OWN


class Number(float):
    """A number that is no plain integer, with its text."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


class Members(dict[str, Any]):
    """A JSON object. `pairs` has every member as it was sent; the value of a key that came twice is the last one."""

    __slots__ = ("pairs",)
    pairs: list[tuple[str, Any]]

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


# --- types ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GoType:
    """A type of Go. `name` is what errors call it."""

    name: str

    def zero(self) -> Any:
        """The value of a field that did not come."""
        return None


@dataclass(frozen=True, kw_only=True)
class Text(GoType):
    """A string, also one with a name of its own."""

    name: str = "string"

    def zero(self) -> Any:
        return ""


@dataclass(frozen=True, kw_only=True)
class Bool(GoType):
    name: str = "bool"

    def zero(self) -> Any:
        return False


@dataclass(frozen=True, kw_only=True)
class Int(GoType):
    name: str = "int"
    bits: int = 64
    signed: bool = True

    def zero(self) -> Any:
        return 0

    def holds(self, text: str) -> bool:
        """Whether a number is in the range; an unsigned one has no sign at all."""
        number = int(text)
        low = -(1 << (self.bits - 1)) if self.signed else 0
        return (self.signed or text[0] != "-") and low <= number < (1 << (self.bits - 1 if self.signed else self.bits))


@dataclass(frozen=True, kw_only=True)
class Float(GoType):
    name: str = "float64"

    def zero(self) -> Any:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Any_(GoType):
    """`any`: the value as it came, numbers as int or Number, objects as Members."""

    name: str = "interface {}"


@dataclass(frozen=True, kw_only=True)
class RawMessage(GoType):
    """json.RawMessage: the text of the value as it was sent, null included; None if it did not come."""

    name: str = "json.RawMessage"


@dataclass(frozen=True, kw_only=True)
class Bytes(GoType):
    """A slice of bytes, sent as base64 text."""

    name: str = "[]uint8"


@dataclass(frozen=True, kw_only=True)
class Pointer(GoType):
    """A pointer: None for null. Errors name what it points to."""

    to: GoType
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class GoSlice(GoType):
    of: GoType
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"[]{self.of.name}")


@dataclass(frozen=True, kw_only=True)
class Map(GoType):
    """A map with keys of type string."""

    of: GoType
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"map[string]{self.of.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field by its JSON name. `via` is the Go name of the embedded struct that it comes from."""

    name: str
    type: GoType
    via: str = ""


@dataclass(frozen=True, kw_only=True)
class Struct(GoType):
    """A struct: decoded into a dict with every field, those that did not come with their zero.

    `name` has the package (`api.ChatRequest`); an anonymous one has Go's long text, and `short` is empty.
    """

    fields: tuple[Field, ...] = field(hash=False)

    @cached_property
    def short(self) -> str:
        """The name without its package."""
        return "" if self.name.startswith("struct {") else self.name.rpartition(".")[2]

    @cached_property
    def exact(self) -> dict[str, Field]:
        """The fields by their names."""
        return {one.name: one for one in self.fields}

    @cached_property
    def folded(self) -> dict[str, Field]:
        """The fields by their names without case; of two that are then the same, the first."""
        return {fold_name(one.name): one for one in reversed(self.fields)}

    def zero(self) -> Any:
        return {one.name: one.type.zero() for one in self.fields}


@dataclass(frozen=True, kw_only=True)
class Custom(GoType):
    """A type with an UnmarshalJSON of its own, which is also called for null.

    It passes everything to `inner`, as an alias does, or to what `choose` finds for the value; `then` makes of the
    result what the type holds, or a GoError. Errors of `inner` are those of a decoder that began here.
    """

    inner: GoType | None = None
    choose: Callable[[Any], GoType] | None = None
    then: Callable[[Any, str], Any] | None = None

    def zero(self) -> Any:
        return self.inner.zero() if self.inner else None


@dataclass(frozen=True, kw_only=True)
class Ordered(GoType):
    """A map that keeps its order (go-ordered-map): it decodes each value by itself and ends at the first error."""

    of: GoType


STRING: Final = Text()
BOOL: Final = Bool()
INT: Final = Int()
UINT8: Final = Int(name="uint8", bits=8, signed=False)
FLOAT32: Final = Float(name="float32")
FLOAT64: Final = Float()
ANY: Final = Any_()
RAW: Final = RawMessage()


def fields(**types: GoType) -> tuple[Field, ...]:
    """Fields in the order given."""
    return tuple(Field(name=name, type=type_) for name, type_ in types.items())


def fold_name(name: str) -> str:
    """A name of a field without case."""
    # It is the one character that folds to an ASCII letter and that Python's lower() leaves.
    return name.replace("ſ", "s").lower()
