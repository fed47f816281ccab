"""Which of the offered tools the model calls, and with what."""

from __future__ import annotations

import re
from collections.abc import Collection

from ollama_harness.answers.completions.completion import Call
from ollama_harness.answers.completions.made_json import JsonMaker
from ollama_harness.answers.completions.wanted import Tool, Wanted

__all__ = ["calls_for"]


def calls_for(wanted: Wanted, recorded: Collection[Call]) -> tuple[Call, ...]:
    """A call of each tool that the prompt speaks of, else of the first that was not called before, else of the first.

    The arguments are valid for the tool's schema. Those of recorded calls are taken where they fit.
    """
    words = set(_words(wanted.prompt))
    meant = [tool for tool in wanted.tools if words & set(_words(tool.name)) - _VERBS]
    others = [tool for tool in wanted.tools if tool.name not in wanted.called]
    chosen = meant or others[:1] or list(wanted.tools[:1])
    return tuple(_call(tool, wanted, recorded) for tool in chosen)


def _call(tool: Tool, wanted: Wanted, recorded: Collection[Call]) -> Call:
    known = next((call.arguments for call in recorded if call.name == tool.name), None)
    made = JsonMaker(wanted.prompt, known).value(tool.schema or {"type": "object"})
    return Call(name=tool.name, arguments=made if isinstance(made, dict) else {})


#: Words in the names of tools that do not say what they are for.
_VERBS = frozenset(
    "a an and any by call can do find for from get give in is it me my of on or run set the to tool with you".split()  # noqa: SIM905
)


def _words(text: str) -> list[str]:
    """The words of a text or of a name: snake_case and camelCase are split."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)]
