"""Simulated machines: the libraries' own code for Windows and macOS runs on any system, in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ollama_harness.network.environments import clean_environment
from ollama_harness.network.settings import Mac, Registry, Settings, System
from ollama_harness.network.simulation import SimulatedMachine

EXCLUDED = Registry(enable=1, server="127.0.0.1:7890", override="localhost;127.*;<local>")


def run(tmp_path: Path, machine: SimulatedMachine, code: str, **variables: str) -> Any:
    """The value of an expression in a process that simulates a machine, as JSON."""
    lines = [
        "import json, sys",
        "from ollama_harness.network.patched_sockets import tried",
        "from ollama_harness.network.simulation import SimulatedMachine, install, patch_imported",
        "machine = SimulatedMachine.from_json(json.loads(sys.argv[1]))",
        "install(machine)",
        "import os, socket, urllib.request, requests, requests.utils",
        "patch_imported('requests', machine)",
        f"print(json.dumps({code}))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), json.dumps(machine.to_json())],
        env=clean_environment(tmp_path, variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def windows(registry: Registry, **variables: str) -> SimulatedMachine:
    return SimulatedMachine(settings=Settings(system=System.WINDOWS, registry=registry, variables=variables))


def test_machines_survive_the_command_line() -> None:
    mac = Mac(http="127.0.0.1:1", exceptions=("*.local", "169.254/16"))
    machine = SimulatedMachine(
        settings=Settings(system=System.MACOS, mac=mac, variables={"NO_PROXY": "bücher"}),
        names={"localhost": ["::1"]},
        ports={11434: 5},
        later={"HTTP_PROXY": "http://x"},
    )
    assert SimulatedMachine.from_json(json.loads(json.dumps(machine.to_json()))) == machine
    assert SimulatedMachine.from_json(json.loads(json.dumps(SimulatedMachine().to_json()))) == SimulatedMachine(
        names={"localhost": ["127.0.0.1", "::1"]}
    )


def test_windows_code_reads_the_simulated_registry(tmp_path: Path) -> None:
    code = (
        "[urllib.request.getproxies().get('http'), bool(urllib.request.proxy_bypass('localhost')),"
        " requests.utils.should_bypass_proxies('http://127.0.0.1:1/', None),"
        " requests.utils.should_bypass_proxies('http://example.com/', None), os.name, sys.platform]"
    )
    got = run(tmp_path, windows(EXCLUDED), code)
    assert got[:4] == ["http://127.0.0.1:7890", True, True, False]
    assert got[4:] == [*((["nt", "win32"]) if sys.platform == "win32" else ["posix", sys.platform])], "changed back"


def test_an_absent_value_is_absent(tmp_path: Path) -> None:
    assert run(tmp_path, windows(Registry()), "urllib.request.getproxies()") == {}
    on = Registry(enable=1, server="127.0.0.1:7890")
    assert run(tmp_path, windows(on), "bool(urllib.request.proxy_bypass('localhost'))") is False


def test_on_windows_case_of_variables_does_not_matter(tmp_path: Path) -> None:
    machine = windows(EXCLUDED, no_proxy="example.com")
    code = "[os.environ['NO_PROXY'], os.environ.get('no_proxy'), urllib.request.getproxies()]"
    assert run(tmp_path, machine, code, no_proxy="example.com") == ["example.com"] * 2 + [{"no": "example.com"}]


@pytest.mark.skipif(sys.platform == "win32", reason="the real registry answers on Windows")
def test_an_unknown_key_of_the_registry_is_an_error(tmp_path: Path) -> None:
    code = "__import__('winreg').OpenKey(__import__('winreg').HKEY_CURRENT_USER, r'Software\\\\Elsewhere')"
    with pytest.raises(AssertionError, match="the simulated registry has no key"):
        run(tmp_path, windows(EXCLUDED), code)


def test_macos_code_reads_the_simulated_settings(tmp_path: Path) -> None:
    mac = Mac(http="127.0.0.1:7890", exceptions=("localhost", "127/8"), exclude_simple=False)
    machine = SimulatedMachine(settings=Settings(system=System.MACOS, mac=mac))
    hosts = ("localhost", "127.0.0.1", "example.com")
    code = f"[urllib.request.getproxies(), *(bool(urllib.request.proxy_bypass(host)) for host in {hosts})]"
    got = run(tmp_path, machine, code)
    assert got == [{"http": "http://127.0.0.1:7890"}, True, True, False]


def test_names_are_looked_up_only_in_the_table(tmp_path: Path) -> None:
    machine = SimulatedMachine(names={"localhost": ("::1", "127.0.0.1"), "ollama.test": ("127.0.0.1",)})
    code = (
        "[[a[4][0] for a in socket.getaddrinfo(h, 1, type=socket.SOCK_STREAM)] for h in ('localhost', 'ollama.test')]"
    )
    assert run(tmp_path, machine, code) == [["::1", "127.0.0.1"], ["127.0.0.1"]]
    assert run(tmp_path, machine, "socket.gethostbyname('localhost')") == "127.0.0.1"
    with pytest.raises(AssertionError, match=r"example\.com has no address"):
        run(tmp_path, machine, "socket.getaddrinfo('example.com', 80)")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "example.com"])
def test_no_connection_leaves_this_machine(tmp_path: Path, address: str) -> None:
    family = "AF_INET6" if ":" in address else "AF_INET"
    with pytest.raises(AssertionError, match="allows no connection to"):
        run(tmp_path, SimulatedMachine(), f"socket.socket(socket.{family}).connect(('{address}', 80))")


def test_a_port_leads_to_another_and_the_attempt_is_noted(tmp_path: Path) -> None:
    code = (
        "[listener.bind(('127.0.0.1', 0)), listener.listen(), machine.ports.update({11434: listener.getsockname()[1]})]"
    )
    code = f"[(listener := socket.socket()), {code[1:-1]}, socket.create_connection(('127.0.0.1', 11434)), tried][-1]"
    assert run(tmp_path, SimulatedMachine(), code) == [["127.0.0.1", 11434]]


#: What Python does on Windows, which has no pairs of sockets; and an event loop, which is made with such a pair.
PAIR_OF_SOCKETS = """
import asyncio, socket
from ollama_harness.network.patched_sockets import Reach, install, tried

def socketpair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]

socket.socketpair = socketpair
install(None, Reach.NOTHING, {})
asyncio.new_event_loop().close()
print(tried)
"""


def test_an_event_loop_can_be_made_where_nothing_can_be_reached(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAIR_OF_SOCKETS],
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
