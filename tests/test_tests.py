"""The tests themselves: each asserts something whatever happens, and not only for each item of what may be empty."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from builders import in_one_test

pytestmark = pytest.mark.same_everywhere

FILES = sorted(Path(__file__).parent.glob("test_*.py"))
#: What fails where something is not as it must be: pytest's own.
ASSERTING = {"raises", "warns", "deprecated_call", "assert_outcomes", "fnmatch_lines", "no_fnmatch_line"}
#: What holds just as many items as what it is given.
SAME_LENGTH = {"enumerate", "sorted", "reversed", "list", "tuple", "set", "map"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Module:
    """Which functions of a module cannot end without having asserted something.

    A loop counts if it is over a literal, or a constant of the module, that is not empty. An `if` counts if both of its
    branches do. A call counts if it is of a function of the module that counts itself. An assertion about all items
    of a comprehension is one in a loop.
    """

    def __init__(self, text: str) -> None:
        tree = ast.parse(text)
        functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
        self.tests = [one for one in functions if one.name.startswith("test")]
        self._asserting = set(ASSERTING)
        self._full: set[str] = set()
        for node in tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if self._is_full(value):
                    self._full.add(name)
        helpers = [one for one in functions if one not in self.tests]
        while found := {one.name for one in helpers if self.asserts(one)} - self._asserting:
            self._asserting |= found

    def asserts(self, function: Function) -> bool:
        return self._block(function.body)

    def _block(self, body: list[ast.stmt]) -> bool:
        for statement in body:
            if self._statement(statement):
                return True
            if _may_leave(statement):
                return False
        return False

    def _statement(self, node: ast.stmt) -> bool:
        match node:
            case ast.Assert(test=test):
                return not self._holds_of_nothing(test)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return False
            case ast.For(iter=over, body=body):
                return self._calls(over) or (self._is_full(over) and self._block(body))
            case ast.While(test=test):
                return self._calls(test)
            case ast.If(test=test, body=body, orelse=orelse):
                return self._calls(test) or (self._block(body) and self._block(orelse))
            case ast.Match(subject=subject, cases=cases):
                return self._calls(subject) or all(self._block(case.body) for case in cases)
            case ast.With(items=items, body=body):
                calls = [item.context_expr for item in items]
                return any(map(self._calls, calls)) or (not any(map(_suppresses, calls)) and self._block(body))
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                caught = all(isinstance(one.body[-1], ast.Raise) or self._block(one.body) for one in handlers)
                return self._block(final) or (caught and (self._block(body) or self._block(orelse)))
            case _:
                return self._calls(node)

    def _calls(self, node: ast.AST) -> bool:
        """Whether something that asserts is called, and not only for each item of something, or under a condition."""
        match node:
            case ast.Lambda() | ast.IfExp() | ast.BoolOp():
                return False
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return False
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in self._asserting:
                return True
        return any(map(self._calls, ast.iter_child_nodes(node)))

    def _holds_of_nothing(self, test: ast.expr) -> bool:
        """Whether it is `all(… for …)`, `not any(… for …)`, `not [… for …]` or `[… for …] == []`."""
        match test:
            case (
                ast.Call(func=ast.Name(id="all"), args=[one])
                | ast.UnaryOp(op=ast.Not(), operand=ast.Call(func=ast.Name(id="any"), args=[one]))
                | ast.UnaryOp(op=ast.Not(), operand=one)
                | ast.Compare(left=one, ops=[ast.Eq()], comparators=[ast.List(elts=[]) | ast.Dict(keys=[])])
                | ast.Compare(left=one, ops=[ast.Eq()], comparators=[ast.Call(func=ast.Name(id="set"), args=[])])
            ):
                return isinstance(one, Comprehension) and not all(self._is_full(loop.iter) for loop in one.generators)
        return False

    def _is_full(self, node: ast.expr) -> bool:
        """Whether it is plain to see that there is an item in it."""
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
                return any(not isinstance(item, ast.Starred) or self._is_full(item.value) for item in items)
            case ast.Dict(keys=keys):
                return any(key is not None for key in keys)
            case ast.Constant(value=str() | bytes() as text):
                return bool(text)
            case ast.Name(id=name):
                return name in self._full
            case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(stop))]):
                return stop > 0
            case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(a)), ast.Constant(value=int(b)), *_]):
                return a < b
            case ast.Call(func=ast.Name(id="zip"), args=args):
                return all(map(self._is_full, args))
            case ast.Call(func=ast.Name(id=name), args=[*_, one]) if name in SAME_LENGTH:
                return self._is_full(one)
            case ast.Call(func=ast.Attribute(value=one, attr="items" | "values" | "keys")):
                return self._is_full(one)
        return False


def _may_leave(node: ast.AST, kinds: tuple[type[ast.stmt], ...] = (ast.Return, ast.Continue, ast.Break)) -> bool:
    """Whether what follows this statement may be skipped."""
    if isinstance(node, Function | ast.Lambda | ast.ClassDef):
        return False
    if isinstance(node, ast.For | ast.While):
        kinds = (ast.Return,)
    return isinstance(node, kinds) or any(_may_leave(inner, kinds) for inner in ast.iter_child_nodes(node))


def _suppresses(context: ast.expr) -> bool:
    match context:
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")):
            return True
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_test_asserts_something_whatever_happens(path: Path) -> None:
    module = Module(path.read_text("utf-8"))
    assert module.tests
    assert [f"line {one.lineno}: {one.name}" for one in module.tests if not module.asserts(one)] == []


def found(text: str) -> list[bool]:
    module = Module(text)
    return list(map(module.asserts, module.tests))


@pytest.mark.parametrize(
    "body",
    [
        "assert x",
        "with pytest.raises(E): x()",
        "with a, pytest.warns(E): x()",
        "with a:\n  assert x",
        "for x in (1, 2):\n  assert x",
        "for x in FULL:\n  assert x",
        "for x, y in zip('ab', range(2)):\n  assert x",
        "for x in range(1, 3):\n  assert x",
        "if x:\n  assert y\nelse:\n  assert z",
        "try:\n  x()\nexcept E:\n  assert y\nelse:\n  assert x",
        "try:\n  assert x\nexcept AssertionError:\n  y()\n  raise",
        "try:\n  x()\nfinally:\n  assert y",
        "check(x)",
        "for x in check(y):\n  pass",
        "deeper()",
        "assert x\nreturn",
        "assert all(x for x in FULL)",
        "assert [x for x in y] == [1]",
        "assert not x",
        "assert x == []",
        "def inner():\n  return 1\nassert inner()",
    ],
)
def test_an_assertion_that_is_always_made_is_seen(body: str) -> None:
    assert found(_around(body)) == [True]


@pytest.mark.parametrize(
    "body",
    [
        "x()",
        "for x in y:\n  assert x",
        "for x in EMPTY:\n  assert x",
        "for x in [*y]:\n  assert x",
        "for x in range(1, n):\n  assert x",
        "for x in range(0):\n  assert x",
        "for x in zip((1, 2), y):\n  assert x",
        "while x:\n  assert y",
        "if x:\n  assert y",
        "if x:\n  assert y\nelif z:\n  assert y",
        "if x:\n  return\nassert y",
        "for x in y:\n  if x:\n    return\nassert y",
        "with a:\n  for x in y:\n    assert x",
        "for x in (1, 2):\n  if x:\n    continue\n  assert x",
        "try:\n  x()\nexcept E:\n  assert y",
        "try:\n  assert x\nexcept E:\n  pass",
        "with contextlib.suppress(E):\n  assert x",
        "def inner():\n  assert x",
        "lambda: check(x)",
        "[check(x) for x in y]",
        "x and check(y)",
        "for x in y:\n  check(x)",
        "loop(x)",
        "assert all(x for x in y)",
        "assert not any(x for x in y)",
        "assert not [x for x in y]",
        "assert [x for x in y] == []",
        "assert {x for x in y if x} == set()",
        "assert {x: 1 for x in y} == {}",
    ],
)
def test_an_assertion_that_may_not_be_made_is_none(body: str) -> None:
    assert found(_around(body)) == [False]


def _around(body: str) -> str:
    lines = "".join(f"  {line}\n" for line in body.splitlines())
    return (
        "FULL = [1]\nEMPTY = []\n"
        "def check(x):\n  assert x\n"
        "def deeper():\n  check(1)\n"
        "def loop(x):\n  for y in x:\n    check(y)\n"
        f"def test_it():\n{lines}"
    )


def test_a_test_of_many_cases_names_those_that_fail_with_the_error_of_the_first() -> None:
    @in_one_test("n word", [(1, "a"), (2, "b"), (3, "c")])
    def check(n: int, word: str, limit: int) -> None:
        assert n < limit, word

    check(limit=4)
    with pytest.raises(AssertionError, match=r"^2 of 3 cases fail: 2, b; 3, c$") as failed:
        check(limit=2)
    assert str(failed.value.__cause__).startswith("b")
