"""Whether the pieces that a client yields are right: all that the model says, in its place, and nothing else.

How it works: the pieces of the client are joined, and those of the reference. What is left is one text, one thinking,
and *marks*: the tool calls and the finish reason, each with its place in the text. So it does not matter where a client
joins or splits. What a client yields must be a beginning of what was sent.

What must be there: text, thinking, tool calls and the finish reason. A client whose types have no place for thinking
may leave out all of it (`drops_thinking`). Roles and usage may be left out, and so may the ids and indexes of calls,
which a client may also make itself. But a role, or a number of tokens, that was not sent is an invention.

What is the same: the arguments of a call as an object and as its JSON text; finish reasons that the APIs have for the
same thing (`length` and `max_tokens`, and after a call `stop` and `tool_calls`), because a client that translates says
it in its own API's word. The text of a record has no place among the record's own calls. Thinking has no place at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ollama_harness.files.json_text import parse_json
from ollama_harness.oracle.comparison import Comparison
from ollama_harness.oracle.pieces import PieceKind, PieceObject
from ollama_harness.oracle.reference import ExpectedEndKind, Layer, Reference

__all__ = ["PieceView"]

_STOPPED, _CALLED = "stop", "tool_calls"

#: Words of the APIs for the same reason.
_SAME_REASON: Final = {
    **dict.fromkeys(("end_turn", "stop_sequence", "completed"), _STOPPED),
    **dict.fromkeys(("max_tokens", "max_output_tokens", "incomplete"), "length"),
    **dict.fromkeys(("tool_use", "function_call", "tool_execution", "tool_call"), _CALLED),
}

_NAMES: Final = {PieceKind.TOOL_CALL: "tool calls", PieceKind.FINISH_REASON: "finish reasons"}


@dataclass(frozen=True, slots=True)
class PieceView:
    """The view of a client that yields pieces. It may leave out all thinking if it `drops_thinking`."""

    drops_thinking: bool = False

    def compare(self, reference: Reference, yielded: Sequence[Any], layer: Layer) -> Comparison:
        """How the pieces that a client yielded compare with the reference. `layer` is always Ollama's."""
        assert layer is Layer.OLLAMA, "pieces are what Ollama says, and HTTP knows nothing of them"
        sent = _joined(one.pieces for one in reference.said)
        due = _joined(one.pieces for one in reference.said if one.is_due)
        got = _joined([piece] for piece in yielded)
        is_whole = reference.ends[layer].kind is ExpectedEndKind.COMPLETE
        return Comparison(
            wrong=_wrong(got, sent),
            missing=self._missing(got, due, is_whole=is_whole),
            due=due.amount,
            yielded=f"{len(yielded)} pieces",
            beyond=got.goes_beyond(due),
            reports_error=got.has_error,
        )

    def records_told(self, reference: Reference, yielded: Sequence[Any], /) -> int:
        """How many of the reference's records a client has told of that has yielded so much.

        A record that says nothing that must be yielded is told of with the one before it.
        """
        got = _joined([piece] for piece in yielded)
        joined = _Joined()
        told = 0
        for said in reference.said:
            joined.add(said.pieces)
            if not self._covers(got, joined):
                break
            told = said.records
        return told

    def _covers(self, got: _Joined, due: _Joined) -> bool:
        """Whether there is as much as is due, whatever it says."""
        thinking = self.drops_thinking or len(got.thinking) >= len(due.thinking)
        return thinking and len(got.text) >= len(due.text) and len(got.marks) >= due.whole_marks

    def _missing(self, got: _Joined, due: _Joined, *, is_whole: bool) -> str:
        """How much of what is due was yielded, or "" if all was, or if what was yielded is something else."""
        if not self.drops_thinking and _lacks_pieces(got.thinking, due.thinkings):
            return f"{len(got.thinking)} of {len(due.thinking)} characters of thinking"
        if _lacks_pieces(got.text, due.texts):
            return f"{len(got.text)} of {len(due.text)} characters of text"
        count = len(due.marks) if is_whole else due.whole_marks
        for kind, name in _NAMES.items():
            wanted = [mark for mark in due.marks[:count] if mark.kind is kind]
            there = [mark for mark in got.marks if mark.kind is kind]
            if len(there) < len(wanted) and _is_part(there, wanted):
                return f"{len(there)} of {len(wanted)} {name}"
            if any(one.is_cut(other) for one, other in zip(there, wanted, strict=False)):
                return f"a part of the arguments of {wanted[len(there) - 1].content['name']}"
        return ""


