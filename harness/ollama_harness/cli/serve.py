"""`ollama-harness serve`: the server for clients in any language, until Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ollama_harness.answers import parse_model
from ollama_harness.cli.output import echo
from ollama_harness.cli.own_recordings import recordings_option, store_of
from ollama_harness.errors import BadFault, FaultDoesNotApply
from ollama_harness.faults import Fault
from ollama_harness.faults.notation import parse_fault
from ollama_harness.matrix.scenarios import scenario
from ollama_harness.recordings.recording import Recording
from ollama_harness.script.script import Script, http_date
from ollama_harness.server.fake_ollama import FakeOllama
from ollama_harness.server.reply_file import read_replies

__all__ = ["serve"]


class _Finite(click.FloatRange):
    """A number, 0 or more. A FloatRange would accept `nan` and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number; give 0 or more", param, ctx)
        return number


def _models(_ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        try:
            parse_model(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param=param) from error
    return texts


def _only_models(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else _models(ctx, param, tuple(filter(None, text.split(","))))


@click.command(
    help="Run a fake Ollama for any client, until Ctrl-C. It answers as the recorded one did, and prints a line for "
    "each request.",
    epilog='Example: ollama-harness serve --fault "close_at(after_record(3))"',
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=11434, show_default=True, help="Port to listen on; 0 is any free port.")
@click.option(
    "--ollama-version", metavar="V", help="Answer as this version did. The default is the newest recorded one."
)
@recordings_option
@click.option(
    "--scenario", "scenario_name", metavar="NAME", help="Break every answer with the faults of this scenario."
)
@click.option(
    "--fault", "fault_texts", multiple=True, metavar="CALL", help="Break every answer with this fault (repeatable)."
)
@click.option(
    "--speed",
    type=_Finite(min=0),
    default=1.0,
    show_default=True,
    help="How fast to play: 1 is as recorded, 10 is ten times as fast, 0 is at once.",
)
@click.option(
    "--gap", "gap_s", type=_Finite(min=0), help="Wait so many seconds between segments, whatever was recorded."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    callback=_models,
    metavar="NAME[=CAPABILITY,…]",
    help="A model that is there besides the recorded ones, and what it can do: tools, thinking, vision, embedding, "
    "insert (repeatable).",
)
@click.option(
    "--models", "only_models", callback=_only_models, metavar="NAME,…", help="Exactly these models are there."
)
@click.option("--any-model", is_flag=True, help="Answer requests for any model, and not only for the recorded ones.")
@click.option(
    "--reply",
    "texts",
    multiple=True,
    metavar="TEXT",
    help="Say this in every answer. Given more than once: one after the other, and then always the last.",
)
@click.option(
    "--reply-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Say what is in this file: a text; or in a .json file an object with text, thinking, tool_calls, json, "
    "done_reason, tokens_per_s or first_token_s, or a list of such.",
)
@click.option("--origins", default="", metavar="LIST", help="OLLAMA_ORIGINS: pages that may ask, with commas between.")
def serve(
    *,
    host: str,
    port: int,
    ollama_version: str | None,
    own: Path | None,
    scenario_name: str | None,
    fault_texts: tuple[str, ...],
    speed: float,
    gap_s: float | None,
    any_model: bool,
    models: tuple[str, ...],
    only_models: tuple[str, ...] | None,
    texts: tuple[str, ...],
    reply_file: Path | None,
    origins: str,
) -> None:
    if texts and reply_file is not None:
        raise click.UsageError("--reply and --reply-file are two sources of one thing; give one of them")
    replies = [{"text": text} for text in texts] if reply_file is None else read_replies(reply_file)
    store = store_of(own, version=ollama_version)
    version = ollama_version or store.newest
    faults = (*(scenario(scenario_name).faults if scenario_name else ()), *map(parse_fault, fault_texts))
    if scenario_name and scenario(scenario_name).then:
        raise click.UsageError(
            f"{scenario_name} is a sequence of exchanges, and serve breaks every answer in the same way; use --fault"
        )
    server = FakeOllama(
        host,
        port,
        version=version,
        store=store,
        speed=speed,
        gap_s=gap_s,
        faults=faults,
        any_model=any_model,
        models=models,
        only_models=only_models,
        origins=tuple(origins.split(",")) if origins else (),
    )
    for index, fields in reversed(list(enumerate(replies, start=1))):
        server.reply(**fields, times=1 if index < len(replies) else None)
    server.load()
    for fault in faults:
        _refuse_useless(fault, store.of_version(store.version(version)))
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with server:
        echo(f"Ollama {version}, as recorded, on {server.url}")
        echo(f"  sh          export OLLAMA_HOST={server.url}")
        echo(f"  cmd         set OLLAMA_HOST={server.url}")
        echo(f"  PowerShell  $env:OLLAMA_HOST = '{server.url}'")
        if not any_model:
            echo("models: those in /api/tags; --any-model adds all others")
        if replies:
            echo(f"requests for text get your {'reply' if len(replies) == 1 else 'replies, one after the other'}")
        if faults:
            echo(f"faults, in every answer to which they apply: {', '.join(map(str, faults))}")
        echo("Ctrl-C stops it.")
        while not stop.is_set():
            for entry in server.journal.take_settled(timeout_s=0.2):  # a signal does not end the wait
                echo(entry.line)
    for entry in server.journal.take_settled(timeout_s=0):
        echo(entry.line)
    echo("stopped")


def _refuse_useless(fault: Fault, recordings: Iterable[Recording]) -> None:
    """Refuse a fault that applies to none of the recordings, because it would leave every answer whole.

    Raises: BadFault.
    """
    why = ""
    for recording in sorted(recordings, key=lambda one: not one.name.endswith("-stream")):
        try:
            fault(Script.from_recording(recording)).render(date=http_date())
        except FaultDoesNotApply as error:
            why = why or str(error)
        else:
            return
    raise BadFault(f"{fault} applies to no recording: {why}")
