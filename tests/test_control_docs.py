"""docs/control.md: its calls work as they stand there, in their order, and each call is there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ollama_harness import FakeOllama
from ollama_harness.matrix.served_scenario import ServedScenarios
from ollama_harness.server.control.control import openapi

pytestmark = pytest.mark.same_everywhere

PAGE = (Path(__file__).parent.parent / "docs" / "control.md").read_text("utf-8")
CALLS = re.findall(r"^```sh\n(curl .*)\n```", PAGE, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_calls_of_the_page_work_in_their_order() -> None:
    answers = []
    with FakeOllama(speed=0, scenarios=ServedScenarios) as server:
        for call in CALLS:
            words = shlex.split(call.replace(":11435", f":{server.port}"))
            done = subprocess.run([*words, "-w", "\n%{http_code}"], capture_output=True, timeout=30, check=False)
            answers.append(done.stdout.decode().rpartition("\n")[::2])
    statuses = [int(status) for _, status in answers]
    assert set(statuses) == {200, 201, 204}
    assert json.loads(answers[-4][0])["ok"]
    [entry] = json.loads(answers[7][0])["entries"]
    assert (entry["faults"], entry["records_sent"]) == (["close_at(after_record(3))"], 3)


def test_each_call_is_on_the_page() -> None:
    shown = set()
    for call in CALLS:
        path = re.sub(r"/(?:r1|1)$", "/{id}", re.search(r"11435([^\s\"?]*)", call)[1])  # type: ignore[index]
        method = re.search(r"-X (\w+)", call)
        shown.add((method[1] if method else "POST" if " -d " in call else "GET", path))
    described = {(method.upper(), path) for path, item in openapi()["paths"].items() for method in item}
    assert described - shown == {("GET", "/_harness/openapi.json")}
    assert shown - described == {("POST", "/api/chat")}
