"""Whatever a file holds, a command ends in a sentence: never in a traceback, never in "this is a bug".

The files are good ones with something changed: a field's value, or some bytes. So most of them are read to the point
where the change matters.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from builders import DONE, HELLO, JSON, SSE, line, recording, result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_harness.cli import main
from ollama_harness.cli.output import echo_json
from ollama_harness.cli.reports import diagnosis as doctor_report
from ollama_harness.cli.tables import _Console
from ollama_harness.clients import client
from ollama_harness.doctor import diagnosis
from ollama_harness.doctor._server_check import ServerAnswer, ServerKind, _understood
from ollama_harness.doctor.asking import AskedRoute
from ollama_harness.errors import BadFault, HarnessError, UnknownName
from ollama_harness.faults.notation import parse_fault
from ollama_harness.gate import gate_file
from ollama_harness.gate.decision import Decision
from ollama_harness.gate.findings import Evidence, Finding
from ollama_harness.gate.rules import Level
from ollama_harness.gate.shapes import VersionShapes
from ollama_harness.gate.shapes.toml_text import dump
from ollama_harness.matrix.results import FILE, Result, ResultsHeader, Writer
from ollama_harness.network.named_proxies import named_proxies
from ollama_harness.network.route import Route
from ollama_harness.network.settings import Mac, Registry, Settings, System
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings import on_disk
from ollama_harness.recordings.recording import META_SUFFIX

#: Values of every kind, in places where they do not belong.
odd_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [10**30, -1, 1e308, float("inf"), float("nan"), "", "0.6.0-12-gabc", "\x1b[31m", "\ud800", "[red]"]
    )
    | st.floats()
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
#: Texts for a file that nothing should end in a traceback for.
DEEP, HUGE = "[" * 100_000, "9" * 5000
#: What must never be printed.
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800-\udfff]")

a_few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ran(*arguments: str | Path) -> tuple[int, str, str]:
    """The exit code of a command, its output and its errors; in this process, through the last net."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2)]
    with (
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        pytest.raises(SystemExit) as ended,
    ):
        main(list(map(str, arguments)))
    code = ended.value.code
    assert isinstance(code, int)
    out, err = (stream.buffer.getvalue().decode() for stream in streams)  # type: ignore[attr-defined]
    return code, out, err


def clean(*arguments: str | Path, codes: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    """Run a command that may find anything wrong but itself; returns all that it printed."""
    code, out, err = ran(*arguments)
    assert "this is a bug" not in err, err
    assert "Traceback" not in err
    assert code in codes, (code, err)
    assert not UNSAFE.search(out + err)
    return out + err


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with some of them changed, taken out or added."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        piece = draw(
            st.binary(max_size=4) | st.sampled_from([b"\x1b[2J", b"\xc2\x9b", b"\\ud800", b"\n", b"[[", b"9" * 30])
        )
        data = data[:start] + piece + data[end:]
    return data


# ------------------------------------------------------------------------------------------------------ results


def good_results(directory: Path, *more: Result) -> list[dict[str, Any]]:
    """The lines of a good file of results, as values."""
    cells = (result(raised="builtins.ValueError", message="no"), result(client="canary-perfect"), *more)
    with Writer(directory, planned=len(cells), recordings={"0.32.15/chat-stream": "0" * 64}) as writer:
        for one in cells:
            writer.add(one)
        writer.finish(clients={"requests": "2.32.0"})
    return [json.loads(each) for each in (directory / FILE).read_bytes().splitlines()]


def write_lines(directory: Path, values: list[Any]) -> Path:
    path = directory / FILE
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


@pytest.mark.same_everywhere
@pytest.mark.parametrize("name", [one.name for one in fields(Result)])
@a_few
@given(value=odd_values)
def test_any_value_in_a_result(name: str, value: Any) -> None:
    with folder() as directory:
        header, first, *rest = good_results(directory)
        path = write_lines(directory, [header, {**first, name: value}, *rest])
        clean("report", path)


