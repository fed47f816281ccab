"""README.md: its Python runs, and the models of its `serve` section answer as it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import result

from ollama_harness.answers import Asked
from ollama_harness.matrix.scenarios import SCENARIOS
from ollama_harness.network.environments import ENVIRONMENTS
from ollama_harness.server.recorded_answers import NEWEST, RecordedAnswer, RecordedAnswers
from pages.readme_sample import renewed

pytestmark = pytest.mark.same_on_each_python

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(?!# )(.*?)```", README, re.DOTALL)
FILES = dict(re.findall(r"```(?:python|js)\n(?:#|//) (\S+)\n(.*?)```", README, re.DOTALL))
[(CURL_PATH, CURL_BODY)] = re.findall(r"curl http://[\d.:]+(/\S+) -d '(.*?)'", README)

MESSAGES = [{"role": "user", "content": "What is 2 plus 3?"}]
TOOLS = [{"type": "function", "function": {"name": "add"}}]
SPEAKS: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {"messages": MESSAGES}),
    ("/api/generate", {"prompt": "Hi"}),
    ("/v1/chat/completions", {"messages": MESSAGES}),
    ("/v1/completions", {"prompt": "Hi"}),
    ("/v1/responses", {"input": "Hi"}),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 9}),
]
#: What a model that can do it answers, and what is in the answer.
ANSWERED: dict[str, list[tuple[str, dict[str, Any], bytes]]] = {
    "text": [(path, {**body, "stream": stream}, b"") for path, body in SPEAKS for stream in (True, False)],
    "tools": [(path, {"messages": MESSAGES, "tools": TOOLS}, b'"tool_calls"') for path, _ in (SPEAKS[0], SPEAKS[2])],
    "thinking": [
        ("/api/chat", {"messages": MESSAGES, "think": True}, b'"thinking"'),
        ("/v1/chat/completions", {"messages": MESSAGES, "reasoning_effort": "low"}, b'"reasoning"'),
    ],
    "vectors": [
        ("/api/embed", {"input": ["Hi", "Ho"]}, b'"embeddings"'),
        ("/api/embeddings", {"prompt": "Hi"}, b'"embedding"'),
        ("/v1/embeddings", {"input": "Hi"}, b'"embedding"'),
    ],
}
ROWS = [(model, words.split(", ")) for model, words in re.findall(r"^\| `(smollm2\S+)` \| (.*?) \|$", README, re.M)]


@pytest.fixture(scope="module")
def recorded() -> RecordedAnswers:
    return RecordedAnswers(store=None, version=NEWEST, speed=0, gap_s=None, faults=())


def answer(recorded: RecordedAnswers, path: str, body: dict[str, Any]) -> RecordedAnswer:
    asked = Asked(method="POST", target=path, body=json.dumps(body).encode())
    found = recorded.same(asked, recorded.world) or recorded.made(asked, recorded.world)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("model", "path", "body", "holds"),
    [(model, *asked) for model, words in ROWS for word in words for asked in ANSWERED[word]],
)
def test_the_models_can_do_what_the_table_says(
    recorded: RecordedAnswers, model: str, path: str, body: dict[str, Any], holds: bytes
) -> None:
    found = answer(recorded, path, {"model": model, **body})
    assert found.recording.response.status == 200
    assert holds in found.recording.body


def test_the_table_has_a_model_for_everything() -> None:
    assert {word for _, words in ROWS for word in words} == ANSWERED.keys()


def test_the_curl_line_is_answered(recorded: RecordedAnswers) -> None:
    assert answer(recorded, CURL_PATH, json.loads(CURL_BODY)).recording.response.status == 200


MY_APP = """
import httpx
import ollama

class NoAnswer(Exception):
    pass

def ask(question):
    try:
        client = ollama.Client(trust_env={trust_env})
        parts = list(client.chat("m", [{{"role": "user", "content": question}}], stream=True))
    except (httpx.HTTPError, ollama.ResponseError) as error:
        raise NoAnswer from error
    return "".join(part.message.content for part in parts)
