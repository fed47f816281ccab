"""Rules about the records of a stream: which there are, their order, how they are chunked, and how they end."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_harness.gate.rules.rule import Change, Level, VersionExchange, alike, listed, rule
from ollama_harness.gate.shapes import RecordKind

__all__: list[str] = []

#: The length of a stream decides whether it has these.
_BY_LENGTH = (RecordKind.FIRST, RecordKind.MIDDLE)


def _streams(old: VersionExchange, new: VersionExchange) -> bool:
    return alike(old, new) and old.shape.stream and new.shape.stream


def _whole_streams(old: VersionExchange, new: VersionExchange) -> bool:
    """Whether both are streams, and complete. A stream that was cut may end in any record."""
    return _streams(old, new) and old.shape.ended == new.shape.ended == "complete"


@rule(
    "The last record shows clients that the answer is complete. It also holds the reason and the counts.",
    Level.BREAKING,
    "https://docs.ollama.com/api/streaming",
    when=_whole_streams,
)
def terminal_record_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if old.shape.ends_with != new.shape.ends_with:
        counts = [len(one.shape.records) for one in (old, new)]
        yield Change(
            where="last record",
            was=old.shape.ends_with or "none",
            now=new.shape.ends_with or "none",
            old_line=counts[0],
            new_line=counts[1],
        )


@rule(
    "Clients stop reading at the terminal record, or read what follows as the next answer.",
    Level.BREAKING,
    "https://github.com/ollama/ollama/issues/12557",
    when=_streams,
)
def records_after_done(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    if new.shape.after_done and not old.shape.after_done:
        yield Change(where="records after the terminal one", was="none", now="some")


@rule(
    "Clients that wait for this record never get it.",
    Level.BREAKING,
    "https://github.com/ollama/ollama/issues/12557",
    when=_whole_streams,
)
def record_kind_gone(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for kind, record in old.shape.records.items():
        if kind not in (*_BY_LENGTH, old.shape.ends_with) and kind not in new.shape.records:
            yield Change(where=f"record {kind}", was="there", now="gone", old_line=record.line)


@rule(
    "Clients get a record that they may not know.",
    Level.NOTABLE,
    "https://github.com/mark3labs/mcphost/issues/56",
    when=_whole_streams,
)
def record_kind_new(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    for kind, record in new.shape.records.items():
        if kind not in (*_BY_LENGTH, new.shape.ends_with) and kind not in old.shape.records:
            yield Change(where=f"record {kind}", was="none", now="there", new_line=record.line)


@rule(
    "One record has become several, or several one: a client that reads only the first record loses the rest.",
    Level.NOTABLE,
    "https://github.com/ollama/ollama/issues/9092",
    when=_whole_streams,
)
def answer_in_pieces_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was, now = ("in pieces" if RecordKind.FIRST in one.shape.records else "in one record" for one in (old, new))
    if was != now:
        yield Change(where="answer", was=was, now=now, old_line=1, new_line=1)


@rule(
    "Clients that work as state machines get a record in a state in which they do not expect it.",
    Level.NOTABLE,
    "https://docs.ollama.com/api/streaming",
    when=_whole_streams,
)
def record_order_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    kinds = [[kind for kind in one.shape.records if kind not in _BY_LENGTH] for one in (old, new)]
    was, now = [[kind for kind in kinds[i] if kind in kinds[1 - i]] for i in (0, 1)]
    if was != now:
        yield Change(where="order of records", was=listed(was), now=listed(now))


@rule(
    "By the standard, chunks mean nothing, but many programs parse each chunk as one record.",
    Level.BREAKING,
    "https://github.com/ollama/ollama/issues/1728",
    when=_streams,
)
def chunking_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was, now = old.shape.chunking, new.shape.chunking
    if was is not None and now is not None and was is not now:
        yield Change(where="chunks", was=was, now=now)


@rule(
    "Only LF separates records. A client that waits for it never yields a record that has none.",
    Level.BREAKING,
    "https://github.com/ndjson/ndjson-spec",
)
def newline_changed(old: VersionExchange, new: VersionExchange) -> Iterator[Change]:
    was, now = old.shape.newlines, new.shape.newlines
    if was and now and not now <= was and old.shape.ended == new.shape.ended == "complete":
        yield Change(where="end of a record", was=listed(sorted(was)), now=listed(sorted(now)))