@pytest.mark.same_everywhere
@pytest.mark.parametrize("name", [one.name for one in fields(ResultsHeader)])
@a_few
@given(value=odd_values)
def test_any_value_in_the_header_of_results(name: str, value: Any) -> None:
    with folder() as directory:
        header, *rest = good_results(directory)
        clean("report", write_lines(directory, [{**header, name: value}, *rest]))


@pytest.mark.same_everywhere
@a_few
@given(st.data())
def test_any_bytes_in_results(data: st.DataObject) -> None:
    with folder() as directory:
        good_results(directory)
        path = directory / FILE
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        clean("report", path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("client", "nope", 'line 2: client: is "nope", not a client of this version'),
        ("client", ["requests"], "line 2: client: is "),
        ("scenario", "nope", 'line 2: scenario: is "nope", not a scenario of this version'),
        ("route", "sideways", 'line 2: route: is "sideways", not null or one of direct'),
        ("due", -1, "line 2: due: is -1, not a count"),
        ("got", True, "line 2: got: is true, not a count or null"),
        ("recording", "0.32.15/a\ngate: pass", "line 2: recording: is "),
        ("more", 1, "line 2: more: is not a field of the format"),
    ],
)
def test_what_is_wrong_with_a_result_is_named(field: str, value: Any, said: str, tmp_path: Path) -> None:
    header, first, *rest = good_results(tmp_path)
    path = write_lines(tmp_path, [header, {**first, field: value}, *rest])
    printed = clean("report", path, codes=(2,))
    assert printed.startswith(f"error: {path}: {said}")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("text", [DEEP, HUGE, f'{{"schema":2,"x":{HUGE}}}', "\ufeff{}", "null\n1\n"])
def test_results_that_cannot_be_read_are_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(text, encoding="utf-8")
    assert clean("report", path, codes=(2,)).startswith(f"error: {path}")


# --------------------------------------------------------------------------------------------------- recordings


def small_recordings(directory: Path) -> Path:
    """A folder with a few small recordings of one version."""
    where = directory / "1.0.0"
    for one in (
        recording(line(HELLO), line(DONE), request_json={"model": "m"}),
        recording(b'{"models":[]}', media_type=JSON, id="1.0.0/tags", method="GET", path="/api/tags"),
        recording(
            b'data: {"a":1}\n\n', b"data: [DONE]\n\n", media_type=SSE, id="1.0.0/v1", path="/v1/chat/completions"
        ),
    ):
        on_disk.save(one, where)
    return where


def use_recordings(where: Path) -> None:
    out = where.parent / "out"
    clean("check", where)
    clean("shapes", where)
    clean("gate", "--baseline", where, "--candidate", where, "--wire-only", "--out", out)


@pytest.mark.same_everywhere
@a_few
@given(st.data())
def test_any_bytes_in_a_recording(data: st.DataObject) -> None:
    with folder() as directory:
        where = small_recordings(directory)
        path = data.draw(st.sampled_from(sorted(where.iterdir())))
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        use_recordings(where)


META = (
    "format",
    "ollama_version",
    "recorded_at",
    "platform",
    "request",
    "response",
    "frames",
    "end",
    "ended_at",
    "note",
)


@pytest.mark.same_everywhere
@pytest.mark.parametrize("name", META)
@a_few
@given(value=odd_values)
def test_any_value_in_a_meta_file(name: str, value: Any) -> None:
    with folder() as directory:
        where = small_recordings(directory)
        path = where / f"generate-small{META_SUFFIX}"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {name: value}), encoding="utf-8")
        use_recordings(where)


