"""docs/doctor.md: what the doctor prints for three broken set-ups, each of which is really set up.

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

`ollama-harness doctor` shows which route each installed client takes from this machine to Ollama, the rule of the
library behind it, whether a server answers there, and the line that fixes it.

It changes nothing. It sends one `GET /api/version` to each address of the host (for this machine, to 127.0.0.1 and
::1). With `--through-proxy` it sends the same through the proxies that clients would use. It opens and closes a
connection to a proxy on this machine, to see whether the proxy still runs. It sends nothing else.

```sh
ollama-harness doctor                                  # the host in OLLAMA_HOST, or 127.0.0.1:11434
ollama-harness doctor --host http://localhost:11434    # another server, or another form of the URL
ollama-harness doctor --through-proxy                  # try the proxies too
ollama-harness doctor --json                           # for tools
ollama-harness doctor --environment issue-9549         # an environment of the matrix, as an example
```

Exit code 0: all clients reach the server. 1: some do not. 3: cannot tell.

The routes are not guessed. `ollama-harness run --environments` compares them with the route that each client really
took, in every environment of the matrix, and any difference is red.

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


def transcript(name: str, host: str, clients: Mapping[str, str] = dict.fromkeys(CLIENTS, "")) -> str:
    """What the doctor prints for an environment, with the usual ports of Ollama and of a proxy."""
    diagnosis = demonstrate(environment(name), clients=clients, host=host)
    screen = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    screen.print(render(diagnosis), crop=False)
    assert isinstance(screen.file, io.StringIO)
    server = diagnosis.url.rpartition(":")[2]
    proxies = {
        one.prediction.proxy.rpartition(":")[2].rstrip("/") for one in diagnosis.forecasts if one.prediction.proxy
    }
    proxies |= set(re.findall(r"127\.0\.0\.1:(\d+)", str(diagnosis.settings.to_json()))) - {server}
    text = screen.file.getvalue().replace(f":{server}", ":11434")
    for port in proxies:
        text = text.replace(f":{port}", ":7890")
    command = f"$ ollama-harness doctor --environment {name} --host {host}"
    return "\n".join(line.rstrip() for line in [command, *text.splitlines()]) + "\n"


PAGE = Page(name="doctor", make=lambda _: page())
