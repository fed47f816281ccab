"""`ollama-harness install`: places are built whole or not at all, and again when what they are made of has changed."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ollama_harness import clients as clients_room
from ollama_harness.cli import commands
from ollama_harness.clients import Client, _starting, client, clients, clients_file, installed, places
from ollama_harness.clients.places import ClientPlace, environment_of
from ollama_harness.errors import ClientError, InstallError, UnknownName
from ollama_harness.network.simulation import SimulatedMachine

pytestmark = pytest.mark.same_on_each_python

ENVIRONMENTS = Path(places.__file__).parent / "environments"
WRITES = "import pathlib; p = pathlib.Path('log'); p.write_text((p.read_text() if p.exists() else '') + 'built ')"

#: A folder of programs whose step writes a file that is the program.
PROGRAM = """
[install]
toolchain = "TOOL"
get = "https://example.org/tool"
steps = [["TOOL", "build.py"]]
makes = "out/program"

[[client]]
name = "mine"
command = ["TOOL", "out/program"]
"""
BUILDS = "import pathlib; pathlib.Path('out').mkdir(); pathlib.Path('out/program').write_text('print()')"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "_root", tmp_path / "places")
    return tmp_path / "places"


def place(tmp_path: Path, *codes: str, name: str = "mine", lock: str = "1") -> ClientPlace:
    """A place with a lock file and a step for each piece of code."""
    file = tmp_path / "lock"
    file.write_text(lock)
    return ClientPlace(name=name, files={"lock": file}, steps=tuple((sys.executable, "-c", code) for code in codes))


def test_a_place_is_a_copy_of_its_files_in_which_the_steps_were_run(tmp_path: Path) -> None:
    begun: list[str] = []
    one = place(tmp_path, WRITES, WRITES)
    assert not one.is_whole
    one.build(begun.append)
    assert one.is_whole
    assert ((one.path / "lock").read_text(), (one.path / "log").read_text()) == ("1", "built built ")
    assert len(begun) == 2


def test_what_is_whole_is_not_built_again(tmp_path: Path) -> None:
    one = place(tmp_path, WRITES)
    one.build()
    one.build(lambda step: pytest.fail(f"ran {step} again"))
    assert (one.path / "log").read_text() == "built "


def test_another_lock_file_is_another_place(tmp_path: Path) -> None:
    one = place(tmp_path, WRITES, lock="1")
    one.build()
    other = place(tmp_path, WRITES, lock="2")
    assert not other.is_whole
    other.build()
    assert (other.path / "lock").read_text() == "2"


def test_a_step_that_fails_leaves_nothing_and_shows_its_last_lines(tmp_path: Path) -> None:
    one = place(tmp_path, WRITES, "for n in range(100): print('line', n)\nraise SystemExit(7)")
    with pytest.raises(InstallError) as caught:
        one.build()
    assert "ended with exit code 7; its last lines:\nline 80\n" in str(caught.value)
    assert str(caught.value).endswith("\nline 99")
    assert not one.path.exists()


def test_a_build_that_is_interrupted_leaves_nothing_that_counts(tmp_path: Path) -> None:
    one = place(tmp_path, WRITES, WRITES)

    def interrupt(_: str) -> None:
        if (one.path / "log").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.build(interrupt)
    assert not one.is_whole
    assert not one.path.exists()


def test_what_a_killed_build_left_is_thrown_away(tmp_path: Path) -> None:
    one = place(tmp_path, WRITES)
    one.path.mkdir(parents=True)
    (one.path / "log").write_text("half ")
    assert not one.is_whole
    assert one.defect == f"{one.path} is half built: an install was interrupted, or has not ended yet"
    one.build()
    assert (one.path / "log").read_text() == "built "
    assert one.defect is None


def test_a_place_that_was_moved_does_not_count_and_is_built_again(tmp_path: Path) -> None:
    one = place(tmp_path, WRITES)
    one.build()
    old = one.path
    places.use_root(tmp_path / "elsewhere")
    old.parent.rename(tmp_path / "elsewhere")
    assert not one.is_whole
    assert one.defect == f"{one.path} was moved: it was built as {old}"
    one.build()
    assert one.is_whole


def test_a_place_without_what_its_steps_make_is_damaged_and_is_built_again(tmp_path: Path) -> None:
    one = replace(place(tmp_path, WRITES), makes=("log",))
    one.build()
    (one.path / "log").unlink()
    assert (one.is_whole, one.defect) == (False, f"{one.path} is damaged: it has no log")
    one.build()
    assert one.is_whole


def test_steps_that_do_not_make_what_they_should_leave_nothing(tmp_path: Path) -> None:
    one = replace(place(tmp_path, WRITES), makes=("bin/program",))
    with pytest.raises(InstallError, match="its steps have not made bin/program"):
        one.build()
    assert not one.path.exists()


def test_what_a_step_writes_is_told_line_by_line(tmp_path: Path) -> None:
    lines: list[str] = []
    place(tmp_path, "print('one')\nprint('two')").build(writes=lines.append)
    assert lines == ["one", "two"]


def test_two_that_install_the_same_build_it_once(tmp_path: Path) -> None:
    one, waits = place(tmp_path, WRITES), threading.Event()

    def first(_: str) -> None:
        second.start()
        assert waits.wait(20)  # the second is there while the first builds

    second = threading.Thread(target=lambda: one.build(waiting=waits.set))
    one.build(first)
    second.join()
    assert (one.path / "log").read_text() == "built "


def test_a_missing_toolchain_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    one = replace(place(tmp_path, WRITES), toolchain="no-such-tool", get="https://example.org")
    with pytest.raises(InstallError, match="mine cannot be installed: there is no no-such-tool on PATH; https://"):
        one.build()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs of the package, which has one client `mine`."""
    folder = tmp_path / "programs" / "tongue"
    folder.mkdir(parents=True)
    (folder / "clients.toml").write_text(PROGRAM.replace("TOOL", sys.executable.replace("\\", "/")))
    (folder / "build.py").write_text(BUILDS)
    monkeypatch.setattr(clients_room, "_PROGRAMS", folder.parent)
    yield from _without_caches(folder)


