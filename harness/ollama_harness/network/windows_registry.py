r"""Changes the proxy settings of this machine's user for a while, and restores them, whatever happens.

The settings affect every program of the user, so losing them would do harm. `RegistryKeeper.changed` takes a lock that
all processes share, saves the old values to a file, and only then changes the registry. At its end it writes the old
values back, and then deletes the file. If the process is killed in between, the file stays: `left_behind` finds it at
the next start of any command, and `restore` writes the values back. The system frees the lock when its process dies, so
a lock that is held means that a run still needs its settings. Values are saved with their types and written back as
they were, even types that do not belong there.

No program is notified. Programs that read the registry see the change, but a browser that is already running may not.
The code that does not need Windows works on a `RegistryKey`, so it is tested on every system.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from ollama_harness.errors import RegistryError
from ollama_harness.files.writing import write_whole
from ollama_harness.network.settings import Registry

__all__ = ["RegistryKeeper", "RegistryKey", "RegistryValue", "changed", "left_behind", "may_touch", "read", "restore"]

INTERNET_SETTINGS = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"

# Types of values, as in winnt.h. The module winreg exists on Windows only.
REG_SZ = 1
REG_DWORD = 4

#: How long to wait for another run. It is longer than the cells of any environment need.
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryValue:
    """A value of the registry: its type, and its data as `winreg` returns it."""

    type: int
    data: int | str | bytes | list[str] | None


#: The values of a key by the names that matter here; None is a value that is absent.
RegistryValues = Mapping[str, RegistryValue | None]


class RegistryKey(Protocol):
    """The operations on a registry key. They raise OSError."""

    def get(self, name: str) -> RegistryValue | None: ...

    def set(self, name: str, value: RegistryValue | None) -> None:
        """Write a value, or delete it."""

    def flush(self) -> None:
        """Return once everything is on disk."""


# The settings, as Windows' own dialogue writes them.


def values_of(registry: Registry) -> dict[str, RegistryValue | None]:
    """The values that hold these settings."""
    enable = registry.enable
    texts = {"ProxyServer": registry.server, "ProxyOverride": registry.override, "AutoConfigURL": registry.pac_url}
    return {
        "ProxyEnable": None if enable is None else RegistryValue(type=_type_of(enable), data=enable),
        **{name: None if text is None else RegistryValue(type=REG_SZ, data=text) for name, text in texts.items()},
    }


def registry_of(values: RegistryValues) -> Registry:
    """The settings that values hold. Data of a wrong type becomes text, as in urllib."""
    enable = values["ProxyEnable"]
    data = enable and enable.data
    return Registry(
        enable=data if data is None or isinstance(data, int | str) else str(data),
        server=_text(values["ProxyServer"]),
        override=_text(values["ProxyOverride"]),
        pac_url=_text(values["AutoConfigURL"]),
    )


def _type_of(enable: int | str) -> int:
    return REG_SZ if isinstance(enable, str) else REG_DWORD


def _text(value: RegistryValue | None) -> str | None:
    return None if value is None else str(value.data)


NAMES = tuple(values_of(Registry()))


# The saved values, on disk.


def dump(values: RegistryValues) -> str:
    """Values as JSON, with their types; bytes as hexadecimal digits."""

    def plain(value: RegistryValue) -> dict[str, Any]:
        if isinstance(value.data, bytes):
            return {"type": value.type, "hex": value.data.hex()}
        return asdict(value)

    return json.dumps({name: value and plain(value) for name, value in values.items()}, indent=2)


def parse(text: str) -> dict[str, RegistryValue | None]:
    """The values that `dump` wrote.

    Raises: ValueError, KeyError, TypeError, AttributeError or RecursionError for anything else.
    """

    def value(plain: Mapping[str, Any]) -> RegistryValue:
        data = bytes.fromhex(plain["hex"]) if "hex" in plain else plain["data"]
        texts = data if isinstance(data, list) else []
        if not isinstance(data, int | str | bytes | list | None) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"{data!r} is not a value of the registry")
        return RegistryValue(type=int(plain["type"]), data=data)

    saved = json.loads(text)
    return {name: None if saved[name] is None else value(saved[name]) for name in NAMES}


class RegistryKeeper:
    """Changes a key and restores it. The old values are saved in `directory`."""

    def __init__(self, key: RegistryKey, directory: Path) -> None:
        self._key = key
        self._saved = directory / "proxy-settings.json"
        self._lock = directory / "proxy-settings.lock"

    def read(self) -> Registry:
        """The settings as they are now."""
        return registry_of(self._values())

    @contextlib.contextmanager
    def changed(self, registry: Registry, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """Have these settings inside the `with` block. One process at a time can do so.

        Raises: RegistryError, if another run uses the key for longer than `patience_s`, or the key or the directory
        cannot be written.
        """
        with self._alone(patience_s):
            self._restore_saved()  # otherwise the settings of a crashed run would be saved as the user's own
            before = self._values()
            self._save(before)
            try:
                self._write(values_of(registry))
                yield
            finally:
                self._put_back(before)

    def left_behind(self) -> Registry | None:
        """The settings that a crashed run should have restored. None if there are none, or if that run is still alive.

        Raises: RegistryError, if the saved file cannot be used.
        """
        if not self._saved.exists():
            return None
        with self._locked(0.3) as alone:  # Windows may take a moment to free a dead run's lock
            saved = self._load() if alone else None
            return None if saved is None else registry_of(saved)

    def restore(self) -> None:
        """Restore the settings that a crashed run left behind, if there are any."""
        with self._alone(PATIENCE_S):
            self._restore_saved()

    def _restore_saved(self) -> None:
        if (saved := self._load()) is not None:
            self._put_back(saved)

    def _values(self) -> dict[str, RegistryValue | None]:
        try:
            return {name: self._key.get(name) for name in NAMES}
        except OSError as error:
            raise RegistryError(f"the user's proxy settings cannot be read: {error}") from None

    def _write(self, values: RegistryValues) -> None:
        try:
            for name, value in values.items():
                self._key.set(name, value)
            self._key.flush()
        except OSError as error:
            fix = f"the old values are in {self._saved}, and the next start tries again to restore them"
            raise RegistryError(f"the user's proxy settings cannot be written: {error}; {fix}") from None

    def _put_back(self, values: RegistryValues) -> None:
        self._write(values)
        try:
            self._saved.unlink(missing_ok=True)
        except OSError as error:
            raise RegistryError(f"the settings are restored, but {self._saved} cannot be deleted: {error}") from None

    def _save(self, values: RegistryValues) -> None:
        write_whole(self._saved, dump(values), RegistryError, fix="nothing was changed; make room there")

    def _load(self) -> dict[str, RegistryValue | None] | None:
        try:
            return parse(self._saved.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            fix = "check the proxy in Windows' settings, then delete the file"
            raise RegistryError(
                f"{self._saved}, saved by a run that crashed, cannot be used ({error}); {fix}"
            ) from None

    @contextlib.contextmanager
    def _alone(self, patience_s: float) -> Iterator[None]:
        with self._locked(patience_s) as alone:
            if not alone:
                raise RegistryError(f"another run uses the proxy settings ({self._lock}); wait until it has ended")
            yield

    @contextlib.contextmanager
    def _locked(self, patience_s: float) -> Iterator[bool]:
        """Take the lock; yields whether that worked. The system frees it when its process dies."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            file = self._lock.open("ab")
        except OSError as error:
            raise RegistryError(f"{self._lock} cannot be written: {error}") from None
        with file:  # closing it unlocks it
            give_up_at = time.monotonic() + patience_s
            while not (alone := _try_to_lock(file)) and time.monotonic() < give_up_at:
                time.sleep(0.05)
            yield alone


