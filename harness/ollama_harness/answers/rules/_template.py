"""What Go's text/template says of a template that it does not parse, as far as templates of prompts go.

Looked at are actions that do not end, blocks that are not closed or not open, and functions that there are not; so
`{{prompt}}`, where `{{ .Prompt }}` is meant, is refused. Source: text/template/parse, lex.go and parse.go.
"""

from __future__ import annotations

import re

__all__ = ["template_error"]

_OPENS = frozenset(("if", "range", "with", "define", "block"))
_NEEDS_VALUE = frozenset(("if", "range", "with"))
_KEYWORDS = _OPENS | {"else", "end", "template", "break", "continue", "true", "false", "nil"}
#: Those of text/template, and all that any version of Ollama adds (template/template.go).
_FUNCTIONS = frozenset(
    "and call html index slice js len not or print printf println urlquery eq ge gt le lt ne "  # noqa: SIM905
    "json currentDate yesterdayDate toTypeScriptType".split()
)
_QUOTES = {'"': "quoted string", "'": "character constant", "`": "raw quoted string"}
_TEXT = r'"(?:\\.|[^"\\\n])*"|`[^`]*`|\'(?:\\.|[^\'\\\n])*\''
_ACTION = re.compile(rf"\{{\{{(?:-(?=\s))?((?:{_TEXT}|(?!\}}\}}).)*?)(?:(?<=\s)-)?\}}\}}", re.DOTALL)
_COMMENT = re.compile(r"\{\{(?:-\s)?/\*.*?\*/(?:\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(rf"{_TEXT}|[.$]\w*|\w+|\S", re.DOTALL)


def template_error(text: str) -> str | None:
    """Go's error for this template, None if it has none that is known here."""
    open_blocks, at = 0, 0
    while (start := text.find("{{", at)) >= 0:
        if comment := _COMMENT.match(text, start):
            at = comment.end()
            continue
        if re.compile(r"\{\{(?:-\s)?/\*").match(text, start):
            return _error(text[:start], "unclosed comment")
        if (action := _ACTION.match(text, start)) is None:
            inside = text[: text.find("}}", start) if "}}" in text[start:] else len(text)]
            return _error(inside.rstrip(), "unclosed action")
        at = action.end()
        words = [found[0] for found in _TOKEN.finditer(action[1])]
        if wrong := _action_error(words, open_blocks):
            return _error(text[:start], wrong)
        open_blocks += (words[0] in _OPENS) - (words[0] == "end")
    return _error(text, "unexpected EOF") if open_blocks else None


def _action_error(words: list[str], open_blocks: int) -> str | None:
    if not words:
        return "missing value for command"
    if wrong := next((_QUOTES[word] for word in words if word in _QUOTES), None):
        return f"unterminated {wrong}"
    first = words[0]
    if first in ("end", "else") and not open_blocks:
        return f"unexpected {{{{{first}}}}}"
    if first in _NEEDS_VALUE and len(words) == 1:
        return f"missing value for {first}"
    names = [word for word in words if re.match(r"[^\W\d]", word) and word not in _KEYWORDS]
    unknown = next((name for name in names if name not in _FUNCTIONS), None)
    return f'function "{unknown}" not defined' if unknown else None


def _error(before: str, message: str) -> str:
    return f"template: :{1 + before.count(chr(10))}: {message}"
