"""docs/doctor.md: what the doctor says of three set-ups that are broken, each made real for it.

python -m pages doctor
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from rich.console import Console

from ollama_harness.cli.reports.diagnosis import render
from ollama_harness.doctor.demonstration import demonstrate
from ollama_harness.network.environments import environment
from ollama_harness.network.prediction import CLIENTS
from pages.page import Page

__all__ = ["page", "transcript"]

_INTRODUCTION = """\
# The doctor

`ollama-harness doctor` says which way each installed client would go from this machine to Ollama, by which rule of
which library, whether anybody answers there, and the line that fixes it. It changes nothing, and sends nothing but a
`GET /api/version` to each address of the host that it is asked about (for this machine, to 127.0.0.1 and ::1); with
`--through-proxy` the same goes to the proxies that clients would ask. A proxy on
this machine is knocked at: a connection is opened and closed, to see whether it is still there.

```sh
ollama-harness doctor                                  # what OLLAMA_HOST says, or 127.0.0.1:11434
ollama-harness doctor --host http://localhost:11434    # another server, or another form of the URL
ollama-harness doctor --through-proxy                  # ask the proxies too
ollama-harness doctor --json                           # for tools
ollama-harness doctor --environment issue-9549         # see what it says of a set-up of the matrix
```

Exit code 0: all clients reach the server. 1: some do not. 3: nobody can tell.

What it says of each client is not guessed: `ollama-harness run --environments` holds it against which way the client
really went, in every environment of the matrix, and any difference is red.

Three set-ups, each made real with a server and a proxy of the harness (the ports are put in place of the real ones).
This page is made by `python -m pages doctor`; a test keeps it current.
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


def transcript(name: str, host: str, clients: Mapping[str, str] = dict.fromkeys(CLIENTS, "")) -> str:
    """What the doctor says of an environment, with the ports of Ollama and of a usual proxy."""
    diagnosis = demonstrate(environment(name), clients=clients, host=host)
    screen = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    screen.print(render(diagnosis), crop=False)
    assert isinstance(screen.file, io.StringIO)
    server = diagnosis.url.rpartition(":")[2]
    proxies = {
        one.prediction.proxy.rpartition(":")[2].rstrip("/") for one in diagnosis.prognoses if one.prediction.proxy
    }
    proxies |= set(re.findall(r"127\.0\.0\.1:(\d+)", str(diagnosis.settings.to_json()))) - {server}
    text = screen.file.getvalue().replace(f":{server}", ":11434")
    for port in proxies:
        text = text.replace(f":{port}", ":7890")
    command = f"$ ollama-harness doctor --environment {name} --host {host}"
    return "\n".join(line.rstrip() for line in [command, *text.splitlines()]) + "\n"


PAGE = Page(name="doctor", make=lambda _: page())
