"""docs/doctor.md: what the doctor prints for three broken set-ups, each of which is really set up.

python -m pages doctor
"""

from __future__ import annotations

import io
import re

from rich.console import Console

from ollama_harness.cli.reports.diagnosis import render
from ollama_harness.clients.installed import brought
from ollama_harness.doctor.demonstration import demonstrate
from ollama_harness.network.environments import environment
from pages.page import Page

__all__ = ["page", "transcript"]

_INTRODUCTION = """\
# The doctor

`ollama-harness doctor` shows which route each client takes from this machine to Ollama, the setting behind it,
whether a server answers there, and the line that fixes it.

It changes nothing. It sends one `GET /api/version` to each address of the host (for this machine, to 127.0.0.1 and
::1), and the same through a proxy of this machine that clients use to reach it. With `--through-proxy` it sends that
through all proxies that clients would use.

```sh
ollama-harness doctor                                  # the host in OLLAMA_HOST, or 127.0.0.1:11434
ollama-harness doctor --host http://localhost:11434    # another server, or another form of the URL
ollama-harness doctor --through-proxy                  # try the proxies too
ollama-harness doctor --json                           # for tools
ollama-harness doctor --environment issue-9549         # an environment of the matrix, as an example
```

Exit code 0: all clients reach the server. 1: some do not. 3: cannot tell.

The routes are measured. Each client runs in a process of its own with the settings of the machine, and the doctor
refuses its first connection, which shows the route. Then it is asked again with one setting taken away, which shows
the cause, and with each line that may help, which shows whether it does. Clients that cannot be stopped like this
(commands, and libraries with sockets of their own) meet a proxy of the harness in place of each that the settings name.
If they use none, they send one request to the host. `--client NAME` and `--all-clients` ask others than the usual
libraries.

These are three set-ups, each with a real server and a real proxy of the harness (their ports are replaced by the
usual ones). This page is made by `python -m pages doctor`; a test keeps it current.
"""

_SHOWN = {
    "issue-9549": ("A Windows system proxy", "localhost"),
    "gnome-desktop": ("A GNOME desktop with a SOCKS proxy", "localhost"),
    "other-program-on-ipv6": ("Another program on ::1", "localhost"),
}

_WIDTH = 100


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_INTRODUCTION]
    for name, (title, host) in _SHOWN.items():
        parts += [f"## {title}\n", f"```text\n{transcript(name, host)}```\n"]
    return "\n".join(parts)


def transcript(name: str, host: str) -> str:
    """What the doctor prints for an environment, with the usual ports of Ollama and of a proxy."""
    diagnosis = demonstrate(environment(name), brought(), host=host)
    screen = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    screen.print(render(diagnosis), crop=False)
    assert isinstance(screen.file, io.StringIO)
    server = diagnosis.url.rpartition(":")[2]
    proxies = set(re.findall(r"127\.0\.0\.1:(\d+)", str(diagnosis.settings.to_json()))) - {server}
    text = screen.file.getvalue().replace(f":{server}", ":11434")
    for version in {one.version for one in diagnosis.routes}:
        text = text.replace(f" {version}", "")
    for port in proxies:
        text = text.replace(f":{port}", ":7890")
    command = f"$ ollama-harness doctor --environment {name} --host {host}"
    return "\n".join(line.rstrip() for line in [command, *text.splitlines()]) + "\n"


PAGE = Page(name="doctor", make=lambda _: page())