@pytest.mark.same_everywhere
@pytest.mark.parametrize("part", ["request", "response"])
@a_few
@given(name=st.sampled_from(["method", "path", "headers", "json", "body", "status", "reason"]), value=odd_values)
def test_any_value_in_a_recorded_request_or_response(part: str, name: str, value: Any) -> None:
    with folder() as directory:
        where = small_recordings(directory)
        path = where / f"generate-small{META_SUFFIX}"
        meta = json.loads(path.read_bytes())
        meta[part][name] = value
        path.write_text(json.dumps(meta), encoding="utf-8")
        use_recordings(where)


@pytest.mark.same_everywhere
@a_few
@given(st.lists(odd_values, min_size=1, max_size=3))
def test_any_records_in_a_body(records: list[Any]) -> None:
    with folder() as directory:
        where = directory / "1.0.0"
        body = "".join(json.dumps(one) + "\n" for one in records).encode()
        on_disk.save(recording(body), where)
        use_recordings(where)


@pytest.mark.parametrize("text", [DEEP, HUGE, f'{{"format":{HUGE}}}', '{"format":1,"format":1}'])
def test_a_meta_file_that_cannot_be_read_is_one_sentence(text: str, tmp_path: Path) -> None:
    where = small_recordings(tmp_path)
    path = where / f"tags{META_SUFFIX}"
    path.write_text(text, encoding="utf-8")
    assert clean("shapes", where, codes=(2,)).startswith(f"error: {path}: ")


@pytest.mark.parametrize("media_type", ["application/x-ndjson", JSON, SSE])
@pytest.mark.parametrize("text", ['{"a":' * 700 + "1" + "}" * 700, DEEP, HUGE])
def test_a_body_that_cannot_be_walked_through(text: str, media_type: str, tmp_path: Path) -> None:
    body = b"data: " * (media_type == SSE) + text.encode() + b"\n\n"
    on_disk.save(recording(body, media_type=media_type), tmp_path / "1.0.0")
    use_recordings(tmp_path / "1.0.0")


@pytest.mark.same_everywhere
@a_few
@given(
    st.dictionaries(st.text(st.characters(), max_size=5) | st.sampled_from(["\ud800", "\x7f", '"', "a.b"]), odd_values),
    st.sampled_from(["chat-x", "chat.v2", "chat x", "chat-größe"]),
)
def test_shapes_are_toml_for_any_recording(record: dict[str, Any], name: str) -> None:
    body = json.dumps(record).encode() + b"\n"
    one = recording(body.replace(b"NaN", b"0").replace(b"Infinity", b"0"), id=f"1.0.0/{name}")
    with folder() as directory:
        on_disk.save(one, directory)
        version = VersionShapes.read(directory)
        table = tomllib.loads(dump(version))
        assert table[name]["request"] == "POST /api/generate"
        clean("shapes", directory, codes=(0,))
        clean("shapes", "--check", directory, codes=(0,))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ollama_version", "1.0.0\ngate: pass: 1.0.0 -> 1.0.0"),
        ("ollama_version", "\x1b[1A1.0.0"),
        ("ollama_version", ""),
        ("platform", "linux\ngate: pass"),
        ("platform", "\x9b31mlinux"),
        ("recorded_at", "2026-11-22\x1b19:20:02"),
        ("request.path", "/api/chat\ngate: pass"),
        ("request.method", "GÉT"),
    ],
)
def test_what_could_forge_a_line_is_refused_with_file_and_field(field: str, value: str, tmp_path: Path) -> None:
    where = small_recordings(tmp_path)
    path = where / f"generate-small{META_SUFFIX}"
    meta = json.loads(path.read_bytes())
    *above, last = field.split(".")
    (meta[above[0]] if above else meta)[last] = value
    path.write_text(json.dumps(meta), encoding="utf-8")
    printed = clean("gate", "--baseline", where, "--candidate", where, "--wire-only", "--out", tmp_path, codes=(2,))
    assert printed.startswith(f"error: {path}: {field}: is ")
    assert printed.count("\n") == 1


