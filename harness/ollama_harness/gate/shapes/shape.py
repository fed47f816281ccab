"""Shapes: what a client can depend on in an exchange, without what differs from session to session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollama_harness.recordings.recording import Headers, Recording

__all__ = ["Chunking", "FieldShape", "Newline", "RecordKind", "RecordShape", "Shape"]


class RecordKind(StrEnum):
    """Which record of a stream this is. Events with a `type`, and progress with a `status`, are kinds of their own."""

    ONLY = "only"  # the one value of an answer that is no stream
    FIRST = "first"
    MIDDLE = "middle"
    LAST = "last"  # `done: true`
    FINISH = "finish"  # OpenAI: a finish_reason
    USAGE = "usage"  # OpenAI: no choices
    DONE = "[DONE]"
    ERROR = "error"  # in band, or the body of an error status
    NO_JSON = "no json"


class Newline(StrEnum):
    """How records end."""

    LF = "LF"
    CRLF = "CRLF"
    NONE = "none"  # nothing after the only, or the last, record


class Chunking(StrEnum):
    """How records are divided into transfer chunks."""

    ONE = "a record a chunk"
    SEVERAL = "several records a chunk"
    SPLIT = "records cross chunks"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """One field. `path` is `.message.tool_calls[].id`: keys after dots, `[]` for any item of an array.

    `parent` is the path of the object (or array) that holds it. `types` are JSON's, with integer apart from number.
    `always` says that every object at this place has it. `formats` are the formats of its strings, if they have one
    (times, ids). `values` are the words of a field that holds one of a few words. `lengths` are the lengths of vectors
    (arrays of fractions). `line` is the number, from 1, of the first record that has it.
    """

    path: str
    parent: str
    types: frozenset[str]
    always: bool
    formats: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    lengths: frozenset[int] = frozenset()
    line: int = field(default=0, compare=False)

    @property
    def is_item(self) -> bool:
        """Whether it stands for the items of an array. An array may have none."""
        return self.path.endswith("[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordShape:
    """All records of one kind in a stream. `orders` holds the keys of each object (by path), in their order.

    An object whose keys do not always have the same order has none.
    """

    kind: str
    fields: Mapping[str, FieldShape]
    orders: Mapping[str, tuple[str, ...]]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One exchange. `headers` have the order and spelling of the wire, without the values that change each time.

    `records` are ordered by the first record of each kind. `ends_with` is the kind of the last record, and `after_done`
    counts the records after the terminal one. `escapes` says for each class of characters whether strings hold them
    `raw` or `escaped`. `error` is the text of the error that the answer is or holds, without numbers.
    """

    name: str
    route: str
    status: int
    reason: str
    headers: Headers
    framing: str
    ended: str
    stream: bool
    records: Mapping[str, RecordShape]
    ends_with: str
    after_done: int
    newlines: frozenset[Newline]
    chunking: Chunking | None
    escapes: Mapping[str, frozenset[str]]
    error: str | None
    recording: Recording = field(compare=False, repr=False)

    def header(self, name: str) -> str | None:
        """The first value of a header, its name compared without case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def media_type(self) -> str:
        return self.recording.response.media_type
