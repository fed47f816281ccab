"""The user's proxy settings come back: after success, an exception, a killed process; with their types, or absent."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_harness.errors import RegistryError
from ollama_harness.network import windows_registry
from ollama_harness.network.settings import Registry
from ollama_harness.network.windows_registry import (
    NAMES,
    REG_DWORD,
    REG_SZ,
    RegistryKeeper,
    RegistryKey,
    RegistryValue,
    dump,
    parse,
    registry_of,
    values_of,
)

pytestmark = pytest.mark.same_on_each_python

REG_EXPAND_SZ, REG_BINARY, REG_MULTI_SZ = 2, 3, 7

PROXY = Registry(enable=1, server="127.0.0.1:9", override="localhost;127.*;<local>", pac_url=None)

#: What users really have, and what some programs leave there.
BEFORE = {
    "nothing": dict.fromkeys(NAMES),
    "a proxy switched off": values_of(Registry(enable=0, server="proxy.example:3128", override="<local>")),
    "odd types": {
        "ProxyEnable": RegistryValue(type=REG_SZ, data="1"),
        "ProxyServer": RegistryValue(type=REG_EXPAND_SZ, data="%COMPUTERNAME%:8080"),
        "ProxyOverride": RegistryValue(type=REG_MULTI_SZ, data=["localhost", "127.*"]),
        "AutoConfigURL": RegistryValue(type=REG_BINARY, data=b"\x00\xff"),
    },
}


class FileKey:
    """A key that lies in a file, so that another process can be killed while it changes it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def get(self, name: str) -> RegistryValue | None:
        return self._all()[name]

    def set(self, name: str, value: RegistryValue | None) -> None:
        self._path.write_text(dump({**self._all(), name: value}), encoding="utf-8")

    def flush(self) -> None:
        pass

    def _all(self) -> dict[str, RegistryValue | None]:
        return parse(self._path.read_text("utf-8")) if self._path.exists() else dict.fromkeys(NAMES)


class StubbornKey(FileKey):
    """One that cannot be written."""

    def set(self, name: str, value: RegistryValue | None) -> None:
        raise PermissionError(13, "Permission denied")


def the_key(kind: str, where: str) -> RegistryKey:
    if sys.platform == "win32" and kind == "registry":
        return windows_registry.WindowsKey(where)
    return FileKey(where)