def _without_caches(folder: Path) -> Iterator[Path]:
    for forget in (clients_room._packaged.cache_clear, clients.cache_clear):
        forget()
    yield folder
    for forget in (clients_room._packaged.cache_clear, clients.cache_clear):
        forget()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def test_a_program_is_installed_once_and_runs_in_its_place(programs: Path, root: Path) -> None:
    assert client("mine").missing == "run: ollama-harness install mine"
    first, second = run("install", "mine"), run("install", "mine")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"mine: installed in {root}" in first.output
    assert second.output == "mine is installed\n"
    command = client("mine").command
    assert command is not None
    assert (client("mine").missing, command.home.parent) == (None, root)
    assert not (programs / "out").exists()


def test_a_program_whose_sources_have_changed_is_not_installed(programs: Path) -> None:
    run("install", "mine")
    (programs / "build.py").write_text(BUILDS + "\n")
    clients_room._packaged.cache_clear()
    clients.cache_clear()
    assert client("mine").missing == "run: ollama-harness install mine"


def test_what_is_known_about_a_program_is_no_source_of_it(programs: Path) -> None:
    run("install", "mine")
    (programs / "known_issues.toml").write_text("")
    with (programs / "clients.toml").open("a") as file:
        file.write("# another comment")
    clients_room._packaged.cache_clear()
    clients.cache_clear()
    assert client("mine").missing is None


def test_a_place_that_is_half_built_is_named_with_the_command_that_builds_it(programs: Path) -> None:
    run("install", "mine")
    place = client("mine").place
    assert place is not None
    (place.path / ".whole").unlink()
    why = f"{place.path} is half built: an install was interrupted, or has not ended yet"
    assert client("mine").missing == f"{why}; run: ollama-harness install mine"
    assert f"not installed, and left out: mine ({why}; ollama-harness install --all)" in installed.left_out()
    assert run("install", "mine").exit_code == 0
    assert client("mine").missing is None


def test_what_was_built_beside_the_sources_is_no_source(programs: Path) -> None:
    def files() -> set[str]:
        [one] = clients_file.read(programs / "clients.toml", of_package=True)
        assert one.place is not None
        return set(one.place.files)

    before = files()
    (programs / "out").mkdir()
    (programs / "out" / "program").write_text("")
    assert files() == before == {"build.py"}


