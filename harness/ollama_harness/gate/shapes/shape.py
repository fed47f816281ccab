"""Shapes: what a client can depend on in an exchange, with all that differs from take to take left out."""

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
    """How records lie in transfer chunks."""

    ONE = "a record a chunk"
    SEVERAL = "several records a chunk"
    SPLIT = "records cross chunks"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """One field. `path` is `.message.tool_calls[].id`: keys after dots, `[]` for any item of an array.

    `parent` is the path of the object (or array) that holds it. `types` are JSON's, with integer apart from number.
    `always` says that no object of this place lacks it. `formats` are those of its strings that have one (times, ids),
    `values` those of a field that holds one of a few words, `lengths` those of vectors (arrays of fractions). `line` is
    the number, from 1, of the first record that has it.
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
        """Whether it stands for the items of an array, which may be none."""
        return self.path.endswith("[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordShape:
    """All records of one kind in a stream. `orders` holds the keys of each object (by path), as they follow each other.

    An object whose keys come now in one order, now in another, has none.
    """

    kind: str
    fields: Mapping[str, FieldShape]
    orders: Mapping[str, tuple[str, ...]]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One exchange. `headers` in the order and spelling of the wire, the values that change each time left out.

    `records` by kind, in the order in which they first come; `ends_with` is the kind of the very last, and `after_done`
    counts the records after the terminal one. `escapes` says for each class of characters in strings whether they
    stand there `raw` or `escaped`. `error` is the text of the error that the answer is or holds, numbers left out.
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
