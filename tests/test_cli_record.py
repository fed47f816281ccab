"""`ollama-harness record`, and `check` of the recordings that it made."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import line, recording
from click.testing import CliRunner, Result

from ollama_harness import FakeOllama, RecordingStore
from ollama_harness.cli import commands, main
from ollama_harness.recorder import session
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.store import packaged_store

pytestmark = pytest.mark.same_on_each_python

NEWEST = packaged_store().newest
MODEL = ("--model", "smollm2:135m")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with FakeOllama(speed=0) as server:
        yield server.url


def test_record_prints_number_version_and_folder_and_check_finds_no_defect(url: str, tmp_path: Path) -> None:
    done = invoke("record", "--host", url, "--out", tmp_path, *MODEL, "--only", "chat-*", "--only", "!chat-unload")
    assert done.exit_code == 0, done.output
    made = RecordingStore(tmp_path).ids
    assert done.stdout == f"{len(made)} exchanges with Ollama {NEWEST} recorded in {tmp_path / NEWEST}\n"
    assert all(id_.startswith(f"{NEWEST}/chat-") for id_ in made)
    checked = invoke("check", tmp_path)
    assert (checked.exit_code, checked.stdout) == (0, f"{len(made)} recordings are valid, 0 defects found\n")


def test_a_second_session_has_a_folder_of_its_own(url: str, tmp_path: Path) -> None:
    done = invoke("record", "--host", url, "--out", tmp_path, "--only", "version", "--session", "again")
    assert (done.exit_code, RecordingStore(tmp_path).ids) == (0, (f"again/{NEWEST}/version",))


def test_own_probes_are_sent_instead_and_failures_are_reported(url: str, tmp_path: Path) -> None:
    probes = tmp_path / "my.toml"
    set_up = 'before = [{ path = "/api/show", json = { model = "nobody" } }]'
    probes.write_text(
        f'[[probe]]\nname = "a"\nmethod = "GET"\npath = "/"\n[[probe]]\nname = "b"\npath = "/"\n{set_up}\n'
    )
    done = invoke("record", "--host", url, "--out", tmp_path / "out", "--probes", probes)
    assert done.exit_code == 1
    assert "error: b: the set-up failed: POST /api/show gave 404" in done.stderr
    assert done.stdout.startswith(f"1 exchanges with Ollama {NEWEST} recorded in ")
    assert done.stdout.endswith("; 1 probes gave no recording\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--host", "https://a.example"), "cannot be recorded"),
        (("--host", "http://u:p@a.example"), "--host holds a user name"),
        (("--host", "URL", "--only", "chat-steam"), "did you mean chat-stream"),
        (("--host", "URL", "--only", "tags", "--only", "!tags"), "--only leaves no probe"),
        (("--host", "URL", "--session", "A"), "cannot be the name of a session"),
        (("--host", "URL", "--probes", "none.toml"), "none.toml: cannot be read"),
        (("--host", "URL", "--timeout", "0"), "--timeout"),
        (("--host", "URL", "--timeout", "nan"), "is not a number of seconds"),
        ((), "Missing option '--host'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2_and_writes_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    given = [url if one == "URL" else one for one in arguments]
    with pytest.raises(SystemExit) as ended:
        main(["record", "--out", str(tmp_path / "out"), *given])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below", "full", "full/below"])
def test_a_folder_that_cannot_be_written_to_is_an_error_before_anything_is_sent(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    (tmp_path / "file").touch()
    if out.startswith("full"):
        monkeypatch.setattr(Path, "mkdir", refuse)  # the superuser may write anywhere
    with pytest.raises(SystemExit) as ended:
        main(["record", "--host", url, "--out", str(tmp_path / out), "--only", "version"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert Path(out).name in message
    assert "Traceback" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_dry_run_prints_no_control_characters(url: str, tmp_path: Path) -> None:
    probes = tmp_path / "my.toml"
    probes.write_text('[[probe]]\nname = "a"\npath = "/api/delete"\njson = { model = "x\\u001b[31m\\ngate: pass" }\n')
    done = invoke("record", "--host", url, "--out", tmp_path / "out", "--probes", probes, "--dry-run")
    assert done.exit_code == 0, done.output
    assert r"deletes x\x1b[31m\ngate: pass" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["ctrl-c", "term"])
def test_an_interrupt_prints_where_the_finished_recordings_are(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: BaseException,
    code: int,
) -> None:
    record_one = session.record_one

    def interrupted(*arguments: object, **more: object) -> Path:
        if list(tmp_path.rglob("*.meta.json")):
            raise end
        return record_one(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "record_one", interrupted)
    with pytest.raises(SystemExit) as exited:
        main(["record", "--host", url, "--out", str(tmp_path), *MODEL, "--only", "chat-*"])
    assert exited.value.code == code
    printed = capsys.readouterr().err
    assert f"interrupted; the recordings made so far are in {tmp_path / NEWEST}, and are complete" in printed
    assert len(RecordingStore(tmp_path).ids) == 1
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_what_is_printed_of_a_folder_cannot_move_the_cursor(url: str, tmp_path: Path) -> None:
    done = invoke("record", "--host", url, "--out", tmp_path / "a\x1b[2Jb\nc", "--only", "version")
    assert done.exit_code == 0
    assert "a\\x1b[2Jb\\nc" in done.stdout


def test_check_refuses_what_looks_like_a_secret_and_does_not_repeat_it(tmp_path: Path) -> None:
    one = recording(line({"a": 1}), line({"token": "s3cret"}), request_json={"api_key": "s3cret"})
    on_disk.save(one, tmp_path)
    done = invoke("check", tmp_path)
    assert (done.exit_code, done.stdout) == (2, "0 recordings are valid, 2 defects found\n")
    meta = tmp_path / "generate-small.meta.json"
    assert f"error: {meta}: request.json: holds what looks like a secret: a value in JSON; replace each" in done.stderr
    assert f"error: {meta}: body, line 2: holds what looks like a secret" in done.stderr
    assert "s3cret" not in done.output