def test_a_build_that_fails_is_exit_code_1_with_its_last_lines(programs: Path) -> None:
    (programs / "build.py").write_text("raise SystemExit('no compiler')")
    done = run("install", "mine")
    assert done.exit_code == 1
    assert "tongue cannot be installed: " in done.output
    assert done.output.endswith("its last lines:\nno compiler\n")


def test_a_wrong_name_and_no_name_are_bad_input() -> None:
    assert isinstance(run("install", "htpx").exception, UnknownName)
    done = run("install")
    assert (done.exit_code, "name the clients to install, or give --all" in done.output) == (2, True)
    assert run("install", "--all", "httpx").exit_code == 2


def test_run_says_in_one_line_what_is_not_installed(programs: Path) -> None:
    names = installed.not_installed()
    assert "mine" in names
    assert "mine" not in installed.runnable()
    assert f"not installed, and left out: {', '.join(names)} (ollama-harness install --all)" in installed.left_out()


def test_all_clients_is_bad_input_while_one_is_not_installed(programs: Path) -> None:
    error = run("run", "--all-clients").exception
    assert isinstance(error, InstallError)
    assert re.search(r"not installed: .*mine.*; run: ollama-harness install --all", str(error))


OPTIONAL = [one for one in installed.of_packages() if one.optional and one.distribution]


@pytest.mark.parametrize("one", OPTIONAL, ids=lambda one: one.name)
def test_each_library_that_the_package_does_not_bring_is_in_a_lock_file(one: Client) -> None:
    found = environment_of(one.distribution)
    assert found is not None
    [locked] = found.files.values()
    assert re.search(rf"^{re.escape(one.distribution)}==\S+ \\\n    --hash=sha256:", locked.read_text(), re.MULTILINE)


@pytest.mark.parametrize("wanted", sorted(ENVIRONMENTS.glob("*.in")), ids=lambda one: one.stem)
def test_every_package_of_a_lock_file_has_a_hash(wanted: Path) -> None:
    pinned = re.split(r"\n(?=\S)", wanted.with_suffix(".txt").read_text())
    packages = [one for one in pinned if not one.startswith("#")]
    assert packages
    assert [one for one in packages if "==" not in one or "--hash=sha256:" not in one] == []


def test_a_library_that_is_not_here_runs_in_the_python_of_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(client("openai"), distribution="openai")
    monkeypatch.setattr("ollama_harness.clients.adapter.version_here", lambda _: None)
    assert one.place is not None
    assert one.python == one.place.python
    assert one.python.startswith(str(one.place.path))


def test_a_process_starts_with_the_settings_of_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    monkeypatch.setattr(_starting.subprocess, "Popen", lambda *_, env, **__: seen.update(env))
    _starting.started(["litellm"], {"HOME": "/home"}, SimulatedMachine())
    assert seen == {"HOME": "/home", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def test_a_version_of_a_library_has_a_place_of_its_own() -> None:
    old, new = client("httpx==0.27.2"), client("httpx==0.28.1")
    assert old.place is not None
    assert new.place is not None
    assert old.place.path != new.place.path
    assert old.missing == "run: ollama-harness install httpx==0.27.2"
    assert old.place.steps[-1][-1] == "httpx==0.27.2"


@pytest.mark.parametrize("name", ["urllib==3", "curl==8", "httpx==", "httpx==-r x"])
def test_only_a_library_can_have_another_version(name: str) -> None:
    with pytest.raises(ClientError):
        client(name)


def test_the_folder_of_places_is_the_option_the_variable_or_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_root", None)
    monkeypatch.delenv(places.VARIABLE, raising=False)
    assert places.root().name == "clients"
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "variable"))
    assert places.root() == tmp_path / "variable"
    places.use_root(tmp_path / "option")
    assert places.root() == tmp_path / "option"


def test_pip_makes_what_uv_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(uv: str | None) -> ClientPlace:
        monkeypatch.setattr(shutil, "which", lambda _: uv)
        return client("httpx==0.27.2").place  # type: ignore[return-value]

    with_uv, without = steps("/bin/uv"), steps(None)
    assert with_uv.path == without.path
    assert [step[0] for step in with_uv.steps] == ["uv", "uv"]
    assert without.steps[0] == (sys.executable, "-m", "venv", "venv")
