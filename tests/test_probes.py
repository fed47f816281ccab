"""Files of probes, and the default one compared with the recordings of this project."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from builders import in_one_test

from ollama_harness.errors import ProbeError, UnknownName
from ollama_harness.recorder import Probe, default_probes, load_probes
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.store import RecordingStore, packaged_store

pytestmark = pytest.mark.same_everywhere

#: What stands for a model; and what pulls of a registry on this machine were allowed, which nobody's own should be.
MODELS = ("model", "source", "destination", "from")
LIBRARY = packaged_store()
COVERED = [
    name
    for name in LIBRARY.names(LIBRARY.newest, ["*"])
    if not any(fnmatchcase(name, pattern) for pattern in default_probes().left_out)
]


def probe(name: str) -> Probe:
    return next(one for one in default_probes().probes if one.name == name).with_model("smollm2:135m")


def without_models(request: Request) -> tuple[Any, ...]:
    """A request as far as it must agree."""
    value = request.json
    if isinstance(value, dict):
        value = {key: "a model" if key in MODELS else inner for key, inner in value.items()}
        if request.path == "/api/pull":
            value.pop("insecure", None)
    return request.method, request.path, request.headers, value, request.body


@in_one_test("name", COVERED)
def test_a_default_probe_asks_what_the_recording_of_its_name_asked(name: str, store: RecordingStore) -> None:
    assert without_models(probe(name).request) == without_models(store.get(f"{store.newest}/{name}").request)


def test_the_default_probes_are_the_recordings_but_for_those_left_out_with_a_reason(store: RecordingStore) -> None:
    probes = default_probes()
    assert sorted(one.name for one in probes.probes) == sorted(COVERED)
    names = {id_.rpartition("/")[2] for id_ in store.ids}
    for pattern, reason in probes.left_out.items():
        assert any(fnmatchcase(name, pattern) for name in names), f"{pattern} leaves nothing out"
        assert len(reason) > 20


def test_what_is_generated_is_generated_alike_each_time() -> None:
    """Temperature 0 and a fixed seed, wherever an answer is made of more than a token that nothing else could be."""
    temperatures, seeds = {}, {}
    for one in default_probes().probes:
        value = one.request.json if isinstance(one.request.json, dict) else {}
        options = value.get("options", value if one.request.path.startswith("/v1/") else {})
        if "num_predict" in options or "max_tokens" in options or "max_output_tokens" in options:
            if value.get("model") == "{model}":
                temperatures[one.name] = options.get("temperature")
            if one.request.path in ("/api/generate", "/api/chat"):
                seeds[one.name] = options.get("seed")
    assert temperatures == dict.fromkeys(temperatures, 0) != {}
    assert seeds == dict.fromkeys(seeds, 42) != {}


def test_a_model_takes_its_place_in_all_of_a_probe() -> None:
    one = probe("v1-model").with_model("x")
    assert (one.request.path, one.needs_model) == ("/v1/models/smollm2:135m", False)
    one = next(one for one in default_probes().probes if one.name == "v1-model")
    assert one.with_model("hf.co/a b").request.path == "/v1/models/hf.co/a%20b"
    assert probe("error-chat-truncated-json").request.body == '{"model": "smollm2:135m", '
    assert probe("generate-cold").before[0].json == {"model": "smollm2:135m", "keep_alive": 0}


def test_a_long_text_is_written_once(tmp_path: Path) -> None:
    assert probe("embed-too-long").request.json["input"] == "word " * 3000


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ((), ["a", "b-1", "b-2"]),
        (("b-*",), ["b-1", "b-2"]),
        (("b-*", "!b-1"), ["b-2"]),
        (("!b-*",), ["a"]),
        (("b-2", "a"), ["a", "b-2"]),
    ],
)
def test_patterns_choose_probes_and_keep_their_order(
    tmp_path: Path, patterns: tuple[str, ...], names: list[str]
) -> None:
    entries = (f'[[probe]]\nname = "{name}"\npath = "/"\n' for name in ("a", "b-1", "b-2"))
    probes = load_probes(written(tmp_path, "".join(entries)))
    assert [one.name for one in probes.only(patterns)] == names


def test_a_pattern_that_matches_nothing_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="there is no probe called 'chat-steam'; did you mean chat-stream"):
        default_probes().only(("chat-steam",))


# ------------------------------------------------------------------------------------------ files


def written(directory: Path, text: str) -> Path:
    path = directory / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_probe_has_all_its_fields(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [repeated]
        ha = ["ha", 3]
        [[probe]]
        name = "laugh"
        method = "PUT"
        path = "/x?y=1"
        headers = [["X-A", "b"], ["x-a", "c"]]
        json = { say = ["{ha}", { to = "{model}" }], n = 1.5, yes = true, not = "{that}" }
        intervention = "tickled"
        note = "with joy"
        before = [{ path = "/before", body = "{ha}" }]
        after = [{ method = "DELETE", path = "/after" }]
        """,
    )
    assert load_probes(path).probes[0].with_model("m") == Probe(
        name="laugh",
        request=Request(
            method="PUT",
            path="/x?y=1",
            headers=(("X-A", "b"), ("x-a", "c")),
            json={"say": ["hahaha", {"to": "m"}], "n": 1.5, "yes": True, "not": "{that}"},
        ),
        before=(Request(method="POST", path="/before", body="hahaha"),),
        after=(Request(method="DELETE", path="/after"),),
        intervention="tickled",
        note="with joy",
    )


