"""JSON values of the compatible routes: read with care, and maps as Go writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_harness.files.json_text import MAX_DEPTH, parse_json

__all__ = ["AsSent", "as_map", "count", "listed", "read_object"]


class AsSent(dict[str, Any]):
    """An object that Ollama repeats as it came: its keys are not sorted."""


def as_map(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A value as Go writes its maps: keys sorted, down to a depth."""
    match value:
        case AsSent():
            return value
        case Mapping() if depth:
            return {key: as_map(value[key], depth - 1) for key in sorted(value)}
        case list() | tuple() if depth:
            return [as_map(one, depth - 1) for one in value]
    return value


def read_object(text: str | bytes) -> Mapping[str, Any]:
    """The JSON object that a text is, or an empty one where it is none."""
    try:
        value = parse_json(text.encode() if isinstance(text, str) else text)
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """The members of a list; none of anything else."""
    return value if isinstance(value, list) else []


def count(usage: Any, name: str) -> int:
    """A number of tokens, 0 where there is none."""
    found = usage.get(name) if isinstance(usage, Mapping) else None
    return found if type(found) is int and found > 0 else 0
