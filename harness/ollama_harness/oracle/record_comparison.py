"""When is a record that a client yields right? When all of it is in the reference's, and the essential is there.

A typed client may leave out fields that its types do not know; it may not add any, and it may not lose what the
exchange was about.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

__all__ = ["agrees", "essential"]

#: What the exchange was about: of tool calls only name and arguments, of lists of models their names. A list stands
#: for any number of such items.
_ESSENTIAL: Any = {
    "response": ...,
    "thinking": ...,
    "message": {
        "role": ...,
        "content": ...,
        "thinking": ...,
        "tool_calls": [{"function": {"name": ..., "arguments": ...}}],
    },
    "done": ...,
    "done_reason": ...,
    "error": ...,
    "status": ...,
    "embeddings": ...,
    "embedding": ...,
    "models": [{"model": ...}],
    "version": ...,
}

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


def agrees(yielded: Any, reference: Any) -> str | None:
    """None if the record yielded is right, else what is wrong with it."""
    return _extra(yielded, reference, "") or _missing(essential(reference), yielded, "")


def essential(record: Any) -> Any:
    """The part of a record that every client must yield."""
    return _project(record, _ESSENTIAL)


def _project(value: Any, shape: Any) -> Any:
    """What of a value has a place in the shape; a value of another form than the shape is kept whole."""
    if isinstance(shape, dict) and isinstance(value, dict):
        return {key: _project(value[key], inner) for key, inner in shape.items() if key in value}
    if isinstance(shape, list) and isinstance(value, list):
        return [_project(item, shape[0]) for item in value]
    return value


def _extra(yielded: Any, reference: Any, path: str) -> str | None:
    """What is yielded that the reference does not say."""
    if isinstance(yielded, dict) and isinstance(reference, dict):
        for key, value in yielded.items():
            if key not in reference:
                return f"{path}{key} was not sent"
            if problem := _extra(value, reference[key], f"{path}{key}."):
                return problem
        return None
    if isinstance(yielded, list) and isinstance(reference, list):
        if len(yielded) != len(reference):
            return f"{path.rstrip('.')} has {len(yielded)} items, {len(reference)} were sent"
        problems = (_extra(a, b, f"{path}{i}.") for i, (a, b) in enumerate(zip(yielded, reference, strict=True)))
        return next(filter(None, problems), None)
    return (
        None
        if _same(yielded, reference)
        else f"{path.rstrip('.') or 'it'} is {yielded!r:.60}, sent was {reference!r:.60}"
    )


def _missing(wanted: Any, yielded: Any, path: str) -> str | None:
    """What of the essential was not yielded."""
    if isinstance(wanted, dict) and isinstance(yielded, dict):
        for key, value in wanted.items():
            if key not in yielded:
                if value is None:
                    continue  # a typed client says null by leaving out
                return f"{path}{key} was left out"
            if problem := _missing(value, yielded[key], f"{path}{key}."):
                return problem
        return None
    if isinstance(wanted, list) and isinstance(yielded, list):
        problems = (_missing(a, b, f"{path}{i}.") for i, (a, b) in enumerate(zip(wanted, yielded, strict=True)))
        return next(filter(None, problems), None)
    return None if _same(yielded, wanted) else f"{path.rstrip('.') or 'it'} was left out"


def _same(a: Any, b: Any) -> bool:
    """Equal as JSON: true is not 1; numbers by value; times by instant, to the microsecond that datetime keeps."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, str) and isinstance(b, str) and a != b:
        first, second = _instant(a), _instant(b)
        return first is not None and first == second
    return bool(a == b)


def _instant(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    whole, fraction, zone = match.groups()
    try:
        return datetime.fromisoformat(f"{whole}.{(fraction or '')[:6]:0<6}{zone.replace('Z', '+00:00')}")
    except ValueError:
        return None
