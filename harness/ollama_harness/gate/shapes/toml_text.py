"""Shapes as TOML, for people and for `diff`: one table for each exchange, and one for each kind of record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ollama_harness.errors import HarnessError
from ollama_harness.files.printable import toml_string
from ollama_harness.files.writing import write_whole
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
    write_whole(path, dump(version), HarnessError)
    return path


def _exchange(one: Shape) -> Iterator[str]:
    table = one.name if re.fullmatch("[A-Za-z0-9_-]+", one.name) else toml_string(one.name)
    yield f"[{table}]"
    yield f"request = {toml_string(one.route)}"
    yield f"status = {toml_string(f'{one.status} {one.reason}'.strip())}"
    yield "head = ["
    for name, value in one.headers:
        yield f"  {toml_string(f'{name}: {value}' if value else name)},"
    yield "]"
    yield f"end = {toml_string(one.ended)}"
    if one.records:
        framing = (one.framing, one.chunking, *sorted(one.newlines))
        yield f"body = {toml_string(', '.join(filter(None, framing)))}"
        yield f"ends_with = {toml_string(one.ends_with)}"
    if one.after_done:
        yield f"after_done = {one.after_done}"
    if one.escapes:
        escaped = [f"{characters} {' and '.join(sorted(forms))}" for characters, forms in one.escapes.items()]
        yield f"characters = {toml_string('; '.join(escaped))}"
    if one.error is not None:
        yield f"error = {toml_string(one.error)}"
    before: RecordShape | None = None
    for kind, record in one.records.items():
        yield f"[{table}.records.{toml_string(kind)}]"
        if before is not None and (before.fields, before.orders) == (record.fields, record.orders):
            yield f"as = {toml_string(before.kind)}"
            continue
        yield from (f"{toml_string(path)} = {toml_string(_field(field))}" for path, field in record.fields.items())
        before = record


def _field(one: FieldShape) -> str:
    parts = [" or ".join(sorted(one.types)), *sorted(one.formats)]
    parts += [f"{length} numbers" for length in sorted(one.lengths)]
    if one.values:
        parts.append(f"one of {' '.join(sorted(one.values))}")
    return ", ".join(parts) + ("" if one.always else ", sometimes")