def test_the_name_of_a_file_that_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    where = small_recordings(tmp_path)
    with contextlib.suppress(OSError):  # Windows allows no such name
        for path in list(where.glob("tags.*")):
            path.rename(where / path.name.replace("tags", "ta\x1bgs"))
        assert "its name has characters that cannot be printed" in clean("check", where, codes=(2,))
    assert "valid, 0 defects" in clean("check", where / "generate-small.ndjson", codes=(0,))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have names in UTF-8 only")
@pytest.mark.parametrize("command", ["check", "shapes", "gate", "run"])
def test_a_folder_whose_name_is_no_utf_8(command: str, tmp_path: Path) -> None:
    where = small_recordings(tmp_path).rename(tmp_path / "caf\udce9")
    match command:
        case "gate":
            sides = ("--baseline", where, "--candidate", where)
            assert "caf\\xe9" in clean("gate", *sides, "--out", tmp_path / "\udcff", codes=(2,))
            clean("gate", *sides, "--wire-only", "--out", tmp_path / "\udcff", codes=(0,))
        case "run":
            few = ("--client", "requests", "--scenario", "stream", "--jobs", "1")
            clean("run", *few, "--known-issues", where, codes=(2,))
        case _:
            clean(command, where, codes=(0,))


def test_files_that_are_only_a_suffix_are_no_recordings(tmp_path: Path) -> None:
    where = small_recordings(tmp_path)
    for name in (META_SUFFIX, ".ndjson"):
        (where / name).write_text("{}")
    assert "3 recordings are valid, 0 defects" in clean("check", where, codes=(0,))
    assert "no such recording" in clean("check", where / ".ndjson", codes=(2,))


# ----------------------------------------------------------------------------------------------------- the gate


FINDING = Finding(
    rule="field-gone",
    level=Level.BREAKING,
    subject="POST /api/chat",
    where="last .done",
    was="boolean",
    now="gone",
    evidence=(Evidence(recording="chat-stream", old="a", new="b"),),
)


def good_gate(directory: Path) -> dict[str, Any]:
    decision = Decision(
        baseline="1.0.0",
        candidate="1.0.1",
        fail_on=Level.BREAKING,
        findings=(FINDING,),
        accepted={},
        stale=(),
        unstable=(),
        problems=(),
        recordings=1,
        only_new=(),
        cells=None,
    )
    value: dict[str, Any] = json.loads(gate_file.save(decision, directory).read_bytes())
    return value


@pytest.mark.same_everywhere
@pytest.mark.parametrize("name", ["fingerprint", *(one.name for one in fields(Finding))])
@a_few
@given(value=odd_values)
def test_any_value_in_a_report_of_the_gate(name: str, value: Any) -> None:
    with folder() as directory:
        report = good_gate(directory)
        report["findings"][0][name] = value
        (directory / gate_file.FILE).write_text(json.dumps(report), encoding="utf-8")
        clean("gate", "--explain", FINDING.fingerprint[:4], "--out", directory, codes=(0, 2))


@pytest.mark.same_everywhere
@a_few
@given(st.data())
def test_any_bytes_in_a_report_of_the_gate(data: st.DataObject) -> None:
    with folder() as directory:
        good_gate(directory)
        path = directory / gate_file.FILE
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        clean("gate", "--explain", FINDING.fingerprint[:4], "--out", directory, codes=(0, 2))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"schema": 2}', '{"schema": 1}', DEEP, HUGE, '{"schema":1,"findings":1}']
)
def test_a_report_of_another_kind_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / gate_file.FILE).write_text(text)
    printed = clean("gate", "--explain", "00", "--out", tmp_path, codes=(2,))
    assert printed.startswith(f"error: {tmp_path / gate_file.FILE}: ")
    assert printed.endswith("; run the gate again with this version of ollama-harness\n")


