"""Other versions of a client: how they are named, where they are built, and what is expected of them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import result
from click.testing import CliRunner
from pytest_httpserver import HTTPServer

from ollama_harness import clients as clients_room
from ollama_harness.cli import commands, run
from ollama_harness.clients import client, clients, clients_file, named, places
from ollama_harness.errors import ClientError, HarnessError
from ollama_harness.matrix import known_issues
from ollama_harness.matrix.expectations import assess
from ollama_harness.matrix.results import Results
from ollama_harness.oracle.verdict import Verdict

pytestmark = pytest.mark.same_on_each_python

ENTRY = """[[issue]]
clients = [CLIENTS]
scenarios = ["cut-after-record"]
verdict = "silent-loss"
reason = "…"
link = "https://example.org"
review = 2099-01-01
"""

#: A program whose library is a package of npm.
PROGRAM = """
[install]
toolchain = "npm"
get = "https://nodejs.org"
registry = "npm"
steps = [["npm", "install", "tiny@1.0.0"]]
version_steps = [["npm", "install", "{library}@{version}"]]
makes = "node_modules/tiny"

[[client]]
name = "tiny-client"
library = "tiny"
command = ["PYTHON", "worker.py"]
"""
#: It yields all records with version 1.0.0 of its library, and loses the last with any other.
WORKER = """
import json, sys, urllib.request

def say(**message):
    print(json.dumps(message), flush=True)

version = json.load(open("node_modules/tiny/package.json"))["version"]
say(protocol=1, ready=version)
for line in sys.stdin:
    job = json.loads(line)
    body = json.dumps(job["request"]["json"]).encode()
    with urllib.request.urlopen(job["url"] + job["request"]["path"], data=body) as answer:
        records = list(map(json.loads, answer))
    for record in records if version == "1.0.0" else records[:-1]:
        say(record=record)
    say(end="ended", id=job["id"])
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "_root", tmp_path / "places")
    return tmp_path / "places"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("httpx", ["httpx"]),
        ("httpx==0.27.2", ["httpx==0.27.2"]),
        ("pypi:httpx@0.27.2", ["httpx==0.27.2", "httpx-async==0.27.2"]),
        ("npm:ollama@0.5.0", ["ollama-js==0.5.0"]),
        ("npm:@langchain/ollama@1.0.0-rc.1", ["langchain-ollama-js==1.0.0-rc.1"]),
    ],
)
def test_a_version_is_of_a_client_or_of_all_clients_of_a_package(text: str, names: list[str]) -> None:
    assert [one.name for one in named(text)] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("npn:ollama@0.5.0", "there is no registry called 'npn'; did you mean npm"),
        ("npm:olama@0.5.0", "there is no package of npm that is a client called 'olama'; did you mean ollama"),
        ("npm:ollama", "npm:ollama: names no version; write npm:ollama@1.2.3"),
        ("npm:ollama@", "npm:ollama@: names no version; write npm:ollama@1.2.3"),
        ("npm:@langchain/ollama", "npm:@langchain/ollama: names no version; write npm:@langchain/ollama@1.2.3"),
        ("ollama-js==latest", "ollama-js==latest: 'latest' is no version of ollama; write ollama-js==1.2.3"),
        ("fetch==26", "fetch==26: fetch can have no other version; leave out ==26; these can: "),
    ],
)
def test_a_wrong_name_of_a_version_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(HarnessError) as caught:
        named(text)
    assert str(caught.value).startswith(message)


def test_each_version_of_a_program_has_a_place_of_its_own() -> None:
    [old], [new] = named("npm:@langchain/ollama@1.0.0"), named("npm:@langchain/ollama@1.1.0")
    assert old.place is not None
    assert new.place is not None
    assert client("langchain-ollama-js").place not in (old.place, new.place)
    assert old.place.path != new.place.path
    assert old.place.path.parent == places.root()
    assert old.place.steps[-1][-1] == "@langchain/ollama@1.0.0"


def test_a_version_has_the_extras_that_its_client_needs() -> None:
    one = client("pydantic-ai==1.0.0").place
    assert one is not None
    assert one.steps[-1][-1] == "pydantic-ai-slim[openai]==1.0.0"
    assert one.path.name.startswith("pydantic-ai-slim==1.0.0-")


def test_clients_of_one_package_share_the_place_of_a_version() -> None:
    one, other = named("npm:openai@5.0.0")
    assert one.place == other.place


def test_a_library_without_steps_for_its_versions_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text('[[client]]\nname = "mine"\nlibrary = "tiny"\ncommand = ["node"]\n')
    with pytest.raises(ClientError, match="client mine: library: needs a registry and version_steps"):
        clients_file.read(file)


# ------------------------------------------------------------------------------------------------- what is expected


