"""A session of recording changes no model of the server that it has not made itself."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.cli import commands
from ollama_harness.errors import DirectoryError, RecorderError
from ollama_harness.files.locking import held
from ollama_harness.recorder import Plan, Probe, Progress, default_probes, plan, record
from ollama_harness.recorder.probes import MODEL
from ollama_harness.recorder.touching import full_name, touches
from ollama_harness.recordings.recording import Request

pytestmark = pytest.mark.same_on_each_python

MINE, OTHER = "mine:1b", "other:latest"
VERSION = "9.9.9"
PULLS_OF_THE_MODEL = {"pull-stream", "pull-again", "pull-nonstream"}


class Ollama(ThreadingHTTPServer):
    """As much of an Ollama as has models: it believes every request, and pulls whatever it is asked to.

    `models` are names and digests; `changes` counts up, so that a digest never comes back.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reset()

    def reset(self, *more: str) -> None:
        self.models = {name: f"sha256:{name}" for name in (MINE, OTHER, *more)}
        self.asked: list[tuple[str, str]] = []
        self.refuses_deletion = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def change(self, method: str, target: str, body: bytes) -> int:
        """Do what a request asks; the status."""
        path = "/" + "/".join(filter(None, urllib.parse.unquote(target.partition("?")[0]).lower().split("/")))
        fields = {key.lower(): value for key, value in self._object(body).items()}
        name = self._key(fields.get("destination" if path == "/api/copy" else "model") or fields.get("name"))
        match method, path:
            case "POST", "/api/pull" | "/api/create" | "/api/copy" | "/api/push":
                self.models[name] = f"sha256:{path} {len(self.asked)}"
            case "DELETE", "/api/delete" if self.refuses_deletion:
                return 500
            case "DELETE", "/api/delete":
                return 404 if self.models.pop(name, None) is None else 200
        return 200

    def _key(self, name: Any) -> str:
        """What this server calls a model that a request names somehow."""
        text = str(name).lower().rpartition("://")[2].removeprefix("registry.ollama.ai/").removeprefix("library/")
        return text if ":" in text.rpartition("/")[2] else f"{text}:latest"

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            value = json.JSONDecoder().raw_decode(body.decode().lstrip())[0]
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Ollama

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path))
        status = self.server.change(self.command, self.path, body)
        models = [{"name": name, "digest": digest} for name, digest in self.server.models.items()]
        answer = json.dumps({"version": VERSION, "models": models}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer if self.command != "HEAD" else b"")

    do_GET = do_HEAD = do_POST = do_DELETE = do_OPTIONS = _answer  # the names that http.server looks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Ollama]:
    with Ollama() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ollama(running: Ollama) -> Ollama:
    running.reset()
    return running


def planned(ollama: Ollama, *probes: Probe, **more: Any) -> Plan:
    return plan(ollama.url, probes or None, timeout_s=10, **more)


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(commands, [str(one) for one in arguments])


def changed(requests: Iterable[Request], *verbs: str) -> set[str]:
    """The names of models to which these requests do such things, but for that of the model that is asked."""
    found = (touch for request in requests for touch in touches(request))
    return {touch.model for touch in found if touch.verb in verbs} - {MODEL}


def requests_of(probe: Probe) -> tuple[Request, ...]:
    return (*probe.before, probe.request, *probe.after)


EVERY = tuple(request for probe in default_probes().probes for request in requests_of(probe))
MADE_UP = sorted(changed(EVERY, "pulls", "writes", "deletes", "pushes"))
MAKERS = [probe for probe in default_probes().probes if changed(requests_of(probe), "pulls", "writes")]


# ------------------------------------------------------------------------------------------ the default probes


def test_a_session_leaves_every_model_as_it_was(ollama: Ollama, tmp_path: Path) -> None:
    before = dict(ollama.models)
    session = record(ollama.url, out=tmp_path, model=MINE)
    assert ollama.models == before
    assert session.failures == ()
    assert {one.name for one in session.left_out} == PULLS_OF_THE_MODEL
    assert len(session.ids) == len(default_probes().probes) - len(PULLS_OF_THE_MODEL)
    assert ("POST", "/api/create") in ollama.asked  # it did make something