# The registry of this machine.

if sys.platform == "win32":
    import msvcrt
    import winreg

    class WindowsKey:
        """A key of the current user. It is created if it does not exist."""

        def __init__(self, path: str = INTERNET_SETTINGS) -> None:
            self._key = winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, path, access=winreg.KEY_READ | winreg.KEY_WRITE)

        def get(self, name: str) -> RegistryValue | None:
            try:
                data, type_ = winreg.QueryValueEx(self._key, name)
            except FileNotFoundError:
                return None
            return RegistryValue(type=type_, data=data)

        def set(self, name: str, value: RegistryValue | None) -> None:
            if value is not None:
                winreg.SetValueEx(self._key, name, 0, value.type, value.data)
                return
            with contextlib.suppress(FileNotFoundError):
                winreg.DeleteValue(self._key, name)

        def flush(self) -> None:
            winreg.FlushKey(self._key)

    def _try_to_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    @functools.cache
    def _here() -> RegistryKeeper:
        local = os.environ.get("LOCALAPPDATA")
        directory = Path(local) if local else Path.home() / "AppData" / "Local"
        try:
            return RegistryKeeper(WindowsKey(), directory / "ollama-harness")
        except OSError as error:
            raise RegistryError(f"the user's proxy settings cannot be opened: {error}") from None

else:
    import fcntl

    def _try_to_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _here() -> RegistryKeeper:
        raise RegistryError("this system has no registry; only Windows has proxy settings there")


def changed(registry: Registry) -> contextlib.AbstractContextManager[None]:
    """Have these proxy settings inside a `with` block. One process at a time can do so.

    Raises: RegistryError, if another run uses them, they cannot be written, or this is not Windows.
    """
    return _here().changed(registry)


def read() -> Registry:
    """The user's proxy settings as they are now.

    Raises: RegistryError, if they cannot be read, or this is not Windows.
    """
    return _here().read()


def left_behind() -> Registry | None:
    """The settings before a run that crashed, if they have not been restored since."""
    return _here().left_behind() if sys.platform == "win32" else None


def restore() -> None:
    """Restore the settings that `left_behind` returns.

    Raises: RegistryError, if that fails.
    """
    if sys.platform == "win32":
        _here().restore()


def may_touch(*, asked: bool) -> bool:
    """Whether the user's settings may be changed: with --touch-registry, or if the machine is marked disposable."""
    return asked or os.environ.get("CI") == "true" or os.environ.get("OLLAMA_HARNESS_DISPOSABLE") == "1"
