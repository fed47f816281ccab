"""Faults parsed from text, in the notation in which they print: `close_at(after_record(3))`."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from ollama_harness.errors import BadFault, UnknownName
from ollama_harness.faults.definition import FAULTS, PLACES, Fault, FaultKind, Place

__all__ = ["parse_fault"]

_TOO_LARGE = 2**63

_TYPES: dict[str, Any] = {
    "Place": Place,
    "int": int,
    "float": int | float,
    "str": str | None,
    "bytes": bytes,
    "bool": bool,
}


def parse_fault(text: str) -> Fault:
    """The fault of a text. The text may only call known faults and places, with literals as arguments.

    Raises: BadFault, UnknownName.
    """
    try:
        made = _made(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the latter two if it is nested too deeply
        raise BadFault(f"{text[:200]!r} is no fault; write one like close_at(after_record(3))") from None
    if not isinstance(made, Fault):
        raise BadFault(f"{text!r} is a place or a value, and no fault; write one like close_at({text})")
    return made


def _made(node: ast.expr) -> Any:
    """A call of a fault or place, or a literal."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError):
            raise BadFault(f"{ast.unparse(node)} is neither a place nor a value; put text in quotes") from None
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            raise BadFault("a number has too many digits; give a smaller one")
        return value
    name = node.func.id
    kinds: dict[str, FaultKind[Any]] = {**FAULTS, **PLACES}
    if name not in kinds:
        raise UnknownName("fault or place", name, kinds)
    make = kinds[name].make
    try:
        values = [_made(one) for one in node.args]
        named = {str(one.arg): _made(one.value) for one in node.keywords}
        signature = inspect.signature(make)
        arguments = signature.bind(*values, **named).arguments
    except TypeError as error:
        raise BadFault(f"{name} takes ({kinds[name].parameters}): {error}") from None
    for key, value in arguments.items():
        wanted = str(signature.parameters[key].annotation).removesuffix(" | None")
        if not isinstance(value, _TYPES.get(wanted, object)):
            raise BadFault(f"{name} takes ({kinds[name].parameters}); {value!r} is no {wanted}")
    return make(*values, **named)
