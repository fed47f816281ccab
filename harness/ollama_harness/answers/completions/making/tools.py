"""Which of the offered tools the model calls, and with what."""

from __future__ import annotations

import re
from collections.abc import Collection

from ollama_harness.answers.completions.completion import Call
from ollama_harness.answers.completions.making.made_json import JsonMaker
from ollama_harness.answers.completions.wanted import Tool, Wanted

__all__ = ["calls_for", "tools_called"]

#: A prompt of these words alone is a greeting, and a model answers it in words, whatever tools it has.
_GREETING = frozenset(("good", "hello", "hey", "hi", "morning", "please", "say", "thank", "thanks", "to", "you"))

#: Words in the names of tools that do not say what they are for.
_VERBS = frozenset(
    "a an and any by call can do find for from get give in is it me my of on or run set the to tool with you".split()  # noqa: SIM905
)


def tools_called(wanted: Wanted) -> tuple[Tool, ...]:
    """The tools that the model calls: each that the prompt speaks of, else the first that it has not called before.

    It answers in words where it has called them all, to a greeting, and right after the result of a call.
    """
    words = set(_words(wanted.prompt))
    if not wanted.tools or (words and words <= _GREETING):
        return ()
    meant = tuple(tool for tool in wanted.tools if words & set(_words(tool.name)) - _VERBS)
    return meant or tuple(tool for tool in wanted.tools if tool.name not in wanted.called)[:1]


def calls_for(wanted: Wanted, recorded: Collection[Call]) -> tuple[Call, ...]:
    """Their calls. The arguments are valid for the tool's schema; those of recorded calls are taken where they fit."""
    maker = JsonMaker(wanted.prompt)
    return tuple(_call(tool, maker, recorded) for tool in tools_called(wanted))


def _call(tool: Tool, maker: JsonMaker, recorded: Collection[Call]) -> Call:
    known = next((call.arguments for call in recorded if call.name == tool.name), {})
    made = maker.value(tool.schema or {"type": "object"}, known)
    return Call(name=tool.name, arguments=made if isinstance(made, dict) else {})


def _words(text: str) -> list[str]:
    """The words of a text or of a name: snake_case and camelCase are split."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)]
