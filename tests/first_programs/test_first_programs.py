"""The first programs of the libraries' own documents, each in a process of its own, against `serve --any-model`.

Each program is as short as in the documents of its library and asks for the model that they name. It prints what it
got. What is checked is not the words but the outcome: text where there must be text, a call of the user's own tool with
arguments that are valid for it, data that is valid for the user's model, thinking where it was asked for, one vector
for each text. Sources: the READMEs and API documents of the libraries, and Ollama's own (docs.ollama.com).

`tox -e first-programs` runs it; with the variable FIRST_PROGRAMS_URL against any other server, such as a real Ollama.
The ordinary suite leaves this folder out, because the libraries are large.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import jsonschema
import pytest
from _pytest.mark import ParameterSet

HERE = Path(__file__).parent
#: Many times as long as the slowest takes on a busy machine.
PROGRAM_TIMEOUT_S = 120

#: What the programs of a library import, and so does their launcher, once.
IMPORTS = {
    "anthropic_python": ("anthropic",),
    "instructor": ("instructor", "instructor.v2.providers.openai.client", "openai.resources.chat"),
    "langchain_ollama": ("langchain_ollama",),
    "litellm": ("litellm",),
    "llama_index": (
        "llama_index.core.agent.workflow",
        "llama_index.embeddings.ollama",
        "llama_index.llms.ollama",
    ),
    "ollama_python": ("ollama",),
    "openai_python": ("openai", "openai.resources.chat", "openai.resources.embeddings", "openai.resources.responses"),
    "pydantic_ai": ("pydantic_ai", "pydantic_ai.models.ollama", "openai.resources.chat"),
}

Check = Callable[[str], None]
Schema = dict[str, Any]


# ------------------------------------------------------------------------------------------------------ the outcomes


def text(said: str) -> None:
    """Something was said; nothing at all, as a language prints it, is not something."""
    assert said.strip() not in ("", "None", "null", "undefined", "[object Object]")


def object_of(**properties: Schema) -> Schema:
    """The schema of an object that has exactly these fields."""
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
STRING_OR_NULL: Schema = {"type": ["string", "null"]}


def list_of(items: Schema, *, at_least: int = 0) -> Schema:
    return {"type": "array", "items": items, "minItems": at_least}


def data(schema: Schema) -> Check:
    """JSON that is valid for the schema, and nothing else."""

    def check(said: str) -> None:
        jsonschema.validate(json.loads(said), schema)

    return check


def calls(name: str, arguments: Schema) -> Check:
    """At least one call, each of this tool, and each with arguments that are valid for it."""

    def check(said: str) -> None:
        made = [json.loads(line) for line in said.splitlines()]
        assert made, "no tool was called"
        for one in made:
            assert one["name"] == name
            jsonschema.validate(one["arguments"], arguments)

    return check


def thought(said: str) -> None:
    """In each line thinking and an answer."""
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines
    for one in lines:
        text(one["thinking"] or "")
        text(one["text"] or "")


def vectors(count: int, width: int | None = None) -> Check:
    """So many vectors, all of one width. The program prints their widths."""

    def check(said: str) -> None:
        widths = json.loads(said)
        assert len(widths) == count
        assert len(set(widths)) == 1
        assert widths[0] == width if width else widths[0] > 1

    return check


def exactly(*lines: str) -> Check:
    def check(said: str) -> None:
        assert said.splitlines() == list(lines)

    return check


def names(*wanted: str) -> Check:
    """A list of names with at least one, and with these."""

    def check(said: str) -> None:
        found = json.loads(said)
        assert found
        assert set(wanted) <= set(found)

    return check


def records(*, last: Schema, text_at: tuple[str, ...] = (), answer: Check = text) -> Check:
    """Lines of JSON, the last of them valid for the schema, whose pieces of text together are an answer."""

    def check(said: str) -> None:
        lines = [json.loads(line) for line in said.splitlines()]
        jsonschema.validate(lines[-1], last)
        if text_at:
            answer("".join(_at(line, text_at) for line in lines))

    return check


def _at(record: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        record = record[int(step) if isinstance(record, list) else step]
    return record


def end(**fields: Schema) -> Schema:
    """The schema of a record that has at least these fields."""
    return {"type": "object", "properties": fields, "required": list(fields)}


WHOLE = end(done={"const": True}, done_reason={"const": "stop"}, eval_count=INTEGER)
WEATHER = object_of(location=STRING)
ANSWER = object_of(answer=STRING, justification=STRING_OR_NULL)
COUNTRY = object_of(name=STRING, capital=STRING, languages=list_of(STRING))
EVENT = object_of(name=STRING, date=STRING, participants=list_of(STRING))
FRIEND = object_of(name=STRING, age=INTEGER, is_available=BOOLEAN)
PET = object_of(
    name=STRING, animal={"enum": ["cat", "dog"]}, age=INTEGER, color=STRING_OR_NULL, favorite_toy=STRING_OR_NULL
)
#: A place is required, and a unit may be given.
IN_UNITS: Schema = {
    "type": "object",
    "properties": {"location": STRING, "unit": {"enum": ["celsius", "fahrenheit"]}, "units": {"enum": ["c", "f"]}},
    "required": ["location"],
    "additionalProperties": False,
}

OUTCOMES: dict[str, Check] = {
    "ollama_python/async_chat.py": text,
    "ollama_python/async_chat_stream.py": text,
    "ollama_python/chat.py": text,
    "ollama_python/chat_stream.py": text,
    "ollama_python/copy_model.py": exactly("success", "gguf"),
    "ollama_python/create.py": exactly("success"),
    "ollama_python/custom_client.py": text,
    "ollama_python/delete_model.py": exactly("success", "404"),
    "ollama_python/embed.py": vectors(1),
    "ollama_python/embed_batch.py": vectors(2),
    "ollama_python/embed_dimensions.py": vectors(3, 128),
    "ollama_python/embeddings.py": vectors(1),
    "ollama_python/fill_in_middle.py": text,
    "ollama_python/generate.py": text,
    "ollama_python/generate_stream.py": text,
    "ollama_python/json_mode.py": data({"type": "object"}),
    "ollama_python/list_models.py": names(),
    "ollama_python/logprobs.py": data(
        list_of({"type": "array", "prefixItems": [STRING, {"type": "number", "maximum": 0}, {"const": 3}]}, at_least=1)
    ),
    "ollama_python/ps.py": names("gemma3:1b"),
    "ollama_python/pull.py": names("pulling manifest", "success"),
    "ollama_python/show.py": names("completion"),
    "ollama_python/structured_output.py": data(COUNTRY),
    "ollama_python/structured_output_nested.py": data(object_of(pets=list_of(PET))),
    "ollama_python/thinking.py": thought,
    "ollama_python/thinking_generate.py": thought,
    "ollama_python/thinking_levels.py": thought,
    "ollama_python/thinking_stream.py": thought,
    "ollama_python/tools.py": calls("get_temperature", object_of(city=STRING)),
    "ollama_python/tools_agent.py": text,
    "ollama_python/tools_stream.py": calls("add_two_numbers", object_of(a=INTEGER, b=INTEGER)),
    "ollama_python/vision.py": text,
    "openai_python/async_chat.py": text,
    "openai_python/base_url.py": text,
    "openai_python/chat.py": text,
    "openai_python/chat_stream.py": text,
    "openai_python/chat_stream_usage.py": data(list_of({"type": "integer", "minimum": 1}, at_least=3)),
    "openai_python/completions.py": text,
    "openai_python/completions_stream.py": text,
    "openai_python/embeddings.py": vectors(2),
    "openai_python/embeddings_float.py": vectors(1, 64),
    "openai_python/json_mode.py": data({"type": "object"}),
    "openai_python/models.py": names(),
    "openai_python/reasoning_effort.py": thought,
    "openai_python/reasoning_none.py": text,
    "openai_python/responses.py": text,
    "openai_python/responses_parse.py": data(EVENT),
    "openai_python/responses_stream.py": text,
    "openai_python/responses_tools.py": calls("get_horoscope", object_of(sign=STRING)),
    "openai_python/structured_output.py": data(object_of(friends=list_of(FRIEND))),
    "openai_python/structured_output_stream.py": data(EVENT),
    "openai_python/tools.py": calls("get_weather", WEATHER),
    "openai_python/tools_result.py": text,
    "openai_python/tools_stream.py": calls("get_weather", WEATHER),
    "openai_python/vision.py": text,
    "anthropic_python/async_messages.py": text,
    "anthropic_python/base_url.py": text,
    "anthropic_python/create_stream.py": text,
    "anthropic_python/messages.py": text,
    "anthropic_python/messages_stream.py": text,
    "anthropic_python/thinking.py": thought,
    "anthropic_python/thinking_stream.py": thought,
    "anthropic_python/tools.py": calls("get_weather", WEATHER),
    "anthropic_python/tools_result.py": text,
    "anthropic_python/tools_stream.py": calls("get_weather", IN_UNITS),
    "langchain_ollama/asynchronous.py": text,
    "langchain_ollama/bind_tools.py": calls("validate_user", object_of(user_id=INTEGER, addresses=list_of(STRING))),
    "langchain_ollama/bind_tools_stream.py": calls("Multiply", object_of(a=INTEGER, b=INTEGER)),
    "langchain_ollama/embeddings.py": vectors(3),
    "langchain_ollama/embeddings_async.py": vectors(3),
    "langchain_ollama/invoke.py": text,
    "langchain_ollama/json_format.py": data({"type": "object"}),
    "langchain_ollama/llm.py": text,
    "langchain_ollama/llm_stream.py": text,
    "langchain_ollama/prompt_chain.py": text,
    "langchain_ollama/reasoning.py": thought,
    "langchain_ollama/reasoning_stream.py": thought,
    "langchain_ollama/stream.py": text,
    "langchain_ollama/structured_function_calling.py": data(ANSWER),
    "langchain_ollama/structured_json_mode.py": data({"type": "object"}),
    "langchain_ollama/structured_json_schema.py": data(ANSWER),
    "langchain_ollama/tool_result.py": text,
    "llama_index/agent.py": text,
    "llama_index/chat.py": text,
    "llama_index/chat_async.py": text,
    "llama_index/chat_stream.py": text,
    "llama_index/chat_with_tools.py": calls("generate_song", object_of(name=STRING, artist=STRING)),
    "llama_index/complete.py": text,
    "llama_index/complete_stream.py": text,
    "llama_index/embeddings.py": vectors(3),
    "llama_index/json_mode.py": data({"type": "object"}),
    "llama_index/structured_output.py": data(object_of(name=STRING, artist=STRING)),
    "llama_index/structured_output_stream.py": data(object_of(name=STRING, artist=STRING)),
    "llama_index/thinking.py": thought,
    "litellm/chat.py": text,
    "litellm/chat_stream_async.py": text,
    "litellm/completion.py": text,
    "litellm/completion_stream.py": text,
    "litellm/embedding.py": vectors(2),
    "litellm/json_mode.py": data({"type": "object"}),
    "litellm/reasoning.py": thought,
    "litellm/response_format.py": data(EVENT),
    "litellm/tools.py": calls("get_current_weather", IN_UNITS),
    "litellm/tools_stream.py": calls("get_current_weather", IN_UNITS),
    "pydantic_ai/history.py": text,
    "pydantic_ai/native_output.py": data(object_of(name=STRING, wheels=INTEGER)),
    "pydantic_ai/openai_provider.py": text,
    "pydantic_ai/structured_stream.py": data(object_of(name=STRING, dob=STRING_OR_NULL, bio=STRING_OR_NULL)),
    "pydantic_ai/text.py": text,
    "pydantic_ai/text_stream.py": text,
    "pydantic_ai/thinking.py": thought,
    "pydantic_ai/tool_output.py": data(object_of(city=STRING, country=STRING)),
    "pydantic_ai/tools.py": text,
    "instructor/from_provider.py": data(object_of(name=STRING, age=INTEGER)),
    "instructor/iterable.py": data(list_of(object_of(name=STRING, age=INTEGER), at_least=1)),
    "instructor/json_mode.py": data(object_of(name=STRING, age=INTEGER, fact=list_of(STRING))),
    "instructor/partial.py": data(object_of(name=STRING, email=STRING)),
    "instructor/tools.py": data(object_of(name=STRING, age=INTEGER)),
    "ollama_js/chat.mjs": text,
    "ollama_js/chat_stream.mjs": text,
    "ollama_js/embed.mjs": vectors(2),
    "ollama_js/generate.mjs": text,
    "ollama_js/models.mjs": names("qwen3:0.6b", "mine-js:latest"),
    "ollama_js/structured_output.mjs": data(COUNTRY),
    "ollama_js/thinking.mjs": thought,
    "ollama_js/tools.mjs": calls("get_flight_times", object_of(departure=STRING, arrival=STRING)),
    "openai_js/chat.mjs": text,
    "openai_js/chat_stream.mjs": text,
    "openai_js/embeddings.mjs": vectors(2),
    "openai_js/models.mjs": names(),
    "openai_js/responses.mjs": text,
    "openai_js/responses_stream.mjs": text,
    "openai_js/structured_output.mjs": data(EVENT),
    "openai_js/tools.mjs": calls("get_weather", WEATHER),
    "curl/anthropic_messages.sh": records(
        last=end(type={"const": "message"}, stop_reason={"const": "end_turn"}), text_at=("content", "0", "text")
    ),
    "curl/chat.sh": records(last=WHOLE, text_at=("message", "content")),
    "curl/chat_tools.sh": records(
        last=end(
            message=end(
                tool_calls=list_of(
                    end(function=end(name={"const": "get_weather"}, arguments=object_of(city=STRING))), at_least=1
                )
            )
        )
    ),
    "curl/embed.sh": records(
        last=end(embeddings={**list_of(list_of(NUMBER, at_least=2)), "minItems": 2, "maxItems": 2})
    ),
    "curl/generate.sh": records(last=WHOLE, text_at=("response",)),
    "curl/generate_nonstream.sh": records(last=WHOLE, text_at=("response",)),
    "curl/generate_structured.sh": records(
        last=WHOLE, text_at=("response",), answer=data(object_of(age=INTEGER, available=BOOLEAN))
    ),
    "curl/load.sh": records(last=end(done={"const": True}, done_reason={"const": "load"})),
    "curl/openai_chat.sh": records(
        last=end(object={"const": "chat.completion"}), text_at=("choices", "0", "message", "content")
    ),
    "curl/tags.sh": records(last=end(models=list_of(end(name=STRING, digest=STRING, size=INTEGER), at_least=1))),
    "curl/version.sh": records(last=end(version=STRING)),
}

PROGRAMS = {
    path.relative_to(HERE).as_posix(): path
    for suffix in ("py", "mjs", "sh")
    for path in sorted(HERE.glob(f"*/[!_]*.{suffix}"))
}


# -------------------------------------------------------------------------------------------- the server, and a run


class Served:
    """`ollama-harness serve --any-model --speed 0` in a process of its own, and the lines that it prints."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "ollama_harness", "serve", "--any-model", "--speed", "0", "--port", "0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", env=environment
        )
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._marks = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._wait_for("OLLAMA_HOST=").split("OLLAMA_HOST=")[1].strip()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self._lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._lines.append("(the server ended)")
            self._more.notify_all()

    def _wait_for(self, part: str) -> str:
        def found() -> str | None:
            return next((line for line in self._lines if part in line or line == "(the server ended)"), None)

        with self._more:
            line = self._more.wait_for(found, timeout=30)
        assert line is not None, f"no line with {part} from the server"
        assert part in line, "\n".join(self._lines)
        return line

    def journal(self) -> list[str]:
        """The lines about the requests since the last call. Asks for a page of its own, whose line is the last."""
        self._marks += 1
        mark = f"/mark-{self._marks}-of-the-tests"
        try:
            build_opener(ProxyHandler({})).open(f"{self.url}{mark}").close()
        except HTTPError as error:
            error.close()  # there is no such page
        self._wait_for(mark)
        with self._more:
            lines, self._lines = self._lines, []
        return [line for line in lines if mark not in line]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._reader.join(timeout=30)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Given:
    """A server that runs already: a real Ollama, say, to see that the programs come out as they do with it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def journal(self) -> list[str]:
        return ["(none; FIRST_PROGRAMS_URL named another server)"]


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Served]]:
    """A server for each group of programs, so that what one pulls or deletes does not change how another comes out."""
    servers: dict[str, Served] = {}
    yield servers
    for one in servers.values():
        one.stop()


@pytest.fixture
def served(name: str, servers: dict[str, Served]) -> Served | Given:
    """The server of a program."""
    if url := os.environ.get("FIRST_PROGRAMS_URL"):
        return Given(url)
    group = PROGRAMS[name].parent.name
    if group not in servers:
        servers[group] = Served()
    return servers[group]


@pytest.fixture(scope="session")
def node_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the programs in JavaScript beside their installed libraries, because `import` looks there only."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    for name, path in PROGRAMS.items():
        if path.suffix == ".mjs":
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(path, folder / name)
    npm = shutil.which("npm")
    assert npm, "there is node, but no npm to install the libraries with"
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"npm ci failed:\n{done.stdout}\n{done.stderr}"
    return folder


def environment_for(url: str) -> dict[str, str]:
    """The environment of a program: the variables by which each library is told where Ollama is, and no proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {
        "OLLAMA_HOST": url,  # ollama-python, langchain-ollama
        "OLLAMA_API_BASE": url,  # litellm
        "OLLAMA_BASE_URL": f"{url}/v1",  # pydantic-ai
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "ollama",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "ollama",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch a list of prices when it is imported
        "PYTHONUTF8": "1",
    }


