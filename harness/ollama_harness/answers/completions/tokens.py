"""Text as a tokenizer would split it, to send it in pieces and to count it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["count", "prompt_tokens", "split"]

#: A word with the blank before it, digits one by one, marks in a row, or blanks: as the tokenizers of GPT-2's kind.
_TOKEN = re.compile(r" ?[^\W\d_]+|\d|_|\s+(?!\S)| ?[^\s\w]+|\s+|.", re.DOTALL)

#: A word longer than this is more than one token.
_LONGEST = 12

#: What a chat template adds for each message.
_TEMPLATE_TOKENS = 4


def split(text: str) -> list[str]:
    """The pieces of a text; joined they are the text."""
    return [
        part
        for token in _TOKEN.findall(text)
        for part in (token[start : start + _LONGEST] for start in range(0, len(token), _LONGEST))
    ]


def count(text: str) -> int:
    """About how many tokens a text has."""
    return len(split(text))


def prompt_tokens(value: Any) -> int:
    """About how many tokens a request has: those of all texts in its JSON, and those of the template."""
    match value:
        case str():
            return count(value)
        case dict():
            return sum(prompt_tokens(each) for each in value.values()) + _TEMPLATE_TOKENS * ("role" in value)
        case list():
            return sum(map(prompt_tokens, value))
    return 0
