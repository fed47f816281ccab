"""Go's encoding/json as a decoder of request bodies: a value of a described type, or the error in Go's words.

Types are described as values (`go_types`). `decode` reads one JSON value (`go_value`), and then puts it into the type:
Go goes on after a type error and reports the first, while a syntax error anywhere comes before all of them.

There are two sets of words. Builds up to Ollama 0.22 have the older implementation; the later ones, on top of Go's
json/v2, write a path with the indexes of lists and the keys as they were sent, name the outermost type instead of the
innermost, and do not stop at the error of a type with a decoder of its own.

Sources: Go 1.26, encoding/json: decode.go; v2_inject.go and v2/arshal_default.go.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from ollama_harness.answers.go.go_base64 import base64_bytes
from ollama_harness.answers.go.go_types import (
    BOOL,
    FLOAT64,
    INT,
    STRING,
    UINT8,
    Any_,
    Bool,
    Bytes,
    Custom,
    ErrorKind,
    Float,
    GoError,
    GoSlice,
    GoType,
    Int,
    Map,
    Members,
    Number,
    Ordered,
    Pointer,
    RawMessage,
    Struct,
    Text,
    fold_name,
)
from ollama_harness.answers.go.go_value import go_kind, has_v2_words, json_pointer, raw_text, value_of

__all__ = ["decode"]


#: What go-ordered-map says of any other value.
_NO_OBJECT = "Value looks like object, but can't find closing '}' symbol"

#: The Python type whose every value is one of the Go type, so that nothing can be wrong with it. Keyed by identity.
_EXACT: Final = {id(STRING): str, id(BOOL): bool, id(INT): int}


def decode(body: bytes, type_: GoType, version: str) -> Any:
    """The first JSON value of a body as a value of this type, or a GoError in the words of a version of Ollama."""
    read = value_of(body, version)
    if isinstance(read, GoError):
        return read
    value, text = read
    decoding = _Decoding(v2=has_v2_words(version), version=version, root=type_, text=text)
    try:
        result = decoding.put(type_, value, type_.zero(), ())
    except _Stopped as stopped:
        return stopped.fault.error()
    except RecursionError:  # a tower of typed values; Go's own limit is higher
        return GoError("exceeded max depth", ErrorKind.SYNTAX)
    return decoding.fault.error() if decoding.fault else result


# --- putting into a type ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fault:
    """An error before it is text: that of a type (with `go`), or any other, which is `cause` alone."""

    cause: str = ""
    what: str = ""
    go: str = ""
    struct: str = ""
    path: tuple[str, ...] = ()
    v2: bool = False
    kind: ErrorKind = ErrorKind.TYPE

    def error(self) -> GoError:
        return GoError(self.text(), self.kind)

    def text(self) -> str:
        if not self.go:
            return self.cause
        into = "Go value"
        if self.struct or self.path:
            dotted = ".".join(self.path)
            is_index = self.v2 and dotted.rpartition(".")[2].isdecimal()
            into = f"{'' if is_index else 'Go struct field '}{self.struct}.{dotted}"
        cause = f": {self.cause}" if self.cause else ""
        return f"json: cannot unmarshal {self.what} into {into} of type {self.go}{cause}"


class _Stopped(Exception):
    """The older decoder ends at the error of a type's own decoder."""

    def __init__(self, fault: _Fault) -> None:
        super().__init__(fault)
        self.fault = fault


#: A step into a value: key or index as it was sent (escaped as in a JSON pointer), and the field's name if it has one.
_Path: TypeAlias = tuple[tuple[str, str], ...]