@dataclass(slots=True)
class _Mark:
    """A tool call or a finish reason. Its place in the text is after `low` characters, or up to `high`.

    `means` is a finish reason in the word that all APIs share here.
    """

    kind: PieceKind
    content: Any
    low: int
    high: int
    means: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be added: the arguments of a call as an object come at once."""
        return self.kind is PieceKind.FINISH_REASON or not isinstance(self.content["arguments"], str)

    def is_same(self, other: _Mark) -> bool:
        if self.kind is not other.kind:
            return False
        if self.kind is PieceKind.FINISH_REASON:
            return self.means == other.means
        mine, its = self.content, other.content
        return mine.get("name") == its.get("name") and _same_arguments(mine["arguments"], its["arguments"])

    def is_cut(self, other: _Mark) -> bool:
        """Whether it is the other call, with only a part of the text of its arguments."""
        if not self.kind is other.kind is PieceKind.TOOL_CALL or self.is_same(other):
            return False
        mine, its = self.content["arguments"], other.content["arguments"]
        same_name = self.content.get("name") == other.content.get("name")
        return same_name and isinstance(mine, str) and isinstance(its, str) and its.startswith(mine)

    def __str__(self) -> str:
        if self.kind is PieceKind.FINISH_REASON:
            return f"finish reason {self.content!r:.40}"
        return f"tool call {self.content.get('name')!r:.40} with {self.content['arguments']!r:.60}"


@dataclass(slots=True)
class _Joined:
    """What pieces say, joined. `texts` and `thinkings` are the parts."""

    texts: list[str] = field(default_factory=list)
    thinkings: list[str] = field(default_factory=list)
    marks: list[_Mark] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)
    tokens: dict[str, set[int]] = field(default_factory=lambda: {"input": set(), "output": set()})
    has_error: bool = False
    text: str = ""
    thinking: str = ""

    def add(self, pieces: Iterable[PieceObject]) -> None:
        """Add pieces that came together."""
        low, touched = len(self.text), list[_Mark]()
        for piece in pieces:
            [(kind, content)] = piece.items()
            match PieceKind(kind):
                case PieceKind.TEXT:
                    self.texts.append(content)
                    self.text = _with(self.text, content)
                case PieceKind.THINKING:
                    self.thinkings.append(content)
                    self.thinking = _with(self.thinking, content)
                case PieceKind.TOOL_CALL:
                    touched.append(self._call(content, low))
                case PieceKind.FINISH_REASON:
                    touched.append(_Mark(PieceKind.FINISH_REASON, content, low, low, self._meaning(content)))
                    self.marks.append(touched[-1])
                case PieceKind.ROLE:
                    self.roles.add(content)
                case PieceKind.USAGE:
                    for name, number in content.items():
                        self.tokens[name] |= set() if number is None else {number}
                case PieceKind.ERROR:
                    self.has_error = True
        for mark in touched:
            mark.high = len(self.text)

    def _call(self, content: Mapping[str, Any], low: int) -> _Mark:
        """The call that begins here, or the one that goes on here: that of the same index, else the last."""
        calls = [mark for mark in self.marks if mark.kind is PieceKind.TOOL_CALL]
        if content.get("name") or not calls:
            self.marks.append(_Mark(PieceKind.TOOL_CALL, dict(content), low, low))
            return self.marks[-1]
        same = [mark for mark in calls if mark.content.get("index") == content.get("index") is not None]
        mark = (same or calls)[-1]
        before, more = mark.content["arguments"] or "", content["arguments"]  # an empty object may begin, too
        if isinstance(before, str) and isinstance(more, str):
            mark.content["arguments"] = before + more
        return mark

    def _meaning(self, reason: str) -> str:
        means, calls = _SAME_REASON.get(reason, reason), self.marks and self.marks[-1].kind is PieceKind.TOOL_CALL
        return _CALLED if means == _STOPPED and calls else means

    @property
    def whole_marks(self) -> int:
        """The number of marks to which nothing can be added: a call is whole once another mark follows."""
        return len(self.marks) - (bool(self.marks) and not self.marks[-1].is_whole)

    @property
    def amount(self) -> str:
        """How much it is, in words."""
        counts = {name: sum(mark.kind is kind for mark in self.marks) for kind, name in _NAMES.items()}
        more = [f"{count} {name if count > 1 else name[:-1]}" for name, count in counts.items() if count]
        return " and ".join([f"{len(self.text)} characters of text", *more])

    def goes_beyond(self, due: _Joined) -> bool:
        """Whether there is more than is due."""
        return (
            len(self.text) > len(due.text) or len(self.thinking) > len(due.thinking) or len(self.marks) > len(due.marks)
        )


def _joined(groups: Iterable[Sequence[PieceObject]]) -> _Joined:
    joined = _Joined()
    for pieces in groups:
        joined.add(pieces)
    return joined


def _with(text: str, more: str) -> str:
    """The text with more. Halves of a character that were split become one again, as in JavaScript's strings."""
    if text and more and "\ud800" <= text[-1] <= "\udbff" and "\udc00" <= more[0] <= "\udfff":
        whole = (text[-1] + more[0]).encode("utf-16", "surrogatepass").decode("utf-16")
        return text[:-1] + whole + more[1:]
    return text + more