class Launcher:
    """Runs the programs of one library, which it imports once. What they print goes through files in `folder`."""

    def __init__(self, library: str, url: str, folder: Path) -> None:
        self._out, self._err, self._own = (folder / kind for kind in ("out", "err", "launcher"))
        # -P: a program's folder is not where its imports are looked for, so that no name of a program hides a module.
        command = [sys.executable, "-P", str(HERE / "_launcher.py"), *IMPORTS[library]]
        with self._own.open("wb") as own:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=own,
                text=True,
                encoding="utf-8",
                env=environment_for(url),
            )

    def run(self, path: Path) -> Ran:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = self._out, self._err
        for file in (out, err):
            file.write_bytes(b"")
        program = {"path": str(path), "out": str(out), "err": str(err), "timeout_s": PROGRAM_TIMEOUT_S}
        with contextlib.suppress(BrokenPipeError):  # it ended; the answer is then missing, too
            self._process.stdin.write(json.dumps(program) + "\n")
            self._process.stdin.flush()
        if not (code := self._process.stdout.readline()):
            pytest.fail(f"the library cannot be imported:\n{self._own.read_text('utf-8', 'replace')[-3000:]}")
        return Ran(int(code), out.read_text("utf-8"), err.read_text("utf-8", "replace"))

    def stop(self) -> None:
        self._process.kill()  # it waits for its next program, and has nothing to end in order
        self._process.communicate()