def test_the_model_is_pulled_only_when_it_is_named_as_one_that_may_change(ollama: Ollama, tmp_path: Path) -> None:
    probes = default_probes().only(("pull-*",))
    record(ollama.url, probes, tmp_path, model=MINE)
    assert ollama.models == {MINE: f"sha256:{MINE}", OTHER: f"sha256:{OTHER}"}
    session = record(ollama.url, probes, tmp_path, model=MINE, may_change=["MINE:1b"])
    assert (session.left_out, session.failures) == ((), ())
    assert ollama.models[MINE] != f"sha256:{MINE}"
    assert ollama.models[OTHER] == f"sha256:{OTHER}"


@pytest.mark.parametrize("name", MADE_UP)
def test_a_model_that_was_there_before_is_not_treated_as_its_own(ollama: Ollama, tmp_path: Path, name: str) -> None:
    ollama.reset(ollama._key(name))
    before = dict(ollama.models)
    with pytest.raises(RecorderError, match="already has a model of that name; delete it if"):
        record(ollama.url, out=tmp_path / "out", model=MINE)
    assert ollama.models == before
    assert set(ollama.asked) == {("GET", "/api/version"), ("GET", "/api/tags")}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("probe", MAKERS, ids=lambda probe: probe.name)
def test_what_a_default_probe_makes_it_deletes_again(probe: Probe) -> None:
    made = changed((*probe.before, probe.request), "pulls", "writes")
    assert set(map(full_name, made)) <= set(map(full_name, changed(probe.after, "deletes")))


def test_an_interrupt_leaves_no_model_behind(ollama: Ollama, tmp_path: Path) -> None:
    before = dict(ollama.models)

    def interrupt(now: Progress) -> None:
        if now.frames:
            assert ollama.models != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(ollama.url, default_probes().only(("create-stream",)), tmp_path, model=MINE, on_progress=interrupt)
    assert ollama.models == before
    assert list(tmp_path.iterdir()) == []


def test_a_clean_up_that_fails_is_reported(ollama: Ollama, tmp_path: Path) -> None:
    ollama.refuses_deletion = True
    session = record(ollama.url, default_probes().only(("copy",)), tmp_path, model=MINE)
    assert session.ids == (f"{VERSION}/copy",)
    assert [one.why for one in session.failures] == ["the clean-up failed: DELETE /api/delete gave 500"]


# ------------------------------------------------------------------------------------------ anybody's probes

_spellings = st.sampled_from(
    ["{}", "library/{}", "registry.ollama.ai/library/{}", "http://registry.ollama.ai/library/{}"]
)
_there = st.sampled_from([MINE, "MINE:1b", OTHER, "other", "Other:LATEST", MODEL])
_routes = st.sampled_from(
    [
        *(("POST", path) for path in ("/api/pull", "/api/create", "/api/push", "//api//pull", "/api/%70ull?x=1")),
        *(("DELETE", path) for path in ("/api/delete", "/api/delete/", "/API/delete", "/api/%64elete")),
    ]
)


@st.composite
def changing(draw: st.DrawFn, names: st.SearchStrategy[str]) -> Request:
    """A request that changes one of these models, however that is written."""
    method, path = draw(_routes | st.just(("POST", "/api/copy")))
    key = draw(st.sampled_from(["destination", "Destination"] if path == "/api/copy" else ["model", "name", "MODEL"]))
    value = {"source": "x", key: draw(_spellings).format(draw(names)), "stream": False}
    if draw(st.booleans()):
        return Request(method=method, path=path, json=value)
    return Request(method=method, path=path, body=" " + json.dumps(value) + draw(st.sampled_from(["", "x", "{}"])))


@st.composite
def probes_of(draw: st.DrawFn, names: st.SearchStrategy[str]) -> Probe:
    """A probe that changes one of these models: in its stage, its request or its clean-up."""
    harmless = Request(method="POST", path="/api/show", json={"model": MODEL})
    where = draw(st.sampled_from(["request", "before", "after"]))
    bad = draw(changing(names))
    return replace(Probe(name="a", request=harmless), **{where: bad if where == "request" else (harmless, bad)})