@pytest.fixture(params=["file", "registry"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The kind of a key and where it lies: a file, and on Windows a key of the test's own in the real registry."""
    if request.param == "file":
        yield "file", str(tmp_path / "key.json")
        return
    if sys.platform != "win32" or not windows_registry.may_touch(asked=False):
        pytest.skip("there is no registry that may be touched")
    import winreg

    path = rf"Software\ollama-harness-tests\{uuid.uuid4()}"
    yield "registry", path
    with contextlib.suppress(FileNotFoundError):
        winreg.DeleteKey(winreg.HKEY_CURRENT_USER, path)


@pytest.fixture(params=list(BEFORE.values()), ids=list(BEFORE))
def key(request: pytest.FixtureRequest, place: tuple[str, str]) -> RegistryKey:
    """A key that holds what a user may have."""
    key = the_key(*place)
    for name, value in request.param.items():
        key.set(name, value)
    return key


@pytest.fixture
def keeper(key: RegistryKey, tmp_path: Path) -> RegistryKeeper:
    return RegistryKeeper(key, tmp_path / "state")


def content(key: RegistryKey) -> dict[str, RegistryValue | None]:
    return {name: key.get(name) for name in NAMES}


def test_settings_are_changed_meanwhile_and_restored_with_their_types(key: RegistryKey, keeper: RegistryKeeper) -> None:
    before, said = content(key), keeper.read()
    with keeper.changed(PROXY):
        assert keeper.read() == PROXY
        assert content(key) == values_of(PROXY)
        assert keeper.left_behind() is None
    assert content(key) == before
    assert keeper.read() == said
    assert keeper.left_behind() is None


def test_they_come_back_after_an_exception(key: RegistryKey, keeper: RegistryKeeper) -> None:
    before = content(key)
    with pytest.raises(KeyboardInterrupt), keeper.changed(PROXY):
        raise KeyboardInterrupt
    assert content(key) == before
    assert keeper.left_behind() is None


def test_one_change_follows_another(key: RegistryKey, keeper: RegistryKeeper) -> None:
    before = content(key)
    for registry in (
        PROXY,
        Registry(),
        Registry(enable="1", server="http=[::1]:9;https=h:1", pac_url="http://h/p.pac"),
    ):
        with keeper.changed(registry):
            assert keeper.read() == registry
    assert content(key) == before


CHANGES_AND = """
import os, pathlib, sys
sys.path.insert(0, {tests!r})
from ollama_harness.network.settings import Registry
from ollama_harness.network.windows_registry import RegistryKeeper
from {module} import {kind}
with RegistryKeeper({kind}({where!r}), pathlib.Path({state!r})).changed({registry!r}):
    print("changed", flush=True)
    {and_then}
"""
#: Who makes a key of this kind; only what is needed is imported, as processes are slow to start.
MAKERS = {
    "file": ("test_windows_registry", "FileKey"),
    "registry": ("ollama_harness.network.windows_registry", "WindowsKey"),
}
WAITS = "sys.stdin.read()"

from_odd_types = pytest.mark.parametrize("key", [BEFORE["odd types"]], ids=["odd types"], indirect=True)


def change_and(and_then: str, place: tuple[str, str], state: Path) -> subprocess.Popen[str]:
    """Another process, once it has changed the key."""
    module, kind = MAKERS[place[0]]
    code = CHANGES_AND.format(
        tests=str(Path(__file__).parent),
        module=module,
        kind=kind,
        where=place[1],
        state=str(state),
        registry=PROXY,
        and_then=and_then,
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "harness")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "changed"
    return process


@from_odd_types
@pytest.mark.parametrize(
    ("and_then", "end"),
    [(WAITS, subprocess.Popen.kill), ("os._exit(1)", subprocess.Popen.wait)],
    ids=["killed", "gone without a word"],
)
def test_settings_of_a_dead_process_are_restored(
    and_then: str,
    end: Callable[[subprocess.Popen[str]], object],
    key: RegistryKey,
    keeper: RegistryKeeper,
    place: tuple[str, str],
    tmp_path: Path,
) -> None:
    before, said = content(key), keeper.read()
    with change_and(and_then, place, tmp_path / "state") as process:
        end(process)
    assert keeper.read() == PROXY
    assert keeper.left_behind() == said
    keeper.restore()
    assert content(key) == before
    assert keeper.left_behind() is None
    keeper.restore()  # nothing is left to do
    assert content(key) == before


@from_odd_types
def test_the_next_change_restores_first(
    key: RegistryKey, keeper: RegistryKeeper, place: tuple[str, str], tmp_path: Path
) -> None:
    before = content(key)
    with change_and("os._exit(1)", place, tmp_path / "state"):
        pass
    with keeper.changed(Registry(enable=0)):
        assert keeper.read() == Registry(enable=0)
    assert content(key) == before


@from_odd_types
def test_a_living_process_locks_others_out_and_has_left_nothing_behind(
    key: RegistryKey, keeper: RegistryKeeper, place: tuple[str, str], tmp_path: Path
) -> None:
    before = content(key)
    with change_and(WAITS, place, tmp_path / "state") as process:
        assert keeper.left_behind() is None
        with pytest.raises(RegistryError, match="another run uses"), keeper.changed(Registry(), patience_s=0.1):
            pass
        assert keeper.read() == PROXY
        process.communicate("")
    assert process.returncode == 0
    assert content(key) == before


def test_threads_take_turns(tmp_path: Path) -> None:
    keeper = RegistryKeeper(FileKey(str(tmp_path / "key.json")), tmp_path / "state")
    seen: list[bool] = []

    def change(number: int) -> None:
        with keeper.changed(Registry(server=f"127.0.0.1:{number}")):
            seen.append(keeper.read() == Registry(server=f"127.0.0.1:{number}"))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [True] * 8
    assert keeper.read() == Registry()


def test_nothing_is_changed_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where a directory should be")
    keeper = RegistryKeeper(FileKey(str(tmp_path / "key.json")), tmp_path / "state")
    with pytest.raises(RegistryError, match="cannot be written"), keeper.changed(PROXY):
        pytest.fail("entered")
    assert keeper.read() == Registry()


def test_what_cannot_be_put_back_is_named_and_kept(tmp_path: Path) -> None:
    keeper = RegistryKeeper(StubbornKey(str(tmp_path / "key.json")), tmp_path / "state")
    with pytest.raises(RegistryError, match=r"proxy-settings\.json"), keeper.changed(PROXY):
        pytest.fail("entered")
    assert keeper.left_behind() == Registry()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ProxyEnable": 1}', '{"ProxyEnable": {"type": 4}}', "\N{SNOWMAN}"])
def test_a_file_that_cannot_be_used_is_never_written_over(text: str, tmp_path: Path) -> None:
    keeper = RegistryKeeper(FileKey(str(tmp_path / "key.json")), tmp_path / "state")
    saved = tmp_path / "state" / "proxy-settings.json"
    saved.parent.mkdir()
    saved.write_text(text, encoding="utf-8")
    for use in (keeper.left_behind, keeper.restore, keeper.changed(PROXY).__enter__):
        with pytest.raises(RegistryError, match="delete the file"):
            use()
    assert saved.read_text("utf-8") == text
    assert keeper.read() == Registry()


registries = st.builds(
    Registry,
    enable=st.none() | st.integers(0, 2**32 - 1) | st.text(),
    server=st.none() | st.text(),
    override=st.none() | st.text(),
    pac_url=st.none() | st.text(),
)
datas = (
    st.integers(0, 2**64 - 1).map(lambda data: RegistryValue(type=11, data=data))
    | st.text().map(lambda data: RegistryValue(type=REG_EXPAND_SZ, data=data))
    | st.lists(st.text()).map(lambda data: RegistryValue(type=REG_MULTI_SZ, data=data))
    | (st.none() | st.binary()).map(lambda data: RegistryValue(type=REG_BINARY, data=data))
)


@given(registries)
def test_values_and_settings_are_the_same(registry: Registry) -> None:
    assert registry_of(values_of(registry)) == registry


@given(st.fixed_dictionaries({name: st.none() | datas for name in NAMES}))
def test_what_is_kept_is_read_back_as_it_was(values: dict[str, RegistryValue | None]) -> None:
    assert parse(dump(values)) == values
    assert dump(values).isascii()  # half a surrogate pair, which the registry allows, is no UTF-8


def test_the_kept_file_can_be_read_by_people() -> None:
    assert json.loads(dump(values_of(Registry(enable="1", server="h:1")))) == {
        "ProxyEnable": {"type": REG_SZ, "data": "1"},
        "ProxyServer": {"type": REG_SZ, "data": "h:1"},
        "ProxyOverride": None,
        "AutoConfigURL": None,
    }


def test_a_number_is_a_dword_and_a_text_is_a_string() -> None:
    assert values_of(Registry(enable=1))["ProxyEnable"] == RegistryValue(type=REG_DWORD, data=1)
    assert values_of(Registry(enable="0"))["ProxyEnable"] == RegistryValue(type=REG_SZ, data="0")


@pytest.mark.parametrize(
    ("asked", "variables", "may"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"CI": "true"}, True),
        (False, {"CI": "false"}, False),
        (False, {"OLLAMA_HARNESS_DISPOSABLE": "1"}, True),
        (False, {"OLLAMA_HARNESS_DISPOSABLE": "0"}, False),
    ],
)
def test_the_registry_is_touched_with_the_option_or_on_a_disposable_machine(
    asked: bool, variables: dict[str, str], may: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "OLLAMA_HARNESS_DISPOSABLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert windows_registry.may_touch(asked=asked) is may


def test_the_users_own_settings_are_what_urllib_sees() -> None:
    if sys.platform != "win32" or not windows_registry.may_touch(asked=False):
        pytest.skip("there is no registry that may be touched")
    harmless = Registry(enable=1, server="ftp=127.0.0.1:9", override="<local>")  # to HTTP, which other tests speak
    with windows_registry.changed(harmless):
        assert windows_registry.read() == harmless
        assert urllib.request.getproxies_registry().keys() == {"ftp"}
        assert urllib.request.proxy_bypass_registry("localhost")
        assert not urllib.request.proxy_bypass_registry("127.0.0.1")
    assert windows_registry.left_behind() is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a registry")
def test_elsewhere_there_is_nothing_to_change_and_nothing_left_behind() -> None:
    assert windows_registry.left_behind() is None
    windows_registry.restore()
    with pytest.raises(RegistryError, match="no registry"):
        windows_registry.read()
    with pytest.raises(RegistryError, match="no registry"), windows_registry.changed(PROXY):
        pytest.fail("entered")
