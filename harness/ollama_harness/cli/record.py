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
from ollama_harness.cli.output import echo, progress_bar
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

#: A body is shown up to here by --dry-run.
_SHOWN_CHARS = 160


class _Seconds(click.FloatRange):
    """A number of seconds above 0; `nan` and `inf` pass a FloatRange."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number of seconds; give one above 0", param, ctx)
        return number


@click.command(
    help="""
    Ask a live Ollama and keep every frame with its time: one recording a probe, in <out>/<version>/.

    The model is loaded and unloaded. No model that the server has is pulled, overwritten, deleted or pushed: probes
    that would do so to the model are left out, and to another one refused. --may-change MODEL allows it; so
    --model NAME --may-change NAME asks the probes that pull the model, which replaces it with its registry's. The
    probes make models called ollama-harness-probe, and delete them again.

    Secrets are blanked before anything is written.

    Exit code 0: all recorded. 1: some probes gave no recording. 2: nothing could be recorded.
    """,
    epilog="Example: ollama-harness record --host http://127.0.0.1:11434 --model smollm2:135m --out rec",
)
@click.option("--host", required=True, metavar="URL", help="The Ollama to record: http://127.0.0.1:11434.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where <version>/ is made or added to.",
)
@click.option(
    "--probes", "probe_file", type=click.Path(path_type=Path), metavar="FILE", help="Ask these instead (TOML)."
)
@click.option(
    "--model", metavar="NAME", help="The model to ask, which the server must have. A terminal is asked for it."
)
@click.option("--take", metavar="NAME", help="Write to <out>/NAME/<version>/: 'again' for a second take.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only these probes; '!chat-*' takes away (repeatable).")
@click.option(
    "--may-change",
    multiple=True,
    metavar="MODEL",
    help="A model of the server that probes may pull, overwrite, delete or push (repeatable).",
)
@click.option("--dry-run", is_flag=True, help="List what would be sent and what it would change; only reads.")
@click.option(
    "--timeout",
    "timeout_s",
    type=_Seconds(min=0, min_open=True),
    default=TIMEOUT_S,
    show_default=True,
    help="Seconds of silence after which an answer is given up.",
)
@click.option("--redact-home", is_flag=True, help="Blank user names in paths: /home/NAME.")
@click.option("--redact-host", is_flag=True, help="Blank the names of this machine and of the host.")
def record(
    *,
    host: str,
    out: Path,
    probe_file: Path | None,
    model: str | None,
    take: str | None,
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
        take=take,
        timeout_s=timeout_s,
        redact_home=redact_home,
        redact_host=redact_host,
    )
    sys.exit(1 if made.failures and made.ids else 2 if made.failures else 0)


def chosen_model(host: str, probes: Sequence[Probe], model: str | None, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """The model that was named; or, where the probes need one, the one that a person at a terminal chooses."""
    if model is not None or not any(probe.needs_model for probe in probes) or not at_a_terminal():
        return model
    if not (names := recorder.models_of(host, timeout_s=timeout_s)):
        return None
    echo(f"{host} has {', '.join(names)}", err=True)
    choice: str = click.prompt(
        "Which one is asked, loaded and unloaded?",
        type=click.Choice(names),
        default=names[0],
        show_choices=False,
        err=True,
    )
    return choice


def at_a_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def record_with_progress(host: str, probes: Sequence[Probe] | None, out: Path, **options: Any) -> RecordedSession:
    """Record, with a bar for a person at a terminal; says what was recorded and what was not.

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
        where = f"what was recorded before is in {kept}, each whole" if is_there else "nothing was recorded"
        echo(f"interrupted; {where}", err=True)
        raise
    for one in made.left_out:
        echo(_not_asked(one), err=True)
    for failure in made.failures:
        echo(f"error: {failure.name}: {failure.why}", err=True)
    failed = f"; {len(made.failures)} probes gave no recording" if made.failures else ""
    echo(f"{len(made.ids)} exchanges with Ollama {made.version} recorded in {made.folder}{failed}")
    return made


def _not_asked(one: Failure) -> str:
    return f"{one.name} is not asked: {one.why}"


def _listed(planned: Plan, model: str | None, may_change: Sequence[str]) -> Iterator[str]:
    """What a session would send, request by request, and which models it would change."""
    changed = set[str]()
    for probe in planned.probes:
        yield probe.name
        for stage, requests in (("before", probe.before), ("", (probe.request,)), ("after", probe.after)):
            for request in requests:
                done = [f"{one.verb} {one.model}" for one in touches(request)]
                changed.update(one.model.rpartition("://")[2] for one in touches(request))
                yield f"  {stage:7}{_shown(request)}{'  <- ' + ', '.join(done) if done else ''}"
    yield ""
    yield from map(_not_asked, planned.left_out)
    allowed = set(map(full_name, may_change))
    theirs = {name for name in changed if full_name(name) in allowed}
    yield f"models of the server that are loaded and unloaded: {model or 'none'}"
    yield f"models of the server that are changed: {', '.join(sorted(theirs)) or 'none'}"
    yield f"models that are not there, and are made or deleted: {', '.join(sorted(changed - theirs)) or 'none'}"
    yield f"{len(planned.probes)} probes would be asked of Ollama {planned.version} at {planned.address.url}"


def _shown(request: Request) -> str:
    """Method, path and body on one line, with secrets blanked."""
    blanked = redact_request(request)
    body = json.dumps(blanked.json) if blanked.json is not None else json.dumps(blanked.body or "")[1:-1]
    cut = body if len(body) <= _SHOWN_CHARS else f"{body[:_SHOWN_CHARS]}… ({len(body)} characters)"
    return f"{blanked.method} {blanked.path} {cut}".rstrip()