@given(probes_of(_there))
def test_no_spelling_of_a_request_gets_at_a_model_that_is_there(running: Ollama, probe: Probe) -> None:
    running.reset()
    with pytest.raises(RecorderError, match="may-change"):
        planned(running, probe, model=MINE)
    for request in (*probe.before, probe.request, *probe.after):  # and it is the request that would have done it
        filled = Probe(name="a", request=request).with_model(MINE).request
        running.change(filled.method, filled.path, filled.content or b"")
    assert running.models != {MINE: f"sha256:{MINE}", OTHER: f"sha256:{OTHER}"}


@given(probes_of(st.sampled_from(["new", "new:1b", "mine", "other:1b", "me/other", "127.0.0.1:1/library/other"])))
def test_a_model_that_is_not_there_may_be_made_and_deleted(running: Ollama, probe: Probe) -> None:
    running.reset()
    assert len(planned(running, probe, model=MINE).probes) == 1


@given(probes_of(_there))
def test_a_model_that_may_change_may_change(running: Ollama, probe: Probe) -> None:
    running.reset()
    assert len(planned(running, probe, model=MINE, may_change=[MINE, OTHER]).probes) == 1


def test_the_other_probes_are_asked_where_one_would_change_the_model(ollama: Ollama) -> None:
    good = Probe(name="good", request=Request(method="POST", path="/api/show", json={"model": MODEL}))
    bad = Probe(name="bad", request=Request(method="DELETE", path="/api/delete", json={"model": MODEL}))
    made = planned(ollama, good, bad, model=MINE)
    assert [one.name for one in made.probes] == ["good"]
    assert [(one.name, one.why) for one in made.left_out] == [
        ("bad", "it deletes mine:1b; --may-change mine:1b allows that")
    ]


def test_reading_a_model_changes_nothing(ollama: Ollama) -> None:
    requests = [
        *(Request(method="POST", path=f"/api/{what}", json={"model": MINE}) for what in ("generate", "chat", "show")),
        Request(method="POST", path="/v1/chat/completions", json={"model": MINE}),
        Request(method="POST", path="/api/copy", json={"source": MINE, "destination": "new"}),
        Request(method="GET", path="/api/delete", json={"model": MINE}),
    ]
    assert len(planned(ollama, *(Probe(name="a", request=one) for one in requests)).probes) == len(requests)


