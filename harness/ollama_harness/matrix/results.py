"""results.ndjson, the only interface between a run and everything that reads it.

A header (schema, versions, hashes of the recordings, number of planned cells), one line for each cell, sorted, and a
footer with their number. A file without a footer, or with another number, is refused. Two runs of the same cells give
the same file, except `started_at`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ollama_harness import __version__
from ollama_harness.clients import clients, without_version
from ollama_harness.errors import ResultsError
from ollama_harness.files.fields import Fields, is_count, is_one_line
from ollama_harness.files.json_text import escape_surrogates
from ollama_harness.files.locking import held
from ollama_harness.files.reading import read_ndjson
from ollama_harness.files.writing import write_whole, writing
from ollama_harness.matrix.scenarios import SCENARIOS, Requirement
from ollama_harness.network.route import Route
from ollama_harness.oracle.reference import Layer
from ollama_harness.oracle.verdict import Verdict

__all__ = ["SCHEMA", "Result", "Results", "ResultsHeader", "Writer", "fingerprint", "unfinished"]

SCHEMA = 3
FILE, PARTIAL_FILE, PREVIOUS_FILE = "results.ndjson", "results.partial.ndjson", "results.previous.ndjson"
_AGAIN = "the file is incomplete, corrupt or of another version; run again"
_ELSEWHERE = "make room, or give another --out"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsHeader:
    """What was run, with what, and where."""

    schema: int
    harness: str
    os: str
    python: str
    clients: dict[str, str]
    recordings: dict[str, str]
    planned: int
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One cell. `end` is the end that a perfect client sees. `due` and `got` count records; of pieces, those that they
    have told of. `got` is None after an RST and for a client that hung, because then it depends on timing.

    `requests` and `connections` count what reached the server in all exchanges of the cell. `run` is the number of the
    run, from 1, if each cell runs several times. In an environment, `host`
    is the host of the URL, and `route` the route of the request.
    """

    client: str
    scenario: str
    recording: str
    requirement: str
    layer: str
    verdict: Verdict
    why: str
    end: str
    due: int
    got: int | None
    requests: int = 0
    connections: int = 0
    raised: str | None = None
    message: str | None = None
    run: int = 1
    host: str = ""
    route: str | None = None

    @property
    def cell(self) -> str:
        return f"{self.client}/{self.scenario}/{self.recording}" + (f"@{self.host}" if self.host else "")

    @property
    def gating(self) -> bool:
        return self.requirement != "OBSERVE"


