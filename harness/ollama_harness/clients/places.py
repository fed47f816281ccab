"""Where `ollama-harness install` builds clients: a place for each lock file, outside of the sources and of this Python.

A place is a copy of its sources in which its steps were run. The last step of all writes a stamp, which says where that
was: a place without it is half built, and one with another path was moved, and what it holds may name the old path. So
may one that lacks what its steps make. None of these counts, and `install` builds them from the start. The name of a
place ends in a hash of the sources, the steps, the system and the Python. What has changed is therefore another place,
and a run never sees a place that is older than its sources.

Two kinds of clients have places: those of a folder of programs with steps, and those in Python whose library this
package does not bring. Such a library gets a virtual environment, by a file in `environments/`: NAME.in says which
libraries, and NAME.txt, made from it, every version and hash. Libraries that exclude each other stand in two files.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path, PurePath

from ollama_harness.clients._process_tree import OWN_GROUP, killed
from ollama_harness.errors import InstallError
from ollama_harness.files.locking import held
from ollama_harness.files.writing import make_directory, write_whole, writing

__all__ = ["VARIABLE", "ClientPlace", "Library", "environment_of", "environment_with", "root", "use_root"]

#: The environment variable that names the folder of all places.
VARIABLE = "OLLAMA_HARNESS_ENV_DIR"

_ENVIRONMENTS = Path(__file__).parent / "environments"
_PYTHON = "venv/Scripts/python.exe" if sys.platform == "win32" else "venv/bin/python"
_SITE_PACKAGES = "venv/Lib/site-packages" if sys.platform == "win32" else "venv/lib/python*/site-packages"
_STAMP = ".whole"
#: How many lines of a step's output are kept, for the message if it fails.
_KEPT_LINES = 20

_root: Path | None = None


def root() -> Path:
    """The folder of all places: what `use_root` or the variable names, or a folder of the user's cache."""
    if _root is not None or os.environ.get(VARIABLE):
        return _root or Path(os.environ[VARIABLE]).absolute()
    import platformdirs  # no process of a client needs it

    return platformdirs.user_cache_path("ollama-harness") / "clients"