# ------------------------------------------------------------------------------------------ which model


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no model is named; give --model with one of the models at URL: mine:1b, other:latest"),
        (("--model", "mine"), "URL has no model called 'mine'; it has mine:1b, other:latest"),
        (("--model", MINE, "--may-change", "x"), "URL has no model called 'x'; it has mine:1b, other:latest"),
        (
            ("--model", MINE, "--only", "pull-stream"),
            "pull-stream is left out: it pulls mine:1b; --may-change mine:1b",
        ),
    ],
)
def test_no_model_is_asked_but_one_that_is_named_and_there(
    ollama: Ollama, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = invoke("record", "--host", ollama.url, "--out", tmp_path / "out", *arguments)
    assert isinstance(done.exception, RecorderError)
    assert sentence.replace("URL", ollama.url) in str(done.exception)
    assert set(ollama.asked) == {("GET", "/api/version"), ("GET", "/api/tags")}
    assert not (tmp_path / "out").exists()


def test_a_person_at_a_terminal_chooses_the_model(
    ollama: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_harness.cli.record.at_a_terminal", lambda: True)
    arguments = ["record", "--host", ollama.url, "--out", str(tmp_path), "--only", "show"]
    done = CliRunner().invoke(commands, arguments, input="none\nother:latest\n")
    assert done.exit_code == 0
    assert f"{ollama.url} has mine:1b, other:latest" in done.stderr
    assert json.loads((tmp_path / VERSION / "show.meta.json").read_text())["request"]["json"] == {"model": OTHER}


def test_probes_without_a_model_need_none(ollama: Ollama, tmp_path: Path) -> None:
    done = invoke("record", "--host", ollama.url, "--out", tmp_path, "--only", "version")
    assert done.exit_code == 0
    assert ("GET", "/api/tags") not in ollama.asked


def test_a_server_with_odd_models_is_no_ollama(ollama: Ollama) -> None:
    ollama.models["\x1b[2J"] = "x"
    with pytest.raises(RecorderError, match="gave a model without a valid name"):
        planned(ollama, model=MINE)


# ------------------------------------------------------------------------------------------ a dry run


def test_a_dry_run_lists_every_request_and_reads_only(ollama: Ollama, tmp_path: Path) -> None:
    done = invoke("record", "--host", ollama.url, "--out", tmp_path / "out", "--model", MINE, "--dry-run")
    assert done.exit_code == 0
    assert set(ollama.asked) == {("GET", "/api/version"), ("GET", "/api/tags")}
    assert not (tmp_path / "out").exists()
    lines = done.stdout.splitlines()
    asked = planned(ollama, model=MINE).probes
    assert [line for line in lines if line and " " not in line] == [one.name for one in asked]
    sent = sum(len((*one.before, one.request, *one.after)) for one in asked)
    assert len([line for line in lines if line.startswith("  ")]) == sent
    assert '         POST /api/generate {"model": "mine:1b"}' in lines
    copied = '{"source": "mine:1b", "destination": "ollama-harness-probe"}  <- writes ollama-harness-probe'
    assert f"         POST /api/copy {copied}" in lines
    assert "pull-again is left out: it pulls mine:1b; --may-change mine:1b allows that" in lines
    made = sorted({name.removeprefix("http://") for name in MADE_UP})
    assert lines[-4:-1] == [
        f"models of the server that would be loaded and unloaded: {MINE}",
        "models of the server that would be changed: none",
        f"models that it lacks, and that would be made or deleted: {', '.join(made)}",
    ]
    assert lines[-1] == f"{len(asked)} probes would be sent to Ollama {VERSION} at {ollama.url}"


def test_a_dry_run_names_what_may_change_and_shows_no_secret(ollama: Ollama, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(
        '[[probe]]\nname = "a"\npath = "/api/pull?token=s3cret"\njson = { model = "{model}", password = "s3cret" }\n'
    )
    named = ("--model", MINE, "--may-change", MINE)
    arguments = ("--out", tmp_path / "out", "--probes", tmp_path / "my.toml", *named)
    done = invoke("record", "--host", ollama.url, *arguments, "--dry-run")
    assert done.exit_code == 0
    assert '{"model": "mine:1b", "password": "******"}  <- pulls mine:1b' in done.stdout
    assert "\nmodels of the server that would be changed: mine:1b\n" in done.stdout
    assert "s3cret" not in done.output


# ------------------------------------------------------------------------------------------ two at once


def test_two_sessions_do_not_write_to_one_folder(ollama: Ollama, tmp_path: Path) -> None:
    probes = default_probes().only(("version", "tags"))

    def second(_: object) -> None:
        with pytest.raises(DirectoryError, match="another process is writing there; wait until it has ended"):
            record(ollama.url, probes, tmp_path)
        seen.append(record(ollama.url, probes, tmp_path, session="again").ids)

    seen: list[tuple[str, ...]] = []
    session = record(ollama.url, probes, tmp_path, on_progress=second)
    assert len(session.ids) == 2
    assert f"again/{VERSION}/tags" in seen[0]
    assert record(ollama.url, probes, tmp_path).ids == session.ids
    assert {path.name.partition(".")[0] for path in (tmp_path / VERSION).iterdir()} == {"version", "tags"}


def test_the_second_of_two_commands_ends_with_an_error(
    ollama: Ollama, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ollama_harness.cli import main

    with held(tmp_path / VERSION), pytest.raises(SystemExit) as ended:
        main(["record", "--host", ollama.url, "--out", str(tmp_path), "--only", "version"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / VERSION}: another process is writing there")