ACCEPTED = """[[accepted]]
fingerprint = "0123456789ab"
reason = "known"
seen_in = "tags"
versions = ">=0.9"
expires = 2999-01-01
"""
ISSUE = """[[issue]]
clients = ["requests"]
scenarios = ["no-proxy-list"]
verdict = "misrouted"
reason = "known"
link = "https://example.org/1"
review = 2999-06-01
hosts = ["localhost"]
since_python = ["3.11.9"]
"""
TOML_VALUES = (
    "1",
    "[1]",
    '"x"',
    "true",
    "1.5",
    "2027-01-01",
    "07:32:00",
    "{a = 1}",
    "[[]]",
    "[{}]",
    f"0x{'f' * 5000}",
    '" "',
)
TOML_FILES = {"accepted": ACCEPTED, "issue": ISSUE}


def use_toml(kind: str, directory: Path) -> Callable[..., str]:
    """A command that reads the file `list.toml` of a directory."""
    path = directory / "list.toml"
    if kind == "issue":
        good_results(directory)
        return lambda **more: clean("report", directory, "--known-issues", path, **more)
    where = small_recordings(directory)
    sides = ("--baseline", where, "--candidate", where, "--wire-only", "--out", directory / "out")
    return lambda **more: clean("gate", *sides, "--accept", path, **more)


@pytest.mark.same_everywhere
@pytest.mark.parametrize(
    ("kind", "key"), [(kind, key) for kind, text in TOML_FILES.items() for key in re.findall(r"^(\w+) =", text, re.M)]
)
def test_any_kind_of_value_in_a_list(kind: str, key: str, tmp_path: Path) -> None:
    use = use_toml(kind, tmp_path)
    printed = []
    for value in TOML_VALUES:
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", TOML_FILES[kind], flags=re.M)
        (tmp_path / "list.toml").write_text(text, encoding="utf-8")
        printed.append(use())
    assert len([one for one in printed if one.startswith(("error: ", "Error: "))]) >= len(TOML_VALUES) - 3


@pytest.mark.same_everywhere
@pytest.mark.parametrize("kind", TOML_FILES)
@a_few
@given(data=st.data())
def test_any_bytes_in_a_list(kind: str, data: st.DataObject) -> None:
    with folder() as directory:
        use = use_toml(kind, directory)
        (directory / "list.toml").write_bytes(data.draw(damaged(TOML_FILES[kind].encode())))
        assert use()


@pytest.mark.parametrize("kind", TOML_FILES)
@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{kind} = [1]",
        "{kind} = 1",
        "[{kind}]",
        "{kind} = [[1]]",
        "x = " + DEEP,
        f"x = {HUGE}",
        "\ufeffx = 1",
        "x",
    ],
)
def test_a_file_without_a_list_is_one_sentence(kind: str, text: str, tmp_path: Path) -> None:
    use = use_toml(kind, tmp_path)
    (tmp_path / "list.toml").write_text(text.replace("{kind}", kind), encoding="utf-8")
    assert use(codes=(2,)).startswith(f"error: {tmp_path / 'list.toml'}: ")


# ------------------------------------------------------------------------------------------------ other edges


@a_few
@given(st.binary(max_size=200) | damaged(b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"version":"0.5.7"}'))
def test_any_bytes_from_a_server_that_may_be_an_ollama(data: bytes) -> None:
    answer = _understood(data, "127.0.0.1", 11434)
    assert answer.kind is not ServerKind.OLLAMA or re.fullmatch(r"[\w.+-]+", answer.says)


def test_a_version_that_could_forge_a_line_is_no_version() -> None:
    body = json.dumps({"version": "0.5.7\ngate: pass"}).encode()
    answer = _understood(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), "127.0.0.1", 11434)
    assert (answer.kind, answer.says) == (ServerKind.OTHER, "200 OK")