# ---------------------------------------------------------------------------------------------------- what is wrong


def _wrong(got: _Joined, sent: _Joined) -> str:
    """How it is no beginning of what was sent, or ""."""
    return next(filter(None, _problems(got, sent)), "")


def _problems(got: _Joined, sent: _Joined) -> Iterator[str]:
    yield _other_text("text", got.text, sent.text)
    yield _other_text("thinking", got.thinking, sent.thinking)
    for number, mark in enumerate(got.marks):
        if number >= len(sent.marks):
            yield f"yielded {mark}, which was not sent"
            return
        due, is_last = sent.marks[number], number + 1 == len(got.marks)
        if not (mark.is_same(due) or (is_last and mark.is_cut(due))):
            yield f"yielded {mark}, but {due} was sent"
        if not due.low <= mark.low <= mark.high <= due.high:
            yield f"yielded {mark} after {mark.low} characters of text, and it was sent after {due.high}"
    for role in sorted(got.roles - sent.roles):
        yield f"yielded the role {role!r:.40}, which was not sent"
    for name, numbers in got.tokens.items():
        for number in sorted(numbers - sent.tokens[name]):
            yield f"yielded {number} {name} tokens, which were not sent"


def _other_text(name: str, got: str, sent: str) -> str:
    if sent.startswith(got):
        return ""
    at = next((n for n, (mine, its) in enumerate(zip(got, sent, strict=False)) if mine != its), len(sent))
    there = repr(sent[at : at + 20]) if at < len(sent) else "nothing more"
    return f"after {at} characters of {name} yielded {got[at : at + 20]!r}, but {there} was sent"


def _lacks_pieces(got: str, parts: Sequence[str]) -> bool:
    """Whether it is the text of these parts, in their order, of which at least one is missing or not whole."""
    whole = "".join(parts)
    if len(got) >= len(whole) or whole.startswith(got):
        return len(got) < len(whole)
    ends = {0}
    for part in filter(None, parts):
        ends |= {end + len(part) for end in ends if got.startswith(part, end)}
    return len(got) in ends


def _is_part(marks: Sequence[_Mark], whole: Sequence[_Mark]) -> bool:
    """Whether these marks are among the whole, in their order."""
    rest = iter(whole)
    return all(any(mark.is_same(other) for other in rest) for mark in marks)


def _same_arguments(mine: Any, its: Any) -> bool:
    return _same(_value(mine), _value(its))


def _value(arguments: Any) -> Any:
    """Arguments as a value; text that is no JSON stays text. No text is no arguments."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return parse_json(arguments.encode()) if arguments else {}
    except ValueError:
        return arguments


def _same(mine: Any, its: Any) -> bool:
    """Whether two values are the same JSON: 1 is neither true nor 1.0."""
    if isinstance(mine, Mapping) and isinstance(its, Mapping):
        return mine.keys() == its.keys() and all(_same(mine[key], its[key]) for key in mine)
    if isinstance(mine, list) and isinstance(its, list):
        return len(mine) == len(its) and all(map(_same, mine, its))
    return type(mine) is type(its) and bool(mine == its)
