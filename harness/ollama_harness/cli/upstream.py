"""A real Ollama behind `serve`, as options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from ollama_harness.faults.live import Strikes
from ollama_harness.recordings.records import STREAMS
from ollama_harness.server.fake_ollama import FakeOllama, upstream_target
from ollama_harness.server.programme import Forwarded

__all__ = ["about_upstream", "check_upstream", "upstream_options"]


def _url(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else f"http://{upstream_target(text)}"
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


_OPTIONS = (
    click.option(
        "--upstream",
        callback=_url,
        metavar="URL",
        help="A real Ollama: it answers what no rule does, and faults strike its answers while they come.",
    ),
    click.option(
        "--misses-only", is_flag=True, help="Ask the --upstream only where no recording has the same request."
    ),
    click.option(
        "--record-to",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Keep what the --upstream answers as recordings in this folder, without secrets.",
    ),
    click.option(
        "--once", is_flag=True, help="Ask the --upstream only once: the next time, what is in --record-to answers."
    ),
)


def upstream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for an Ollama behind the server."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_upstream(upstream: str | None, *, misses_only: bool, record_to: Path | None, once: bool) -> None:
    """Refuse options that cannot have an effect together.

    Raises: click.UsageError.
    """
    if upstream is None:
        for option, given in (("--misses-only", misses_only), ("--record-to", record_to), ("--once", once)):
            if given:
                raise click.UsageError(f"{option}: there is no Ollama behind the server; give --upstream URL, too")
    if once and record_to is None:
        raise click.UsageError("--once: nothing keeps the answers; give --record-to DIR, too")


def about_upstream(server: FakeOllama, record_to: Path | None, *, once: bool) -> Iterable[str]:
    """What the first lines say of the Ollama behind the server, and of faults that keep its answers back."""
    real = server.real_ollama
    if real is None:
        return
    what = "what no recording answers" if real.misses_only else "what no rule answers"
    kept = "" if record_to is None else f", and keeps it in {record_to}{' for the next time' if once else ''}"
    yield f"upstream: {real.url} answers {what}{kept}"
    every, rules = server.faults, server.programme.rules
    may_forward = (rule.faults for rule in rules if rule.faults and isinstance(rule.answer, Forwarded | None))
    for faults in (every, *((*every, *own) for own in may_forward)):
        for kind in STREAMS:
            if Strikes.WHOLE in real.strikes(faults, kind):
                yield f"  {', '.join(map(str, faults))}: {kind} is kept back until it is whole"
