"""Shapes as text: TOML that people read and `diff` compares, one table an exchange and one a kind of record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ollama_harness.errors import HarnessError
from ollama_harness.gate.shapes.shape import FieldShape, RecordShape, Shape
from ollama_harness.gate.shapes.version import VersionShapes

__all__ = ["FILE", "dump", "write"]

#: Beside the recordings of a version.
FILE = "shapes.toml"


def dump(version: VersionShapes) -> str:
    """All shapes of a version."""
    first = f"# What a client can depend on with Ollama {version.name}: made of {len(version.shapes)} recordings by"
    lines = [f"{first} `ollama-harness shapes`."]
    for one in version.shapes.values():
        lines += ["", *_exchange(one)]
    return "\n".join(lines) + "\n"


def write(version: VersionShapes, directory: Path) -> Path:
    """Write the shapes of a version into a directory, in one move.

    Raises: HarnessError.
    """
    path = directory / FILE
    temporary = path.with_name(FILE + ".tmp")
    try:
        temporary.write_text(dump(version), encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise HarnessError(f"{path} cannot be written: {error.strerror}; give a directory that can") from None
    return path


def _exchange(one: Shape) -> Iterator[str]:
    yield f"[{one.name}]"
    yield f"request = {_quoted(one.route)}"
    yield f"status = {_quoted(f'{one.status} {one.reason}'.strip())}"
    yield "head = ["
    for name, value in one.headers:
        yield f"  {_quoted(f'{name}: {value}' if value else name)},"
    yield "]"
    yield f"end = {_quoted(one.ended)}"
    if one.records:
        framing = (one.framing, one.chunking, *sorted(one.newlines))
        yield f"body = {_quoted(', '.join(filter(None, framing)))}"
        yield f"ends_with = {_quoted(one.ends_with)}"
    if one.after_done:
        yield f"after_done = {one.after_done}"
    if one.escapes:
        ways = [f"{characters} {' and '.join(sorted(ways))}" for characters, ways in one.escapes.items()]
        yield f"characters = {_quoted('; '.join(ways))}"
    if one.error is not None:
        yield f"error = {_quoted(one.error)}"
    before: RecordShape | None = None
    for kind, record in one.records.items():
        yield f"[{one.name}.records.{_quoted(kind)}]"
        if before is not None and (before.fields, before.orders) == (record.fields, record.orders):
            yield f"as = {_quoted(before.kind)}"
            continue
        yield from (f"{_quoted(path)} = {_quoted(_field(field))}" for path, field in record.fields.items())
        before = record


def _field(one: FieldShape) -> str:
    parts = [" or ".join(sorted(one.types)), *sorted(one.formats)]
    parts += [f"{length} numbers" for length in sorted(one.lengths)]
    if one.values:
        parts.append(f"one of {' '.join(sorted(one.values))}")
    return ", ".join(parts) + ("" if one.always else ", sometimes")


def _quoted(text: str) -> str:
    """A basic string of TOML, which JSON's strings are as well."""
    return json.dumps(text, ensure_ascii=False)
