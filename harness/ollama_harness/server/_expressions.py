"""Expressions of JMESPath about a request, for programmes with hundreds of them.

The library walks the tree of an expression each time, which takes it some 5 µs: 200 rules would cost each request a
millisecond. But the expressions of a programme ask for the same few values and compare each with another literal. So an
expression is taken apart at `&&`, `||`, comparisons with a literal and tests of a text with a literal. The parts that
are left are asked of the library, and equal ones once a request: `kept` holds what they found.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable
from typing import Any

import jmespath
import jmespath.exceptions
import jmespath.functions
from jmespath.parser import ParsedResult

__all__ = ["Expression", "Kept", "expression"]

#: What the parts of expressions found in one request.
Kept = dict[object, Any]

#: Whether an expression is true of a JSON value.
Expression = Callable[[Any, Kept], bool]

_Part = Callable[[Any, Kept], Any]

#: What the library raises where a value is not one that can be asked this: its own errors, and Python's, such as that a
#: text is not less than a number, and that infinity has no integer.
_NOT_ASKED = (jmespath.exceptions.JMESPathError, TypeError, ValueError, ArithmeticError)

#: How deep an expression may be nested; each `&&` of a chain is a level.
_MOST_DEPTH = 100

_NOT_KEPT = object()

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_MIRRORED = {"lt": "gt", "lte": "gte", "gt": "lt", "gte": "lte"}
_OF_TEXTS: dict[str, Callable[[Any, str], bool]] = {
    "contains": operator.contains,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> Expression:
    """Whether an expression is true of a JSON value. What cannot be asked of a value is not true of it.

    Raises: ValueError.
    """
    try:
        parsed = jmespath.compile(text).parsed
        names = _functions(parsed)
    except RecursionError:
        raise ValueError(f"when.jmespath: {text[:60]!r}… is nested too deeply; write a shorter one") from None
    except (jmespath.exceptions.JMESPathError, ValueError) as error:
        problem = str(error).splitlines()[0].rstrip(":")
        raise ValueError(
            f"when.jmespath: {text!r} is no JMESPath ({problem}); write one like messages[-1].role == 'tool'"
        ) from None
    known = jmespath.functions.Functions.FUNCTION_TABLE
    if unknown := next((name for name in names if name not in known), None):
        raise ValueError(f"when.jmespath: JMESPath has no function {unknown}; it has {', '.join(sorted(known))}")
    truth = _truth(parsed)

    def is_true(value: Any, kept: Kept) -> bool:
        try:
            return truth(value, kept)
        except _NOT_ASKED:
            return False

    return is_true


def _functions(tree: Any) -> list[str]:
    """The functions that an expression calls.

    Raises: RecursionError, if it is so deep that asking it could take all of Python's stack.
    """
    found, level = list[str](), [tree]
    for _ in range(_MOST_DEPTH):
        found += [node["value"] for node in level if node["type"] == "function_expression"]
        level = [one for node in level for one in node["children"] if isinstance(one, dict) and "type" in one]
        if not level:
            return found
    raise RecursionError


def _truth(node: Any) -> Expression:
    """Whether a node of an expression is true."""
    match node:
        case {"type": "and_expression", "children": [left, right]}:
            first, second = _truth(left), _truth(right)
            return lambda value, kept: first(value, kept) and second(value, kept)
        case {"type": "or_expression", "children": [left, right]}:
            first, second = _truth(left), _truth(right)
            return lambda value, kept: first(value, kept) or second(value, kept)
        case {"type": "comparator", "value": how, "children": [left, {"type": "literal", "value": literal}]}:
            return _comparison(how, _part(left), literal)
        case {"type": "comparator", "value": how, "children": [{"type": "literal", "value": literal}, right]}:
            return _comparison(_MIRRORED.get(how, how), _part(right), literal)
        case {"type": "filter_projection", "children": [base, {"type": "identity"}, condition]}:
            return _has_item(_part(base), _truth(condition), sys.intern(f"items of {base!r}"))
        case {"type": "function_expression", "value": name, "children": [of, {"type": "literal", "value": str(text)}]}:
            if name in _OF_TEXTS:
                return _text_test(_OF_TEXTS[name], _part(of), text)
    part = _part(node)

    def is_true(value: Any, kept: Kept) -> bool:
        found = part(value, kept)
        return found is not None and found is not False and found not in ("", [], {})

    return is_true


def _comparison(how: str, part: _Part, literal: Any) -> Expression:
    if how == "ne":
        equals = _comparison("eq", part, literal)
        return lambda value, kept: not equals(value, kept)
    if how == "eq":
        if literal is None or isinstance(literal, bool):
            return lambda value, kept: part(value, kept) is literal
        if isinstance(literal, int | float):
            return lambda value, kept: (found := part(value, kept)) == literal and not isinstance(found, bool)
        return lambda value, kept: bool(part(value, kept) == literal)
    compare, can_compare = _ORDERS[how], _is_ordered(literal)

    def is_true(value: Any, kept: Kept) -> bool:
        found = part(value, kept)
        return can_compare and _is_ordered(found) and compare(found, literal)

    return is_true


def _is_ordered(value: Any) -> bool:
    """Whether a value is a number or a text; others have no order in JMESPath."""
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _text_test(test: Callable[[Any, str], bool], part: _Part, text: str) -> Expression:
    has_items = test is operator.contains

    def is_true(value: Any, kept: Kept) -> bool:
        found = part(value, kept)
        if isinstance(found, str) or (has_items and isinstance(found, list)):
            return test(found, text)
        raise TypeError("neither a text nor a list")

    return is_true


def _has_item(part: _Part, is_met: Expression, key: str) -> Expression:
    """Whether a list has an item that meets a condition. `key` is where what was found in each of its items is kept."""

    def is_true(value: Any, kept: Kept) -> bool:
        items = part(value, kept)
        if not isinstance(items, list):
            return False
        of_items = kept.get(key)
        if of_items is None:
            of_items = kept[key] = [{} for _ in items]
        has_met = False
        for item, of_item in zip(items, of_items, strict=True):  # to the end: one that cannot be asked spoils all
            if is_met(item, of_item) and item is not None:
                has_met = True
        return has_met

    return is_true


def _part(node: Any) -> _Part:
    """What the library finds for a node, asked once a request for all equal nodes."""
    parsed, key = ParsedResult("", node), sys.intern(repr(node))

    def found(value: Any, kept: Kept) -> Any:
        answer = kept.get(key, _NOT_KEPT)
        if answer is _NOT_KEPT:
            try:
                answer = parsed.search(value)
            except _NOT_ASKED:
                answer = _NOT_ASKED
            kept[key] = answer
        if answer is _NOT_ASKED:
            raise TypeError("not a value that can be asked this")
        return answer

    return found
