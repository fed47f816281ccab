"""What docs/serve.md shows for scripts, CI and containers works: scripts are run, and command lines are parsed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import click
import pytest

from ollama_harness.cli.serve import serve
from ollama_harness.server.fake_ollama import FakeOllama

pytestmark = pytest.mark.same_everywhere

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "serve.md").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
CANCEL, UPSTREAM, CI = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
COMPOSE, WORKFLOW = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TOKEN = "OLLAMA_HARNESS_CONTROL_TOKEN"

needs_bash = pytest.mark.skipif(
    sys.platform == "win32" or not (shutil.which("bash") and shutil.which("curl")),
    reason="there is no bash, or no curl",
)


def bash(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a script did, run as GitHub runs a step, with `ollama-harness` and the programs of `folder` on its path."""
    own = folder / "ollama-harness"
    own.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ollama_harness "$@"\n')
    own.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["PATH"] = os.pathsep.join([str(folder), environment["PATH"]])
    environment["PYTHONPATH"] = str(ROOT / "harness")
    with (
        (folder / "err").open("w") as err,
        subprocess.Popen(
            ["bash", "-e", "-c", script],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        process.wait(timeout=40)
        os.killpg(process.pid, signal.SIGKILL)  # the server, where the script leaves that to the end of the job
        out, _ = process.communicate(timeout=20)
    return subprocess.CompletedProcess(script, process.returncode, out, (folder / "err").read_text())


@needs_bash
def test_the_journal_shows_that_a_cancel_arrived(tmp_path: Path) -> None:
    done = bash(CANCEL, tmp_path)
    assert done.returncode == 0, done.stderr
    found, _ = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index('{"entries"'))  # the server logs, too
    (entry,) = found["entries"]
    assert entry["ended_by"] == "client"
    assert entry["client_left_s"] > 0
    assert entry["records_sent"] >= 1


@needs_bash
def test_a_fault_strikes_the_second_answer_of_a_real_ollama_and_the_first_is_kept(tmp_path: Path) -> None:
    done = bash(UPSTREAM, tmp_path)
    assert done.returncode == 0, done.stderr
    answers = done.stdout[done.stdout.index('{"model"') :]
    whole, cut, said = answers.partition('"done":true')[0::2][0], *answers.partition('"done":true')[2].split("curl: 18")
    assert '"done":false' in whole
    assert cut.count('"done":false') == 3
    assert "the answer is not whole" in said
    assert "api-chat-1.meta.json" in said


NPM = """#!/bin/sh
for _ in 1 2; do
  curl -s $OLLAMA_HOST/api/chat -d '{"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}' >>answers
done
"""


@needs_bash
@pytest.mark.parametrize(("npm", "code"), [(NPM, 0), ("#!/bin/sh\n", 1), ("#!/bin/sh\nexit 3\n", 3)])
def test_a_step_in_ci_fails_with_the_tests_and_where_a_rule_was_never_met(npm: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "npm").write_text(npm)
    (tmp_path / "npm").chmod(0o755)
    done = bash(CI, tmp_path)
    assert done.returncode == code, done.stderr
    if npm == NPM:
        answers = (tmp_path / "answers").read_text()
        assert answers.startswith('{"error":"busy"}')
        assert '"done":true' in answers


def instruction(name: str) -> list[str]:
    """The list of the last instruction of this name in the Dockerfile."""
    words: list[str] = json.loads(re.findall(rf"^{name} .*?(\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    return words


def parsed(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> click.Context:
    monkeypatch.setenv(TOKEN, "my-token")
    return serve.make_context("serve", arguments)


def test_the_container_starts_a_server_that_others_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    program, command, *options = instruction("ENTRYPOINT")
    assert (program, command) == ("ollama-harness", "serve")
    given = parsed([*options, *instruction("CMD")], monkeypatch).params
    assert (given["host"], given["port"], given["any_model"]) == ("0.0.0.0", 11434, True)
    assert given["control_token"] == "my-token"
    assert re.search(rf"^ENV {TOKEN}=", DOCKERFILE, re.MULTILINE), "or the health check would have none to send"
    assert DOCKERFILE.index("\nUSER ") < DOCKERFILE.index("\nENTRYPOINT "), "not as root"


def test_the_container_is_healthy_when_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    python, c, code = instruction("HEALTHCHECK")
    assert (python, c) == ("python", "-c")
    monkeypatch.setenv(TOKEN, "my-token")
    monkeypatch.setenv("NO_PROXY", "*")
    with FakeOllama(control_token="my-token") as server:
        check = compile(code.replace("127.0.0.1:11434", f"127.0.0.1:{server.port}"), "HEALTHCHECK", "exec")
        exec(check, {})
        monkeypatch.setenv(TOKEN, "another")
        with pytest.raises(OSError, match="401"):
            exec(check, {})
    with pytest.raises(OSError, match=r"refused|10061"):
        exec(check, {})


def test_the_container_has_what_the_package_is_built_from() -> None:
    copied = set(re.findall(r"[\w.]+", " ".join(re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE))))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = {path.split("/")[0] for path in (*wheel["packages"], *wheel["force-include"])}
    assert copied == {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *folders}


def test_the_command_of_the_compose_file_is_one_of_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    command = json.loads(re.findall(r"command: (\[.*\])", COMPOSE)[0])
    assert parsed([*instruction("ENTRYPOINT")[2:], *command], monkeypatch).params["any_model"]


@pytest.mark.parametrize("recipe", [COMPOSE, WORKFLOW])
def test_a_recipe_gives_the_token_and_the_port_that_the_server_has(recipe: str) -> None:
    assert f"{TOKEN}: my-token" in recipe
    assert re.findall(r"OLLAMA_HOST: http://\S+:(\d+)", recipe) == re.findall(
        r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE
    )


def test_the_rule_of_the_workflow_is_one() -> None:
    rule = re.findall(r"-d '(.*?)'", WORKFLOW)[0]
    with FakeOllama(control_token="my-token") as server:
        headers = {"Authorization": "Bearer my-token", "Content-Type": "application/json"}
        call = urllib.request.Request(f"{server.url}/_harness/programme/rules", rule.encode(), headers)
        assert urllib.request.urlopen(call, timeout=20).status == 201


TESTS = (
    "javascript/answer.test.js",
    "go/answer_test.go",
    "rust/tests/answer.rs",
    "java/src/test/java/example/AnswerTest.java",
)


@pytest.mark.parametrize("name", TESTS)
def test_the_test_of_an_example_is_short_and_on_the_page(name: str) -> None:
    assert f"](../examples/{name})" in PAGE
    assert len((ROOT / "examples" / name).read_text("utf-8").splitlines()) < 60


@pytest.mark.parametrize("name", ["javascript/package-lock.json", "go/go.sum", "rust/Cargo.lock", "java/pom.xml"])
def test_an_example_says_exactly_which_libraries_it_needs(name: str) -> None:
    assert (ROOT / "examples" / name).exists()