"""


@pytest.mark.parametrize(("trust_env", "outcome"), [(False, {"passed": 3}), (True, {"passed": 2, "failed": 1})])
def test_the_python_runs(pytester: pytest.Pytester, trust_env: bool, outcome: dict[str, int]) -> None:
    """And the test with a proxy fails for a program that asks it."""
    cut, proxied, alone = BLOCKS
    indented = "".join(f"    {line}" for line in alone.splitlines(keepends=True))
    pytester.makepyfile(
        my_app=MY_APP.format(trust_env=trust_env),
        test_cut=cut,
        test_proxied=proxied,
        test_alone=f"def test_alone():\n{indented}",
    )
    # In a process of its own: it must work as installed, without this project's conftest.
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    assert result.parseoutcomes() == outcome
    assert ("FAILED test_proxied.py" in result.stdout.str()) is trust_env


#: A wrapper as people write it, in two languages. It reads lines, and does not look for the terminal record.
WRAPPERS = {
    "my_app.py": """
import json
import urllib.request

class NoAnswer(Exception):
    pass

def stream(url, body, timeout):
    request = urllib.request.Request(f"{url}/api/chat", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            yield from map(json.loads, answer)
    except (OSError, ValueError) as error:
        raise NoAnswer(str(error)) from error
""",
    "my-app.mjs": """
export async function* stream(url, body) {
  const response = await fetch(`${url}/api/chat`, { method: "POST", body: JSON.stringify(body) });
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\\n");
    text = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}
""",
}
OWN = [line.partition("#")[0].strip() for line in re.findall(r"^ollama-harness .*(?:my_app|my\.mjs).*$", README, re.M)]


@pytest.mark.parametrize("line", OWN)
def test_a_newcomer_judges_a_wrapper_and_a_program(line: str, tmp_path: Path) -> None:
    if "node" in line and shutil.which("node") is None:
        pytest.skip("there is no node here")
    for name, text in (WRAPPERS | FILES).items():
        (tmp_path / name).write_text(text, "utf-8")
    _, *arguments = shlex.split(line)
    # Few canaries play these.
    chosen = ["--scenario", "slow-first-byte", "--scenario", "ends-after-record"] if arguments[0] == "run" else []
    done = subprocess.run(
        [sys.executable, "-m", "ollama_harness", arguments[0], *chosen, *arguments[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    said = {
        "run": ["slow-first-byte +✓", "ends-after-record +S.*!", "repeat +ollama-harness show my-(app|program)/"],
        "client-check": ["^ok +a whole answer: 49 yielded, then ended", "^it keeps to the protocol"],
    }[arguments[0]]
    assert [one for one in said if not re.search(one, done.stdout, re.M)] == [], done.stdout + done.stderr
    assert done.returncode == (1 if arguments[0] == "run" else 0)


def test_there_is_a_line_for_each_way_to_judge_your_own() -> None:
    assert [line.split()[1] for line in OWN] == ["run", "client-check", "run"]
    assert {"judge_my_app.py", "my.mjs"} == FILES.keys()


def test_the_numbers_of_rows_and_settings_are_those_of_the_tables() -> None:
    rows, settings = re.search(r"its (\d+) rows", README), re.search(r"in (\d+) network settings", README)
    assert rows is not None
    assert settings is not None
    assert int(rows[1]) == sum(one.by_default and not one.twin_of for one in SCENARIOS.values())
    assert int(settings[1]) == len(ENVIRONMENTS)


def test_the_sample_of_a_grid_is_renewed_from_results() -> None:
    cells = [result(), result(scenario="tools"), result(client="curl"), result(client="canary-perfect")]
    text = renewed(README, cells)
    [sample] = re.findall(r"```text\n(scenario  .*?\n)```", text, re.DOTALL)
    assert re.search(r"^stream +✓$", sample, re.MULTILINE)
    assert not {"curl", "tools"} & set(sample.split()), "the rows and clients of the sample stay"
    assert re.search(r"^canary-perfect pass 1/1$", sample, re.MULTILINE)
    assert text.partition("```text")[0] == README.partition("```text")[0]
    assert renewed(text, cells) == text