@pytest.fixture(scope="session")
def launchers() -> Iterator[dict[str, Launcher]]:
    launchers: dict[str, Launcher] = {}
    yield launchers
    for one in launchers.values():
        one.stop()


@pytest.fixture
def launcher(
    name: str, served: Served | Given, launchers: dict[str, Launcher], tmp_path_factory: pytest.TempPathFactory
) -> Launcher:
    """The launcher of a program's library, started when it is first needed."""
    library = PROGRAMS[name].parent.name
    if library not in launchers:
        launchers[library] = Launcher(library, served.url, tmp_path_factory.mktemp(library))
    return launchers[library]


class Ran(NamedTuple):
    """A program that ended: its exit code (negative for a signal), and what it printed."""

    code: int
    out: str
    err: str


def run(command: list[str], served: Served | Given) -> Ran:
    done = subprocess.run(
        command,
        env=environment_for(served.url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PROGRAM_TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def judge(name: str, ran: Ran, served: Served | Given) -> None:
    """Fail with all that is known, if the program came out in another way than it does with Ollama."""
    told = "\n".join((f"{name} printed:", ran.out[-2000:], ran.err[-3000:], "the server's journal:", *served.journal()))
    if ran.code:
        pytest.fail(f"exit code {ran.code}: {told}")
    try:
        OUTCOMES[name](ran.out)
    except (AssertionError, ValueError, LookupError, TypeError, jsonschema.ValidationError) as error:
        pytest.fail(f"{type(error).__name__}: {error}\n{told}")


def of_kind(suffix: str) -> list[ParameterSet]:
    """The programs, in groups: what is to be done once for a library is done in one process of pytest-xdist."""
    return [
        pytest.param(name, marks=pytest.mark.xdist_group("node" if suffix == ".mjs" else path.parent.name))
        for name, path in PROGRAMS.items()
        if path.suffix == suffix
    ]


def test_each_program_has_an_outcome() -> None:
    assert PROGRAMS.keys() == OUTCOMES.keys()


@pytest.mark.parametrize("name", of_kind(".py"))
def test_program_in_python(name: str, served: Served | Given, launcher: Launcher) -> None:
    judge(name, launcher.run(PROGRAMS[name]), served)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
@pytest.mark.parametrize("name", of_kind(".mjs"))
def test_program_in_javascript(name: str, served: Served | Given, node_programs: Path) -> None:
    judge(name, run(["node", str(node_programs / name)], served), served)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("sh")), reason="there is no curl, or no sh")
@pytest.mark.parametrize("name", of_kind(".sh"))
def test_program_with_curl(name: str, served: Served | Given) -> None:
    judge(name, run(["sh", str(PROGRAMS[name])], served), served)