def use_root(folder: Path) -> None:
    """Make this the folder of all places, for as long as this process runs."""
    global _root
    _root = folder.absolute()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPlace:
    """What is built in one place: the `files` that are copied into it, by their paths in it, and the `steps`.

    Each step is the arguments of one command, which runs in the place. They make the paths `makes`. `toolchain` must be
    on PATH, and `get` says how to get it; "" needs none. `depends_on` is what the result depends on besides the files
    and the system.
    """

    name: str
    files: Mapping[str, Path] = field(default_factory=dict)
    steps: tuple[tuple[str, ...], ...]
    makes: tuple[str, ...] = ()
    toolchain: str = ""
    get: str = ""
    depends_on: tuple[object, ...] = ()

    @property
    def path(self) -> Path:
        """The folder of the place, whether it is there or not."""
        return root() / f"{self.name}-{self._hash()}"

    @property
    def is_whole(self) -> bool:
        return self.path.is_dir() and self.defect is None

    @property
    def defect(self) -> str | None:
        """Why the folder that is there cannot be used, in words; None if it can, and if there is none."""
        path = self.path
        if not path.is_dir():
            return None
        try:
            built = (path / _STAMP).read_text(encoding="utf-8")
        except OSError:
            return f"{path} is half built: an install was interrupted, or has not ended yet"
        if not (Path(built).is_dir() and Path(built).samefile(path)):
            return f"{path} was moved: it was built as {built or 'another folder'}"
        lost = self._lost
        return None if lost is None else f"{path} is damaged: it has no {lost}"

    @property
    def python(self) -> str:
        """The Python of a virtual environment."""
        return str(self.path / _PYTHON)

    @property
    def lacks(self) -> str | None:
        """Why it cannot be built here, and what helps; None if it can."""
        if not self.toolchain or shutil.which(self.toolchain):
            return None
        return f"there is no {self.toolchain} on PATH; {self.get}"

    def packages(self) -> dict[str, str]:
        """The packages that are there, with their versions: of Python, or of npm."""
        found = metadata.distributions(path=[str(one) for one in self.path.glob(_SITE_PACKAGES)])
        versions = {one.name: one.version for one in found}
        with suppress(OSError, ValueError):
            locked = json.loads((self.path / "node_modules" / ".package-lock.json").read_text("utf-8"))["packages"]
            versions |= {path.removeprefix("node_modules/"): one["version"] for path, one in locked.items()}
        return versions

    def build(
        self,
        begins: Callable[[str], None] = lambda _: None,
        *,
        writes: Callable[[str], None] = lambda _: None,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Build it, unless it is whole. `begins` is told each step when it begins, and `writes` each line that it
        writes. `waiting` is called if another process builds a place, whose end is waited for.

        Raises: InstallError (a toolchain is missing, or a step failed), DirectoryError (the folder cannot be written).
        """
        make_directory(root(), InstallError, fix="give another --env-dir")
        with held(root(), waiting=waiting):
            if self.is_whole:
                return
            if self.lacks is not None:
                raise InstallError(f"{self.name} cannot be installed: {self.lacks}")
            try:
                self._copy()
                for step in self.steps:
                    begins(" ".join(step))
                    self._run(step, writes)
                if self._lost is not None:
                    raise InstallError(f"{self.name} cannot be installed: its steps have not made {self._lost}")
                write_whole(self.path / _STAMP, str(self.path), InstallError)
            except BaseException:
                shutil.rmtree(self.path, ignore_errors=True)
                raise

    @property
    def _lost(self) -> str | None:
        """What its steps make, and is not there. On Windows a program's name has an ending."""
        paths = ((one, self.path / one) for one in self.makes)
        return next((one for one, path in paths if not path.exists() and shutil.which(path) is None), None)

    def _copy(self) -> None:
        with writing(self.path, InstallError):
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir()
            for name, file in self.files.items():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, self.path / name)

    def _run(self, step: tuple[str, ...], writes: Callable[[str], None]) -> None:
        """Run a step to its end.

        Raises: InstallError, with the last lines that it wrote.
        """
        name = step[0]
        program = shutil.which(name if PurePath(name).parent == PurePath() else self.path / name)
        if program is None:
            raise InstallError(f"{self.name} cannot be installed: there is no program {name!r}; put it on PATH")
        last: deque[str] = deque(maxlen=_KEPT_LINES)
        with subprocess.Popen(
            [program, *step[1:]],
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            **OWN_GROUP,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    last.append(line.rstrip())
                    writes(last[-1])
            except BaseException:
                killed(process)
                raise
        if process.returncode:
            what = f"{self.name} cannot be installed: {' '.join(step)} ended with exit code {process.returncode}"
            raise InstallError("\n".join((f"{what}; its last lines:", *last)))

    def _hash(self) -> str:
        files = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in sorted(self.files.items())}
        all_ = (files, sysconfig.get_platform(), *self.depends_on)
        return hashlib.sha256(json.dumps(all_).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Library:
    """A library by its name in a registry. `steps` make a place with another version of it; in them `{library}` and
    `{version}` stand for what is wanted. For the registry "pypi" there are none: it gets a virtual environment.
    """

    registry: str
    name: str
    steps: tuple[tuple[str, ...], ...] = ()

    def at(self, version: str, place: ClientPlace | None) -> ClientPlace:
        """The place for one version and what it depends on. `place` is that of the version in a lock file."""
        if place is None or not self.steps:
            return environment_with(self.name, version)
        values = {"{library}": self.name, "{version}": version}
        steps = tuple(tuple(_with(values, argument) for argument in step) for step in self.steps)
        name = f"{self.registry}-{self.name}@{version}".replace("/", "-")
        return replace(place, name=name, steps=steps, depends_on=steps)


def _with(values: Mapping[str, str], text: str) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


@functools.cache
def environment_of(distribution: str) -> ClientPlace | None:
    """The virtual environment for a library, by the file in `environments/` that names it; None if none does."""
    found = _wanted(distribution)
    if found is None:
        return None
    locked = found[0].with_suffix(".txt")
    name = f"python-{locked.stem}"
    return _virtual_environment(name, {locked.name: locked}, "--require-hashes", "-r", locked.name)


def environment_with(distribution: str, version: str) -> ClientPlace:
    """The virtual environment for one version of a library, with what it depends on, and with the extras that its
    client needs.
    """
    _, package = _wanted(distribution) or (None, distribution)
    return _virtual_environment(f"{distribution}=={version}", {}, f"{package}=={version}")


def _wanted(distribution: str) -> tuple[Path, str] | None:
    """The file in `environments/` that names a library, and the library with its extras; None if none does."""
    for wanted in sorted(_ENVIRONMENTS.glob("*.in")):
        for line in wanted.read_text("utf-8").splitlines():
            package = re.match(r"([\w.-]+)(\[[^\]]*\])?", line)
            if package is not None and package[1] == distribution:
                return wanted, package[0]
    return None


def _virtual_environment(name: str, files: Mapping[str, Path], *packages: str) -> ClientPlace:
    """A virtual environment of this Python, made by uv if that is there, which takes seconds instead of minutes.

    All modules are compiled at once: otherwise each process of a client that starts at first compiles them for itself.
    """
    make: tuple[str, ...] = (sys.executable, "-m", "venv", "venv")
    fill: tuple[str, ...] = (_PYTHON, "-m", "pip", "install", "--disable-pip-version-check")
    if shutil.which("uv"):
        make = ("uv", "venv", "--python", sys.executable, "venv")
        fill = ("uv", "pip", "install", "--compile-bytecode", "--python", _PYTHON)
    steps = (make, (*fill, *packages))
    return ClientPlace(name=name, files=files, steps=steps, makes=(_PYTHON,), depends_on=(packages, sys.version))
