"""Files of replies: what `serve --reply-file` says, and the replies in other files.

A file of replies that is no `.json` is the text itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ollama_harness.answers.own_answers import own_reply
from ollama_harness.errors import ReplyError
from ollama_harness.files.reading import read_json, read_text

__all__ = ["read_replies", "reply_fields"]

_FIELDS = ("text", "thinking", "tool_calls", "json", "done_reason", "tokens_per_s", "first_token_s")


def read_replies(path: Path) -> list[dict[str, Any]]:
    """The replies of a file, in their order, each as keyword arguments of `FakeOllama.reply`.

    A `.json` file holds one object with such fields, or a list of them. Any other is the text of one reply, without the
    line end at its end.

    Raises: ReplyError.
    """
    if path.suffix.lower() != ".json":
        text = read_text(path, ReplyError).removesuffix("\n")
        if not text:
            raise ReplyError.about(path, "", "is empty", "write into it what the model is to say")
        return [{"text": text}]
    value = read_json(path, ReplyError)
    if not isinstance(value, list):
        return [reply_fields(path, "", value)]
    if not value:
        raise ReplyError.about(path, "", "has no reply", 'give one, like {"text": "Hello"}')
    return [reply_fields(path, f"[{index}]", one) for index, one in enumerate(value)]


def reply_fields(path: Path, place: str, value: Any) -> dict[str, Any]:
    """The fields of one reply, checked, as keyword arguments of `own_reply`; `place` is where in the file it is.

    Raises: ReplyError.
    """
    if not isinstance(value, dict):
        raise ReplyError.about(path, place, "is no JSON object", 'give one, like {"text": "Hello"}')
    for field in value:
        if field not in _FIELDS:
            at = ".".join(filter(None, (place, field)))
            raise ReplyError.about(path, at, "is no field of a reply", f"the fields are {', '.join(_FIELDS)}")
    fields = {field: one for field, one in value.items() if one is not None}
    try:
        own_reply(**fields)
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        problem, _, fix = problem.rpartition("; ")
        raise ReplyError.about(path, ".".join(filter(None, (place, field))), problem, fix) from None
    return fields
