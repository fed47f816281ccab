"""`ollama-harness record`: recordings of a live Ollama."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from ollama_harness import recorder
from ollama_harness.cli.output import progress_bar
from ollama_harness.recorder import TIMEOUT_S, Probe, Progress, RecordedSession, default_probes, load_probes

__all__ = ["record", "record_with_progress"]


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

    The probes create, copy and delete nothing but models called ollama-harness-probe. They load and unload the model,
    and pull it, which renews it where its registry has a newer one: --only '!pull-*' leaves that out. Secrets are
    blanked before anything is written.
    Exit code 0: all recorded. 1: some probes gave no recording. 2: nothing could be recorded. 3: interrupted.
    """,
    epilog="Example: ollama-harness record --host http://127.0.0.1:11434 --out my-recordings --only 'chat-*'",
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
@click.option("--model", metavar="NAME", help="The model to ask; the first that the server lists otherwise.")
@click.option("--take", metavar="NAME", help="Write to <out>/NAME/<version>/: 'again' for a second take.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only these probes; '!pull-*' takes away (repeatable).")
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
    timeout_s: float,
    redact_home: bool,
    redact_host: bool,
) -> None:
    probes = (default_probes() if probe_file is None else load_probes(probe_file)).only(only)
    made = record_with_progress(
        host,
        probes,
        out,
        model=model,
        take=take,
        timeout_s=timeout_s,
        redact_home=redact_home,
        redact_host=redact_host,
    )
    sys.exit(1 if made.failures and made.ids else 2 if made.failures else 0)


def record_with_progress(host: str, probes: Sequence[Probe] | None, out: Path, **options: Any) -> RecordedSession:
    """Record, with a bar for a person at a terminal; says what was recorded and what was not. Ctrl-C exits.

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
    except KeyboardInterrupt:
        where = "nothing was recorded" if kept is None else f"what was recorded before is in {kept}, each whole"
        click.echo(f"interrupted; {where}", err=True)
        sys.exit(3)
    for failure in made.failures:
        click.echo(f"error: {failure.name}: {failure.why}", err=True)
    failed = f"; {len(made.failures)} probes gave no recording" if made.failures else ""
    click.echo(f"{len(made.ids)} exchanges with Ollama {made.version} recorded in {made.folder}{failed}")
    return made