@pytest.mark.same_everywhere
@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=30)
    | damaged(b"close_at(after_record(3))").map(lambda data: data.decode("latin-1"))
    | st.integers(0, 5000).map(lambda digits: f"close_at(after_record(0x{'f' * digits}))")
    | st.builds(
        lambda piece, times: piece * times,
        st.sampled_from(["(", "-", "close_at(", "[", "9", "not "]),
        st.integers(0, 9999),
    )
)
def test_any_text_for_a_fault(text: str) -> None:
    try:
        fault = parse_fault(text)
    except (BadFault, UnknownName) as error:
        shown = str(error)
    else:
        shown = str(fault)
        assert parse_fault(shown) == fault
    assert shown


#: Settings of the network, made of what belongs there and of what does not.
pieces = [
    "http://",
    "socks5://",
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[",
    "]",
    ":",
    "11434",
    "99999",
    "@",
    "/",
    "?",
    "#",
]
pieces += ["%", "*", ",", ".", "user:pw@", " ", "\n", "\x1b", "é", "\ud800", "xn--", "a" * 70, "<local>", "１", "_"]
setting = st.lists(st.sampled_from(pieces), max_size=6).map("".join)
names = ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy", "OLLAMA_HOST"]
variables = st.dictionaries(st.sampled_from(names), setting, max_size=4)


@pytest.mark.same_everywhere
@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")  # as requests makes patterns of ProxyOverride
@settings(max_examples=100, deadline=None)
@given(variables, st.sampled_from(System), st.none() | setting, st.none() | setting, st.none() | setting)
def test_any_settings_for_the_doctor(
    variables: dict[str, str], system: System, url: str | None, server: str | None, override: str | None
) -> None:
    there = ServerAnswer(address="127.0.0.1", port=11434, kind=ServerKind.OLLAMA, says="0.5.7")
    settings = Settings(
        system=system,
        variables=variables,
        registry=Registry(enable=1, server=server, override=override) if system is System.WINDOWS else None,
        mac=Mac(http=server, exceptions=tuple((override or "").split(","))) if system is System.MACOS else None,
    )
    answers = {name: mock.Mock(return_value=there) for name in ("ask", "ask_through", "connect")}
    proxies = named_proxies(settings)
    said = AskedRoute(route=Route.PROXIED, proxy=proxies[0]) if proxies else AskedRoute(route=None, problem=server)
    asker = mock.Mock(clients=[client("httpx")], versions={"httpx": "1"})
    asker.ask = lambda questions: [{"httpx": said} for _ in questions]  # no process can be started for each example
    try:
        with mock.patch.multiple(diagnosis, **answers):
            found = diagnosis.diagnose(
                settings,
                asker,
                url=url,
                through_proxy=False,
                resolve=lambda _: ("127.0.0.1",),
            )
    except HarnessError as error:
        shown = str(error)
    else:
        assert found.routes
        screen = _Console(file=io.StringIO(), width=80, color_system=None)
        screen.print(doctor_report.render(found))
        shown = screen.file.getvalue()  # type: ignore[attr-defined]
        assert not UNSAFE.search(shown)
        echo_json(doctor_report.to_json(found))
    assert shown


@pytest.mark.same_everywhere
@pytest.mark.parametrize("verdict", Verdict)
def test_no_advice_names_a_verdict_that_no_entry_can_expect(verdict: Verdict, tmp_path: Path) -> None:
    good_results(tmp_path, result(verdict, scenario="reuse"))
    printed = clean("report", tmp_path)
    found = re.findall(r'verdict\s+=\s+"([a-z-]+)"', printed)
    assert not {"inconclusive", "unsupported", "pass"} & set(found)
    assert ("not the client" in printed) == (verdict is Verdict.INCONCLUSIVE)


def test_a_line_of_results_is_asked_for_every_field(tmp_path: Path) -> None:
    """The tests above change fields that are there; one that is missing is named, too."""
    header, first, *rest = good_results(tmp_path)
    assert first.keys() == asdict(result()).keys()
    for name in first:
        path = write_lines(tmp_path, [header, {key: value for key, value in first.items() if key != name}, *rest])
        assert f"line 2: {name}: is missing" in clean("report", path, codes=(2,))
