"""`ollama-harness serve`: the server for clients in any language, until Ctrl-C."""

from __future__ import annotations

import functools
import math
import queue
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from ollama_harness.answers import parse_model
from ollama_harness.cli.child_process import announced, child_process_options, for_many_connections, when_stdin_closes
from ollama_harness.cli.front import check_front, front_options, trust_lines
from ollama_harness.cli.output import echo
from ollama_harness.cli.own_recordings import recordings_option, store_of
from ollama_harness.cli.programme_options import InOrder, in_turn, short_forms, summary
from ollama_harness.cli.upstream import about_upstream, check_upstream, upstream_options
from ollama_harness.cli.watching import Watched
from ollama_harness.errors import BadFault, FaultDoesNotApply
from ollama_harness.faults import Fault
from ollama_harness.recordings.recording import Recording
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import Script, http_date
from ollama_harness.server.control import check_token, is_loopback
from ollama_harness.server.fake_ollama import MAX_QUEUE, FakeOllama, Keeper
from ollama_harness.server.journal import Entry
from ollama_harness.server.programme import ON_ACCEPT, Programme, ProgrammeRule, Scenarios
from ollama_harness.server.programme_file import read_programme
from ollama_harness.server.reply_file import read_replies

__all__ = ["serve"]


#: How often what was answered is logged.
_LOG_EVERY_S = 0.1

_STRUCK_TOO = ", which the faults below strike, too; --control-port 0 gives it a port that they do not"
_TURN_ON = ", because programs elsewhere reach this address; --control-token TOKEN turns it on"


