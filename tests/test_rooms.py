"""The rooms of the package: a room imports only what stands before it, and no two public classes share a name."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.same_everywhere

PACKAGE = Path(__file__).parent.parent / "harness" / "ollama_harness"
NAME = PACKAGE.name

#: Each room may import those before it, and `cli` and the plugin all of them.
ORDER = (
    "errors",
    "files",
    "recordings",
    "script",
    "faults",
    "oracle",
    "network",
    "answers",
    "server",
    "recorder",
    "clients",
    "matrix",
    "doctor",
    "gate",
    "cli",
    "pytest_plugin",
)
OUTSIDE = {"__init__", "__main__"}
#: What npm has put there is not of this package.
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)
ROOMS = [
    path.parent for path in MODULES if path.name == "__init__.py" and path.parent not in (PACKAGE, PACKAGE / "cli")
]
OTHERS = [path for name in ("pages", "benchmarks") for path in (PACKAGE.parents[1] / name).rglob("*.py")]


def room_of(module: str) -> str:
    """The room of a dotted name, which may be the package's own name."""
    name = [*module.split("."), "__init__"][1]
    return "__init__" if name.startswith("__") else name


def imports(path: Path) -> Iterator[str]:
    """The rooms that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{each.name}" if node.module == NAME else node.module for each in node.names]
        yield from (room_of(name) for name in names if name.split(".")[0] == NAME)


def test_the_folders_are_the_rooms() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.name[0] not in "._" or path.stem in OUTSIDE}
    assert there - {"py"} == {*ORDER, *OUTSIDE} - {"__pycache__"}


def test_the_page_lists_the_rooms_in_this_order() -> None:
    page = (PACKAGE.parent.parent / "docs" / "how-it-works.md").read_text("utf-8")
    [block] = re.findall(r"```rooms\n(.*?)```", page, re.DOTALL)
    listed = [line.split()[0] for line in block.splitlines()]
    assert [*listed, "pytest_plugin"] == [*ORDER]


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_what_stands_before_it(room: str) -> None:
    modules = [path for path in MODULES if path.relative_to(PACKAGE).parts[0].removesuffix(".py") == room]
    imported = {(path.relative_to(PACKAGE).as_posix(), other) for path in modules for other in imports(path)}
    before = {*ORDER[: ORDER.index(room) + 1], "__init__"}
    assert modules
    assert {pair for pair in imported if pair[1] not in before} == set()


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert len(places) > len(MODULES) / 2, "classes are found"
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("imported", "not_loaded"),
    [
        ("gate", "matrix.runner"),
        ("gate.rules", "matrix.runner"),
        ("matrix.results", "matrix.runner"),
        ("recordings", "script"),
        ("errors", "recordings"),
        ("clients.worker", "script"),
        ("clients.worker_process", "oracle.verdict"),
    ],
)
def test_a_room_loads_no_more_than_it_needs(imported: str, not_loaded: str) -> None:
    code = f"import sys, {NAME}.{imported}; print('{NAME}.{not_loaded}' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


#: What takes long to import, and only other commands or options of `serve` need.
NOT_FOR_SERVE = {
    *("rich", "h11", "cryptography", "asyncio", "httpx", "requests"),
    *(f"{NAME}.{room}" for room in ("oracle", "recorder", "clients", "matrix", "doctor", "gate")),
}


def test_serve_is_ready_without_what_other_commands_need() -> None:
    command = [sys.executable, "-X", "importtime", "-m", NAME, "serve", "--port", "0", "--exit-on-stdin-close"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert f"{NAME}.server.fake_ollama" in imported
    assert imported & NOT_FOR_SERVE == set()


@functools.cache
def imported_modules() -> dict[str, set[str]]:
    """Each dotted name that is imported, with the modules of the package, of pages and of benchmarks that do so."""
    found = defaultdict(set)
    for path in (*MODULES, *OTHERS):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                for name in (str(node.module), *(f"{node.module}.{each.name}" for each in node.names)):
                    found[name].add(path.as_posix())
    return found


def users_of(module: Path) -> set[str]:
    return imported_modules()[".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts)]


def test_what_only_its_own_room_uses_is_private_unless_the_room_says_what_is_public() -> None:
    """A room whose `__init__` exports nothing shows by underscores what is its own."""
    silent = [room for room in ROOMS if "__all__" not in (room / "__init__.py").read_text("utf-8")]
    modules = [path for room in silent for path in room.glob("*.py") if path.stem not in ("__init__", "__main__")]
    inside = {path for path in modules if all(user.startswith(path.parent.as_posix() + "/") for user in users_of(path))}
    assert inside
    assert {path.as_posix() for path in inside} == {path.as_posix() for path in modules if path.stem.startswith("_")}