def issues(tmp_path: Path, *names: str) -> tuple[known_issues.KnownIssue, ...]:
    file = tmp_path / "known_issues.toml"
    file.write_text(ENTRY.replace("CLIENTS", ", ".join(f'"{one}"' for one in names)), encoding="utf-8")
    return known_issues.load(file)


@pytest.mark.parametrize(
    ("listed", "verdict", "met"),
    [
        ("httpx", Verdict.SILENT_LOSS, True),
        ("httpx", Verdict.PASS, True),
        ("httpx", Verdict.CORRUPT, False),
        ("httpx==0.27.2", Verdict.SILENT_LOSS, True),
        ("httpx==0.27.2", Verdict.PASS, False),
        ("httpx==0.27.1", Verdict.SILENT_LOSS, False),
    ],
)
def test_another_version_may_be_better_than_the_entry_of_its_client(
    listed: str, verdict: Verdict, met: bool, tmp_path: Path
) -> None:
    cell = result(client="httpx==0.27.2", scenario="cut-after-record", verdict=verdict)
    report = assess([cell], issues(tmp_path, listed), full=False, today=None)
    assert report.assessments[0].met is met


# ------------------------------------------------------------------------------------------------- a registry


def tarball(version: str) -> bytes:
    manifest = json.dumps({"name": "tiny", "version": version}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("package/package.json")
        member.size = len(manifest)
        tar.addfile(member, io.BytesIO(manifest))
    return packed.getvalue()


@pytest.fixture
def registry(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry of npm with two versions of the package `tiny`, and a folder of programs with a client of it."""
    versions = {}
    for version in ("1.0.0", "2.0.0"):
        packed, path = tarball(version), f"/tiny/-/tiny-{version}.tgz"
        httpserver.expect_request(path).respond_with_data(packed, content_type="application/octet-stream")
        integrity = f"sha512-{base64.b64encode(hashlib.sha512(packed).digest()).decode()}"
        dist = {"tarball": httpserver.url_for(path), "integrity": integrity}
        versions[version] = {"name": "tiny", "version": version, "dist": dist}
    packument = {"name": "tiny", "dist-tags": {"latest": "2.0.0"}, "versions": versions}
    httpserver.expect_request("/tiny").respond_with_json(packument)
    monkeypatch.setenv("npm_config_registry", httpserver.url_for("/"))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    folder = tmp_path / "programs" / "tiny"
    folder.mkdir(parents=True)
    (folder / "clients.toml").write_text(PROGRAM.replace("PYTHON", sys.executable.replace("\\", "/")))
    (folder / "worker.py").write_text(WORKER)
    monkeypatch.setattr(clients_room, "_PROGRAMS", folder.parent)
    forget_clients()
    yield
    forget_clients()


def forget_clients() -> None:
    clients_room._packaged.cache_clear()
    clients.cache_clear()


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
@pytest.mark.usefixtures("registry")
def test_two_versions_of_a_package_are_installed_and_run_side_by_side(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = run.plan  # the canaries have tests of their own, and some of them wait on purpose
    monkeypatch.setattr(
        run, "plan", lambda *of, **what: [one for one in everything(*of, **what) if not one.client.is_canary]
    )
    arguments = ["run", "--client", "npm:tiny@1.0.0", "--client", "npm:tiny@2.0.0", "--recording", "chat-stream"]
    done = CliRunner().invoke(commands, [*arguments, "--scenario", "stream", "--out", str(tmp_path / "out")])
    assert "npm-tiny@2.0.0: npm install tiny@2.0.0\n" in done.output
    assert re.search(r"^scenario +tiny-client==1.0.0 +tiny-client==2.0.0$", done.output, re.MULTILINE)
    assert done.exit_code == 1
    results = Results.load(tmp_path / "out")
    assert {one.client: one.verdict for one in results.cells if one.client.startswith("tiny")} == {
        "tiny-client==1.0.0": Verdict.PASS,
        "tiny-client==2.0.0": Verdict.SILENT_LOSS,
    }
    versions = {name: version for name, version in results.header.clients.items() if name.startswith("tiny")}
    assert versions == {"tiny-client==1.0.0": "1.0.0", "tiny-client==2.0.0": "2.0.0"}
    assert sorted(one.name[:14] for one in root.iterdir()) == ["npm-tiny@1.0.0", "npm-tiny@2.0.0"]


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
@pytest.mark.usefixtures("registry")
def test_a_version_that_no_registry_has_is_bad_input_with_what_the_installer_says(root: Path) -> None:
    done = CliRunner().invoke(commands, ["run", "--client", "tiny-client==3.0.0", "--scenario", "stream"])
    assert done.exit_code == 2
    assert "error: npm-tiny@3.0.0 cannot be installed: npm install tiny@3.0.0 ended with exit code 1" in done.output
    assert "No matching version found for tiny@3.0.0" in done.output
    assert list(root.iterdir()) == []
