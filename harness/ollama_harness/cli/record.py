"""`ollama-harness record`: recordings of a live Ollama."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from ollama_harness import recorder
from ollama_harness.cli.output import echo
from ollama_harness.cli.tables import progress_bar
from ollama_harness.recorder import (
    TIMEOUT_S,
    Failure,
    Plan,
    Probe,
    Progress,
    RecordedSession,
    default_probes,
    load_probes,
)
from ollama_harness.recorder.touching import full_name, touches
from ollama_harness.recordings.recording import Request
from ollama_harness.recordings.secrets import redact_request

__all__ = ["chosen_model", "record", "record_with_progress"]

#: How much of a body --dry-run shows.
_SHOWN_CHARS = 160


class _Seconds(click.FloatRange):
    """A number of seconds above 0. A FloatRange would accept `nan` and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number of seconds; give one above 0", param, ctx)
        return number


@click.command(
    help="""
    Record a live Ollama. Sends it requests (the probes), and keeps every frame of the answers with its time. Each probe
    gives one recording in OUT/VERSION/.

    The model that you name is loaded and unloaded. No model of the server is pulled, overwritten, deleted or pushed:
    a probe that would do that to your model is left out, and one that would do it to another model is an error.
    --may-change MODEL allows it. For example, --model NAME --may-change NAME also sends the probes that pull NAME,
    which replaces your model with the one in the registry. The probes create models called ollama-harness-probe, and
    delete them.

    Secrets are blanked before anything is written.

    Exit code 0: everything was recorded. 1: some probes gave no recording. 2: nothing was recorded. 130: interrupted.
    """,
    epilog="Example: ollama-harness record --host http://nas:11434 --model phi4 --out rec",
)
@click.option("--host", required=True, metavar="URL", help="The server to record: http://127.0.0.1:11434.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder in which VERSION/ is created or extended.",
)
@click.option(
    "--probes",
    "probe_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Send the probes in this TOML file instead.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="The model to use. The server must have it. If you leave it out, you are asked for it.",
)
@click.option(
    "--session",
    metavar="NAME",
    help="Write to OUT/NAME/VERSION/. Use it for a second recording: --session again.",
)
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Send only these probes; '!chat-*' leaves some out (repeatable)."
)
@click.option(
    "--may-change",
    multiple=True,
    metavar="MODEL",
    help="Let probes pull, overwrite, delete or push this model (repeatable).",
)
@click.option("--dry-run", is_flag=True, help="List the requests and what they would change; send none of them.")
@click.option(
    "--timeout",
    "timeout_s",
    type=_Seconds(min=0, min_open=True),
    default=TIMEOUT_S,
    show_default=True,
    help="Give up on an answer after so many seconds of silence.",
)
@click.option("--redact-home", is_flag=True, help="Blank user names in paths: /home/NAME.")
@click.option("--redact-host", is_flag=True, help="Blank the name of this machine and of the host.")
def record(
    *,
    host: str,
    out: Path,
    probe_file: Path | None,
    model: str | None,
    session: str | None,
    only: tuple[str, ...],
    may_change: tuple[str, ...],
    dry_run: bool,
    timeout_s: float,
    redact_home: bool,
    redact_host: bool,
) -> None:
    probes = (default_probes() if probe_file is None else load_probes(probe_file)).only(only)
    model = chosen_model(host, probes, model, timeout_s=timeout_s)
    if dry_run:
        planned = recorder.plan(host, probes, model=model, may_change=may_change, timeout_s=timeout_s)
        echo(*_listed(planned, model, may_change))
        return
    made = record_with_progress(
        host,
        probes,
        out,
        model=model,
        may_change=may_change,
        session=session,
        timeout_s=timeout_s,
        redact_home=redact_home,
        redact_host=redact_host,
    )
    sys.exit(1 if made.failures and made.ids else 2 if made.failures else 0)


def chosen_model(host: str, probes: Sequence[Probe], model: str | None, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """The model that was named. If the probes need one and none was named, a person at a terminal chooses it."""
    if model is not None or not any(probe.needs_model for probe in probes) or not at_a_terminal():
        return model
    if not (names := recorder.models_of(host, timeout_s=timeout_s)):
        return None
    echo(f"{host} has {', '.join(names)}", err=True)
    choice: str = click.prompt(
        "Which one shall be used? It is loaded and unloaded.",
        type=click.Choice(names),
        default=names[0],
        show_choices=False,
        err=True,
    )
    return choice


def at_a_terminal() -> bool:
    """Whether standard input is a terminal, so that questions can be asked."""
    return sys.stdin.isatty()


def record_with_progress(host: str, probes: Sequence[Probe] | None, out: Path, **options: Any) -> RecordedSession:
    """Record, with a progress bar in a terminal, and print what was recorded and what was not.

    `options` are those of `ollama_harness.recorder.record`.
    """
    kept: Path | None = None
    try:
        with progress_bar() as bar:
            task = bar.add_task("", total=None)

            def show(now: Progress) -> None:
                nonlocal kept
                kept = now.folder
                what = f"{now.name} ({now.frames} frames)" if now.frames else now.name
                bar.update(task, completed=now.done, total=now.total, description=escape(what))

            made = recorder.record(host, probes, out, on_progress=show, **options)
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        is_there = kept is not None and kept.exists()
        where = f"the recordings made so far are in {kept}, and are complete" if is_there else "nothing was recorded"
        echo(f"interrupted; {where}", err=True)
        raise
    for one in made.left_out:
        echo(_left_out(one), err=True)
    for failure in made.failures:
        echo(f"error: {failure.name}: {failure.why}", err=True)
    failed = f"; {len(made.failures)} probes gave no recording" if made.failures else ""
    echo(f"{len(made.ids)} exchanges with Ollama {made.version} recorded in {made.folder}{failed}")
    return made


def _left_out(one: Failure) -> str:
    return f"{one.name} is left out: {one.why}"


def _listed(planned: Plan, model: str | None, may_change: Sequence[str]) -> Iterator[str]:
    """The requests that a session would send, and the models that it would change."""
    changed = set[str]()
    for probe in planned.probes:
        yield probe.name
        for stage, requests in (("before", probe.before), ("", (probe.request,)), ("after", probe.after)):
            for request in requests:
                done = [f"{one.verb} {one.model}" for one in touches(request)]
                changed.update(one.model.rpartition("://")[2] for one in touches(request))
                yield f"  {stage:7}{_shown(request)}{'  <- ' + ', '.join(done) if done else ''}"
    yield ""
    yield from map(_left_out, planned.left_out)
    allowed = set(map(full_name, may_change))
    theirs = {name for name in changed if full_name(name) in allowed}
    yield f"models of the server that would be loaded and unloaded: {model or 'none'}"
    yield f"models of the server that would be changed: {', '.join(sorted(theirs)) or 'none'}"
    yield f"models that it lacks, and that would be made or deleted: {', '.join(sorted(changed - theirs)) or 'none'}"
    yield f"{len(planned.probes)} probes would be sent to Ollama {planned.version} at {planned.address.url}"


def _shown(request: Request) -> str:
    """Method, path and body on one line, with secrets blanked."""
    blanked = redact_request(request)
    body = json.dumps(blanked.json) if blanked.json is not None else json.dumps(blanked.body or "")[1:-1]
    cut = body if len(body) <= _SHOWN_CHARS else f"{body[:_SHOWN_CHARS]}… ({len(body)} characters)"
    return f"{blanked.method} {blanked.path} {cut}".rstrip()