@dataclass
class _Decoding:
    """One run over `text`, of which it decodes the value at `base`."""

    v2: bool
    version: str
    root: GoType
    text: str
    base: _Path = ()
    fault: _Fault | None = None
    _struct: str = ""

    def put(self, type_: GoType, value: Any, old: Any, where: _Path) -> Any:
        """What this value makes of an old one. An error is noted, and leaves the old one."""
        match type_:
            case Struct() if isinstance(value, Members):
                return self._into_struct(type_, value, old, where)
            case Pointer():
                if value is None:
                    return None
                return self.put(type_.to, value, type_.to.zero() if old is None else old, where)
            case GoSlice() if isinstance(value, list):
                if (exact := _EXACT.get(id(type_.of))) and all(type(one) is exact for one in value):
                    return value
                return [
                    self.put(type_.of, one, type_.of.zero(), (*where, (str(index), "")))
                    for index, one in enumerate(value)
                ]
            case Map() if isinstance(value, Members):
                new = dict(old or {})
                for key, one in value.pairs:
                    new[key] = self.put(type_.of, one, type_.of.zero(), (*where, (json_pointer(key), "")))
                return new
            case Any_():
                return self._any(value, old, where)
            case Custom() | Ordered():
                return self._custom(type_, value, old, where)
            case RawMessage():
                return raw_text(self.text, [step for step, _ in (*self.base, *where)])
            case Bytes() if isinstance(value, list):
                return bytes(self.put(UINT8, one, 0, (*where, (str(index), ""))) for index, one in enumerate(value))
        if value is None:
            return None if isinstance(type_, GoSlice | Bytes | Map) else old
        return self._scalar(type_, value, old, where)

    def _scalar(self, type_: GoType, value: Any, old: Any, where: _Path) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        match type_:
            case Text() if isinstance(value, str):
                return value
            case Bool() if isinstance(value, bool):
                return value
            case Bytes() if isinstance(value, str):
                return self._from_base64(type_, value, old, where)
            case Int() if is_number:
                text = _text(value)
                if _INTEGER.fullmatch(text) and len(text) < 25 and type_.holds(text):
                    return int(text)
                return self._note(type_, f"number {text}", old, where)
            case Float() if is_number:
                if _is_finite(value, type_.name):
                    return float(value)
                return self._note(type_, f"number {_text(value)}", old, where)
        return self._note(type_, go_kind(value), old, where)

    def _into_struct(self, type_: Struct, value: Members, old: dict[str, Any], where: _Path) -> Any:
        new = dict(old)
        outer = self._struct
        for key, one in value.pairs:
            found = type_.exact.get(key) or type_.folded.get(fold_name(key))
            if found is None:
                continue
            if type(one) is _EXACT.get(id(found.type)):
                new[found.name] = one
            else:
                self._struct = type_.short
                name = f"{found.via}.{found.name}" if found.via else found.name
                new[found.name] = self.put(found.type, one, new[found.name], (*where, (json_pointer(key), name)))
        self._struct = outer
        return new

    def _any(self, value: Any, old: Any, where: _Path) -> Any:
        if isinstance(value, bool | str | None):
            return value
        huge = next(_huge(value, where), None)
        return value if huge is None else self._note(FLOAT64, f"number {huge[1].text}", old, huge[0])

    def _custom(self, type_: Custom | Ordered, value: Any, old: Any, where: _Path) -> Any:
        new, fault = self._by_itself(type_, value, old, where)
        if fault is None and isinstance(type_, Custom) and type_.then is not None:
            new = type_.then(new, self.version)
            fault = _Fault(cause=new.text, kind=ErrorKind.OWN) if isinstance(new, GoError) else None
        if fault is None:
            return new
        if self.v2:
            self.fault = self.fault or fault
            return old
        if fault.go and where:
            fault = replace(fault, struct=self._struct, path=(*_fields_of(where), *fault.path))
        raise _Stopped(fault)

    def _by_itself(self, type_: Custom | Ordered, value: Any, old: Any, where: _Path) -> tuple[Any, _Fault | None]:
        """What a decoder gives that begins here."""
        if isinstance(type_, Ordered):
            if value is None:
                return old, None
            if not isinstance(value, Members):
                return old, _Fault(cause=_NO_OBJECT, kind=ErrorKind.OWN)
            new = {}
            for key, one in value.pairs:
                new[key], fault = self._begin(type_.of, one, type_.of.zero(), (*where, (json_pointer(key), "")))
                if fault is not None:
                    return old, fault
            return new, None
        inner = type_.choose(value) if type_.choose else type_.inner
        return self._begin(inner, value, inner.zero() if type_.choose else old, where) if inner else (value, None)

    def _begin(self, type_: GoType, value: Any, old: Any, where: _Path) -> tuple[Any, _Fault | None]:
        base = (*self.base, *where)
        inside = _Decoding(v2=self.v2, version=self.version, root=type_, text=self.text, base=base)
        try:
            return inside.put(type_, value, old, ()), inside.fault
        except _Stopped as stopped:
            return old, stopped.fault

    def _from_base64(self, type_: GoType, value: str, old: Any, where: _Path) -> Any:
        decoded = base64_bytes(value)
        if isinstance(decoded, bytes):
            return decoded
        if self.v2:
            return self._note(type_, "string", old, where, decoded)
        self.fault = self.fault or _Fault(cause=decoded)
        return old

    def _note(self, type_: GoType, what: str, old: Any, where: _Path, cause: str = "") -> Any:
        if self.fault is None:
            if self.v2:
                short = self.root.short if isinstance(self.root, Struct) and where else ""
                path = tuple(sent for sent, _ in where)
            else:
                short, path = self._struct, _fields_of(where)
            self.fault = _Fault(cause, what, type_.name, short, path, self.v2)
        return old


def _fields_of(where: _Path) -> tuple[str, ...]:
    return tuple(name for _, name in where if name)


def _huge(value: Any, where: _Path) -> Iterator[tuple[_Path, Number]]:
    """Numbers that no float64 holds, with their paths, in order; without recursion, since Go takes deep values."""
    rest = [(value, where)]
    while rest:
        one, here = rest.pop()
        match one:
            case Number() if math.isinf(one):
                yield here, one
            case Members():
                rest += [
                    (inner, (*here, (json_pointer(key), ""))) for key, inner in reversed(one.pairs) if _may_hold(inner)
                ]
            case list():
                rest += [
                    (inner, (*here, (str(index), "")))
                    for index, inner in reversed(list(enumerate(one)))
                    if _may_hold(inner)
                ]


def _may_hold(value: Any) -> bool:
    return isinstance(value, Number | Members | list)


_INTEGER = re.compile(r"-?\d+")


def _text(number: float) -> str:
    return number.text if isinstance(number, Number) else str(number)


def _is_finite(number: float, name: str) -> bool:
    if name == "float32":
        try:
            struct.pack("<f", number)
        except OverflowError:
            return False
    return math.isfinite(number)