class _Finite(click.FloatRange):
    """A number, 0 or more. A FloatRange would accept `nan` and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number; give 0 or more", param, ctx)
        return number


def _token(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else check_token(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


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
    cls=InOrder,
    help="Run a fake Ollama for any client, until Ctrl-C. It answers as the recorded one did, and prints a line for "
    "each request. docs/serve.md has examples.",
    epilog='Example: ollama-harness serve --on "POST /api/chat #2" --fail 503',
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=11434, show_default=True, help="Port to listen on; 0 is any free port.")
@click.option(
    "--ollama-version", metavar="V", help="Answer as this version did. The default is the newest recorded one."
)
@recordings_option
@click.option(
    "--scenario", "scenario_name", metavar="NAME", help="Answer as in this scenario, with its recordings and faults."
)
@click.option(
    "--programme",
    "programme_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Answer by the rules in this file, in TOML or JSON.",
)
@click.option("--watch", is_flag=True, help="Read the --programme again when its file changes.")
@click.option(
    "--on",
    "on_texts",
    multiple=True,
    metavar='"METHOD PATH #N"',
    help="What follows (--fault, --play, --fail, --reply) is for these requests only, until the next --on. #2 is the "
    "second of them; each part may be left out, and * in the path stands for anything (repeatable).",
)
@click.option(
    "--fault",
    "fault_texts",
    multiple=True,
    metavar="CALL",
    help="Break answers with this fault: every answer, or those of the --on before it (repeatable).",
)
@click.option(
    "--play",
    "plays",
    multiple=True,
    metavar="NAME",
    help="Play this recording, whatever a request for its route says; * in the name stands for anything, and several "
    "are played one after the other (repeatable).",
)
@click.option(
    "--fail",
    "fails",
    multiple=True,
    metavar="STATUS[: MESSAGE]",
    help="Answer with this error, in the shape of the route that is asked.",
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
    help="Say this in every answer, or in those of the --on before it. Given more than once without --on: one after "
    "the other, and then always the last.",
)
@click.option(
    "--reply-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Say what is in this file: a text; or in a .json file an object with text, thinking, tool_calls, json, "
    "done_reason, tokens_per_s or first_token_s, or a list of such.",
)
@click.option(
    "--journal-size",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many of the last requests are kept, with what was sent.",
)
@click.option(
    "--control/--no-control",
    default=True,
    help="Whether programs can steer it under /_harness/ (docs/control.md): on 127.0.0.1 without more, elsewhere only "
    "with --control-token.",
)
@click.option(
    "--control-token",
    callback=_token,
    metavar="TOKEN",
    envvar="OLLAMA_HARNESS_CONTROL_TOKEN",
    show_envvar=True,
    help="What each call under /_harness/ must bring, as Authorization: Bearer TOKEN.",
)
@click.option(
    "--control-port",
    type=click.IntRange(0, 65535),
    help="A second port for /_harness/ only, which no fault strikes; 0 is any free port.",
)
@click.option("--origins", default="", metavar="LIST", help="OLLAMA_ORIGINS: pages that may ask, with commas between.")
@upstream_options
@front_options
@child_process_options
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    *,
    host: str,
    port: int,
    ollama_version: str | None,
    own: Path | None,
    scenario_name: str | None,
    programme_file: Path | None,
    watch: bool,
    speed: float,
    gap_s: float | None,
    any_model: bool,
    models: tuple[str, ...],
    only_models: tuple[str, ...] | None,
    reply_file: Path | None,
    journal_size: int,
    control: bool,
    control_token: str | None,
    control_port: int | None,
    origins: str,
    upstream: str | None,
    misses_only: bool,
    record_to: Path | None,
    once: bool,
    print_url: bool,
    ready_file: Path | None,
    exit_on_stdin_close: bool,
    tls: str | None,
    tls_ca: Path | None,
    prefix: str,
    require_key: str | None,
    idle_timeout_s: float | None,
    parallel: int | None,
    max_queue: int | None,
    **_in_order: tuple[str, ...],
) -> None:
    short = short_forms(ctx)
    if short.has_replies and reply_file is not None:
        raise click.UsageError("--reply and --reply-file are two sources of one thing; give one of them")
    if watch and programme_file is None:
        raise click.UsageError("--watch: there is no file to watch; give --programme FILE, too")
    if not control and (control_token or control_port is not None):
        raise click.UsageError("--no-control turns off what --control-token and --control-port are for; remove it")
    if control_port is not None and control_token is None and not is_loopback(host):
        raise click.UsageError(f"--control-port: programs elsewhere reach {host}; give --control-token, too")
    check_upstream(upstream, misses_only=misses_only, record_to=record_to, once=once)
    check_front(tls=tls, tls_ca=tls_ca, parallel=parallel, max_queue=max_queue)
    first = [*short.rules, *(in_turn(read_replies(reply_file), "--reply-file") if reply_file is not None else ())]
    store = store_of(own, version=ollama_version)
    version = ollama_version or store.newest
    faults, last = short.faults, tuple[ProgrammeRule, ...]()
    if scenario_name is not None:
        found = _scenarios(store, store.version(version)).rules(scenario_name)
        last = found.programme.rules
        faults = (*faults, *found.on_accept)

    def programme() -> Programme:
        of_file = () if programme_file is None else read_programme(programme_file).rules
        return Programme((*first, *of_file, *last))

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
        programme=programme(),
        journal_size=journal_size,
        control=control,
        control_token=control_token,
        control_port=control_port,
        tls=tls,
        prefix=prefix,
        require_key=require_key,
        idle_timeout_s=idle_timeout_s,
        parallel=parallel,
        max_queue=MAX_QUEUE if max_queue is None else max_queue,
        scenarios=_scenarios,
        upstream=upstream,
        misses_only=misses_only,
        keeper=None if upstream is None or record_to is None else _keeper(record_to, upstream),
        once=once,
    )
    if own is not None:
        server.load()  # so that a bad file is refused before the server listens
    for fault in faults:
        _refuse_useless(fault, store.of_version(store.version(version)))
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settled = server.journal.follow()
    log = functools.partial(echo, err=print_url)
    watched = None
    if watch and programme_file is not None:
        watched = Watched(programme_file, lambda: server.edit_programme(programme()), log)
    trust = trust_lines(server.certificate, tls_ca)
    with trust as front_lines, server, announced(server.url, print_url=print_url, ready_file=ready_file):
        if exit_on_stdin_close:
            when_stdin_closes(stop.set)
        log(f"Ollama {version}, as recorded, on {server.url}")
        log(f"  sh          export OLLAMA_HOST={server.url}")
        log(f"  cmd         set OLLAMA_HOST={server.url}")
        log(f"  PowerShell  $env:OLLAMA_HOST = '{server.url}'")
        if front_lines:
            log(*front_lines)
        note = _TURN_ON if control and server.control_url is None else ""
        if server.control_url is not None and control_port is None and any(one.name in ON_ACCEPT for one in faults):
            note = _STRUCK_TOO
        log(f"control: {server.control_url or 'off'}{note}")
        for line in about_upstream(server, record_to, once=once):
            log(line)
        if not any_model and upstream is None:
            log("models: those in /api/tags; --any-model adds all others")
        for line in summary(server.programme):
            log(line)
        if faults:
            log(f"faults, in every answer to which they apply: {', '.join(map(str, faults))}")
        log("it ends with its standard input" if exit_on_stdin_close else "Ctrl-C stops it.")
        server.load()  # after the first lines, since a client may connect by now
        for_many_connections()
        while not stop.wait(_LOG_EVERY_S):  # short, since a signal does not end the wait everywhere
            _log_settled(log, settled)
            if watched is not None:
                watched.look()
    _log_settled(log, settled)
    if parallel is not None:
        most = server.journal
        log(f"at most {most.most_exchanges} requests and {most.most_connections} connections at once")
    log("stopped")


def _scenarios(store: RecordingStore, version: str) -> Scenarios:
    """The scenarios of the matrix. Most servers play none, and should be ready without them."""
    from ollama_harness.matrix.served_scenario import ServedScenarios

    return ServedScenarios(store, version)


def _keeper(folder: Path, upstream: str) -> Keeper:
    """Keeps recordings in a folder; imported only for this, as the scenarios are."""
    from ollama_harness.recorder import FolderKeeper

    return FolderKeeper(folder, upstream)


def _log_settled(log: Callable[..., None], settled: queue.SimpleQueue[Entry]) -> None:
    """Log a line for each entry that has been settled since the last time, at once: no stream must wait for it."""
    lines = [settled.get().line for _ in range(settled.qsize())]
    if lines:
        log(*lines)


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