@dataclass(frozen=True, slots=True)
class Results:
    """A whole file of results."""

    header: ResultsHeader
    cells: tuple[Result, ...]

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file of results, or the one in a directory.

        Raises: ResultsError, if it is not complete, or a line is not what `run` writes.
        """
        if path.is_dir():
            path = path / FILE
        if path.name == PARTIAL_FILE:
            raise ResultsError(f"{path} was left by a run that did not end, and is not a complete result; run again")
        if path.name == FILE and (problem := unfinished(path.parent)):
            raise ResultsError(f"{path} does not exist: {problem}; run again")
        values = read_ndjson(path, ResultsError, fix="give a file that `run` has written", repair=_AGAIN)
        if not values or not isinstance(values[0], dict) or "schema" not in values[0]:
            raise ResultsError(f"{path} has no header; run again")
        if (schema := values[0]["schema"]) != SCHEMA:
            raise ResultsError(f"{path} has schema {schema!r:.20}, and this version reads {SCHEMA}; run again")
        if len(values) < 2 or values[-1] != {"cells": len(values) - 2}:
            raise ResultsError(f"{path} has no footer, or one with another count: the run did not end; run again")
        header = _header(_line_of(path, 1, values[0]))
        known = clients().keys() | header.clients.keys()  # a user's own client is only in the header
        cells = tuple(_result(_line_of(path, number, value), known) for number, value in enumerate(values[1:-1], 2))
        if header.planned != len(cells):
            raise ResultsError(f"{path} holds {len(cells)} of {header.planned} planned cells; run again")
        if len({(one.cell, one.run) for one in cells}) < len(cells):
            raise ResultsError(f"{path} holds a run of a cell twice; run again")
        return cls(header, cells)


class Writer:
    """Writes a run's results into a directory. It is a context manager that locks the directory for other runs.

    Each cell is written to `results.partial.ndjson` at once. `finish` writes all of them, sorted, to `results.ndjson`
    in one move. Until then the results of the run before are called `results.previous.ndjson`, so that they cannot be
    mistaken for those of a run that did not end.

    Raises: DirectoryError (another run writes there), ResultsError.
    """

    def __init__(self, directory: Path, *, planned: int, recordings: dict[str, str]) -> None:
        self._directory, self._planned, self._recordings = directory, planned, recordings
        self._cells: list[tuple[Result, str]] = []
        self._stack = ExitStack()
        self.path, self.partial = directory / FILE, directory / PARTIAL_FILE

    def __enter__(self) -> Self:
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        with ExitStack() as stack:
            stack.enter_context(held(self._directory))
            with writing(self._directory, ResultsError, fix=_ELSEWHERE):
                with suppress(FileNotFoundError):
                    os.replace(self.path, self.path.with_name(PREVIOUS_FILE))  # noqa: PTH105
                self._file = self.partial.open("w", encoding="utf-8", newline="\n")
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _close(self) -> None:
        with suppress(OSError):  # on a full disk, the rest of the buffer fails again
            self._file.close()

    def add(self, one: Result) -> None:
        line = _line({each.name: getattr(one, each.name) for each in fields(one)})
        self._cells.append((one, line))
        with writing(self.partial, ResultsError, fix=_ELSEWHERE):
            self._file.write(line)
            self._file.flush()

    def finish(self, *, clients: dict[str, str]) -> Results:
        """Write the whole file, and delete the partial one and that of the run before."""
        header = ResultsHeader(
            schema=SCHEMA,
            harness=__version__,
            os=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            clients=dict(sorted(clients.items())),
            recordings=dict(sorted(self._recordings.items())),
            planned=self._planned,
            started_at=self._started_at,
        )
        cells = sorted(self._cells, key=lambda cell: (cell[0].cell, cell[0].run))
        lines = (_line(asdict(header)), *(line for _, line in cells), _line({"cells": len(cells)}))
        self._close()
        write_whole(self.path, "".join(lines), ResultsError, fix=_ELSEWHERE)
        with writing(self.partial, ResultsError, fix="delete it"):
            self.partial.unlink()
            self.path.with_name(PREVIOUS_FILE).unlink(missing_ok=True)
        return Results(header, tuple(one for one, _ in cells))


def unfinished(directory: Path) -> str | None:
    """A sentence on what an unfinished run has left in a directory; None if the last run ended, or there was none."""
    partial, previous = directory / PARTIAL_FILE, directory / PREVIOUS_FILE
    if not partial.exists() or (directory / FILE).exists():
        return None
    before = f"; the results of the run before are in {previous}" if previous.exists() else ""
    return f"the last run did not end; its results so far are in {partial}, and are not complete{before}"


def _line_of(path: Path, number: int, value: Any) -> Fields:
    return Fields(path, value, f"line {number}: ", ResultsError, fix=_AGAIN)


def _header(fields: Fields) -> ResultsHeader:
    header = ResultsHeader(
        schema=fields.take("schema", lambda v: is_count(v) and v == SCHEMA, f"{SCHEMA}"),
        harness=fields.take("harness", is_one_line, "a version"),
        os=fields.take("os", is_one_line, "a system"),
        python=fields.take("python", _is_python, "a version of Python"),
        clients=fields.take("clients", _are_names, "names and versions"),
        recordings=fields.take("recordings", _are_names, "ids and hashes"),
        planned=fields.take("planned", is_count, "a count"),
        started_at=fields.take("started_at", is_one_line, "a time"),
    )
    fields.no_more()
    return header


def _result(fields: Fields, known: AbstractSet[str]) -> Result:
    def text(name: str) -> Any:
        return fields.take(name, lambda v: v is None or isinstance(v, str), "a text or null")

    def one_of(name: str, kind: type[StrEnum]) -> Any:
        return fields.take(name, lambda v: v in list(kind), f"one of {', '.join(kind)}")

    def route(name: str) -> Any:
        return fields.take(name, lambda v: v is None or v in list(Route), f"null or one of {', '.join(Route)}")

    found = Result(
        client=fields.take(
            "client", lambda v: isinstance(v, str) and without_version(v) in known, "a client of this version"
        ),
        scenario=fields.take("scenario", lambda v: isinstance(v, str) and v in SCENARIOS, "a scenario of this version"),
        recording=fields.take("recording", lambda v: is_one_line(v) and "/" in v, "the id of a recording"),
        requirement=one_of("requirement", Requirement),
        layer=one_of("layer", Layer),
        verdict=Verdict(one_of("verdict", Verdict)),
        why=fields.text("why"),
        end=fields.text("end"),
        due=fields.take("due", is_count, "a count"),
        got=fields.take("got", lambda v: v is None or is_count(v), "a count or null"),
        requests=fields.take("requests", is_count, "a count"),
        connections=fields.take("connections", is_count, "a count"),
        raised=text("raised"),
        message=text("message"),
        run=fields.take("run", lambda v: is_count(v) and v > 0, "a number, 1 or more"),
        host=fields.take("host", lambda v: v == "" or is_one_line(v), "a host"),
        route=route("route"),
    )
    fields.no_more()
    return found


def _is_python(value: Any) -> bool:
    return is_one_line(value) and re.match(r"\d{1,3}\.\d{1,3}\.\d{1,3}(?!\d)", value, re.ASCII) is not None


def _are_names(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_one_line, (*value, *value.values())))


def fingerprint(body: bytes) -> str:
    """The hash of a recording's body. It shows whether two runs played the same recording."""
    return hashlib.sha256(body).hexdigest()


def _line(value: Any) -> str:
    return escape_surrogates(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) + "\n"