GOOD = '[[probe]]\nname = "a"\npath = "/"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[probe]\n", r"my\.toml: line 1, column 8: is no TOML: .*; fix it there"),
        ("", r"my\.toml: probe: is missing; add it \(tables: write \[\[probe\]\] before each"),
        ("probe = 3", r"probe: is 3; make it tables"),
        ("[[probes]]\n" + GOOD, r"probes: is not a field of .*; remove it; the fields are left_out, probe, repeated"),
        ('[[probe]]\npath = "/"', r"my\.toml: probe 1: name: is missing"),
        ('[[probe]]\nname = "A"\npath = "/"', r"probe 1 \(A\): name: is \"A\"; make it a name of a-z, 0-9 and -"),
        ('[[probe]]\nname = "nul"\npath = "/"', "that Windows allows for a file"),
        ('[[probe]]\nname = "a"', r"probe 1 \(a\): path: is missing"),
        ('[[probe]]\nname = "a"\npath = "x"', "path: is \"x\"; make it a path that starts with /"),
        ('[[probe]]\nname = "a"\npath = "/ü"', "make it a path that starts with /, in ASCII, without blanks"),
        (GOOD + GOOD, r"probe 2 \(a\): name: is used twice; give each probe its own name"),
        (GOOD + "colour = 1", r"probe 1 \(a\): colour: is not a field"),
        (GOOD + 'method = "get"', "method: is \"get\"; make it a method such as GET"),
        (GOOD + 'method = "CONNECT"', "not CONNECT"),
        (GOOD + 'headers = { a = "b" }', "headers: is .*; make it a list of"),
        (GOOD + 'headers = [["a b", "c"]]', r"headers\[0\]: 'a b' is not the name of a header"),
        (GOOD + 'headers = [["a", "b\\nc"]]', "headers: is .*; make it a list of .* one line"),
        (GOOD + "json = 2026-11-22", "json: is .*; make it any JSON"),
        (GOOD + "json = { a = [inf] }", "no inf"),
        (GOOD + 'json = 1\nbody = ""', "body: is given together with json; keep one of the two"),
        (GOOD + "body = 1", "body: is 1; make it a string"),
        (GOOD + "before = 1", r"probe 1 \(a\): before: is 1; make it a list of requests"),
        (GOOD + 'before = [{ path = "/" }, { path = 1 }]', r"probe 1 \(a\): before\[2\]\.path: is 1"),
        (GOOD + 'after = [{ path = "/", name = "b" }]', r"after\[1\]\.name: is not a field"),
        (GOOD + "[repeated]\nx = 3", r"repeated\.x: is 3; write \[text, times\]"),
        (GOOD + '[repeated]\nx = ["a", 99999999]', "characters at the most"),
        (GOOD + "[left_out]\nx = 3", "left_out: is .*; make it a table of names and reasons"),
    ],
)  # fmt: skip
def test_a_defect_is_named_with_file_entry_field_and_fix(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ProbeError, match=problem) as caught:
        load_probes(written(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "my.toml"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match=r"none\.toml: cannot be read: .*; give the path"):
        load_probes(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"# \xff")
    with pytest.raises(ProbeError, match=r"odd\.toml: byte 2: is no UTF-8; save the file as UTF-8"):
        load_probes(tmp_path / "odd.toml")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("probe = []", id="no-probes"),
        pytest.param(GOOD + "json = " + "[" * 5000 + "]" * 5000, id="deep-arrays"),
        pytest.param(GOOD + "json = " + "[" * 400 + "]" * 400, id="deeper-than-allowed"),
        pytest.param(f"[{'.'.join('a' * 5000)}]\n" + GOOD, id="deep-tables"),
        pytest.param(GOOD + "json." + ".".join("a" * 5000) + " = 1", id="deep-keys"),
        pytest.param(GOOD + "json = " + "9" * 5000, id="digits"),
        pytest.param(GOOD + "json = 0x1" + "0" * 5000, id="hexadecimal-digits"),
        pytest.param(GOOD + "json = { n = [9223372036854775808] }", id="more-than-64-bits"),
        pytest.param(GOOD + "json = 1e999", id="infinite"),
        pytest.param(GOOD + '[repeated]\nx = ["", 99999999999999999999]', id="huge-times"),
        pytest.param(GOOD + "headers = [[1, 2], 3]", id="odd-headers"),
        pytest.param('[[probe]]\nname = "' + "a" * 101 + '"\npath = "/"', id="long-name"),
    ],
)
def test_an_odd_file_is_an_error_and_no_traceback(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProbeError) as caught:
        load_probes(written(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "my.toml"))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("json", ["9223372036854775807", "-9223372036854775808", "1e308", "[" * 290 + "1" + "]" * 290])
def test_what_is_large_but_fits_is_fine(tmp_path: Path, json: str) -> None:
    assert load_probes(written(tmp_path, GOOD + f"json = {json}")).probes[0].request.content == json.encode().replace(
        b"1e308", b"1e+308"
    )
