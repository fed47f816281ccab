"""results.ndjson: whole or refused."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import texts
from hypothesis import given, settings

from ollama_harness.errors import DirectoryError, ResultsError
from ollama_harness.matrix.cells import cell as cell_by_id
from ollama_harness.matrix.results import Result, Results, Writer
from ollama_harness.matrix.run import _without_noise, result
from ollama_harness.matrix.runner import Runner
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.store import RecordingStore


def cell(client: str) -> Result:
    return Result(
        client=client,
        scenario="stream",
        recording="0.32.15/chat-stream",
        requirement="MUST",
        layer="http",
        verdict=Verdict.PASS,
        why="yielded all 3 records – ✓",
        end="complete (whole)",
        due=3,
        got=3,
    )


def write(directory: Path, *clients: str, planned: int | None = None) -> Path:
    planned = len(clients) if planned is None else planned
    with Writer(directory, planned=planned, recordings={"b": "2", "a": "1"}) as writer:
        for client in clients:
            writer.add(cell(client))
        writer.finish(clients={"requests": "2.32"})
    return writer.path


def test_what_is_written_is_read_sorted(tmp_path: Path) -> None:
    results = Results.load(write(tmp_path, "requests", "httpx"))
    assert results.cells == (cell("httpx"), cell("requests"))
    assert (results.header.planned, results.header.clients) == (2, {"requests": "2.32"})
    assert list(tmp_path.iterdir()) == [tmp_path / "results.ndjson"]


def test_two_runs_differ_in_the_headers_time_only(tmp_path: Path) -> None:
    first = write(tmp_path / "1", "requests", "httpx").read_bytes().splitlines()
    second = write(tmp_path / "2", "httpx", "requests").read_bytes().splitlines()
    assert first[1:] == second[1:]
    headers: list[dict[str, Any]] = [json.loads(lines[0]) for lines in (first, second)]
    assert [{**header, "started_at": ""} for header in headers] == [{**headers[0], "started_at": ""}] * 2


def stopped(directory: Path) -> Path:
    """A run that has been interrupted after one of two cells."""
    with suppress(KeyboardInterrupt), Writer(directory, planned=2, recordings={}) as writer:
        writer.add(cell("requests"))
        raise KeyboardInterrupt
    return writer.path


def test_an_interrupted_run_leaves_only_what_is_named_partial(tmp_path: Path) -> None:
    path = stopped(tmp_path)
    partial = path.with_name("results.partial.ndjson")
    assert list(tmp_path.iterdir()) == [partial]
    with pytest.raises(ResultsError, match=r"results\.partial\.ndjson was left by a run that did not end"):
        Results.load(partial)


@pytest.mark.parametrize("asked", [".", "results.ndjson"])
def test_results_before_an_interrupted_run_are_not_loaded_as_its_own(asked: str, tmp_path: Path) -> None:
    earlier = write(tmp_path, "requests").read_bytes()
    stopped(tmp_path)
    stopped(tmp_path)  # and the next one does not lose them
    with pytest.raises(ResultsError) as caught:
        Results.load(tmp_path / asked)
    partial, previous = tmp_path / "results.partial.ndjson", tmp_path / "results.previous.ndjson"
    assert str(caught.value) == (
        f"{tmp_path / 'results.ndjson'} does not exist: the last run did not end; its results so far are in {partial}, "
        f"and are not complete; the results of the run before are in {previous}; run again"
    )
    assert previous.read_bytes() == earlier
    assert Results.load(previous).cells == (cell("requests"),)


def test_a_run_that_ends_leaves_nothing_of_those_before(tmp_path: Path) -> None:
    write(tmp_path, "requests")
    stopped(tmp_path)
    path = write(tmp_path, "httpx")
    assert list(tmp_path.iterdir()) == [path]
    assert Results.load(tmp_path).cells == (cell("httpx"),)


def test_a_second_run_into_one_directory_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with Writer(tmp_path, planned=1, recordings={}) as writer:
        writer.add(cell("requests"))
        with (
            pytest.raises(DirectoryError, match="another process is writing there"),
            Writer(tmp_path, planned=1, recordings={}),
        ):
            pass
        writer.finish(clients={})
    assert Results.load(tmp_path).cells == (cell("requests"),)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda lines: lines[:-1], "no footer, or one with another count"),
        (lambda lines: [*lines[:1], *lines[2:]], "no footer, or one with another count"),
        (lambda lines: lines[1:], "has no header; run again"),
        (lambda lines: [], "has no header; run again"),
        (
            lambda lines: [lines[0].replace(b'"schema":3', b'"schema":1'), *lines[1:]],
            "has schema 1, and this version reads 3; run again",
        ),
        (lambda lines: [lines[0].replace(b'"planned":2', b'"planned":3'), *lines[1:]], "2 of 3 planned cells"),
        (lambda lines: [*lines[:-1], lines[-1][:5]], "line 4, column 2: is no JSON"),
        (lambda lines: [lines[0], lines[1].replace(b'"pass"', b'"fine"'), *lines[2:]], 'line 2: verdict: is "fine"'),
        (lambda lines: [lines[0], lines[1].replace(b'"due":3,', b""), *lines[2:]], "line 2: due: is missing"),
        (lambda lines: [lines[0], lines[1], lines[1], lines[3]], "holds a run of a cell twice"),
    ],
)
def test_what_is_not_whole_is_refused(spoil: Any, sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path, "requests", "httpx")
    path.write_bytes(b"\n".join(spoil(path.read_bytes().splitlines())))
    with pytest.raises(ResultsError) as caught:
        Results.load(path)
    assert sentence in str(caught.value)


def test_a_directory_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(DirectoryError, match="cannot be written to"),
        Writer(tmp_path / "file", planned=0, recordings={}),
    ):
        pass


@pytest.mark.parametrize(
    ("message", "quiet"),
    [
        ("HTTPConnectionPool(host='127.0.0.1', port=45123): x", "HTTPConnectionPool(host='127.0.0.1', port=PORT): x"),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:PORT/api"),
        ("<Connection object at 0x7f12ab34cd56>", "<Connection object at 0x…>"),
        ("404 page not found", "404 page not found"),
    ],
)
def test_what_changes_from_run_to_run_is_taken_out_of_messages(message: str, quiet: str) -> None:
    assert _without_noise(message) == quiet


def test_after_a_reset_the_count_of_records_is_no_result(runner: Runner, store: RecordingStore) -> None:
    reset, cut = (
        result(runner.run_cell(cell_by_id(store, f"requests/{name}/0.32.15/chat-stream")))
        for name in ("reset-after-record", "cut-after-record")
    )
    assert (reset.got, cut.got) == (None, 3)


def test_how_far_a_client_came_that_hung_is_no_result(runner: Runner, store: RecordingStore) -> None:
    hung = result(runner.run_cell(cell_by_id(store, "canary-hanging/stream/0.32.15/chat-stream")))
    assert (hung.verdict, hung.got) == (Verdict.HANG, None)


@settings(max_examples=30)
@given(texts)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    """A message may quote what was sent: line ends of all standards among it."""
    with tempfile.TemporaryDirectory() as name:
        one = replace(cell("requests"), why=text, message=text, raised=text)
        with Writer(Path(name), planned=1, recordings={}) as writer:
            writer.add(one)
            written = writer.finish(clients={"x": "1"})
        assert written.cells == (one,)
        assert Results.load(writer.path) == written


def test_half_a_surrogate_pair_in_a_message_does_not_end_the_run(tmp_path: Path) -> None:
    """json.loads makes one of "\\ud800", and an exception may quote it."""
    with Writer(tmp_path, planned=1, recordings={}) as writer:
        writer.add(replace(cell("requests"), message="\ud800"))
        writer.finish(clients={})
    assert len(Results.load(writer.path).cells) == 1


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"schema":1}\n{"why":"\xff"}\n{"cells":1}\n', b"[1]\n[2]\n", b"{}\n"])
def test_what_was_never_a_results_file_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results.ndjson"
    path.write_bytes(data)
    with pytest.raises(ResultsError):
        Results.load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        Results.load(tmp_path / "results.ndjson")


def test_fewer_cells_than_planned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="1 of 2 planned cells"):
        Results.load(write(tmp_path, "requests", planned=2))
