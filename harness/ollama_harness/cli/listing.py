"""`ollama-harness list`: clients, scenarios, environments, faults, rules and recordings.

Each list imports what it shows, and no other room: all rooms together take a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ollama_harness.cli.output import json_option
from ollama_harness.cli.own_recordings import recordings_option, store_of
from ollama_harness.cli.tables import table

if TYPE_CHECKING:
    from ollama_harness.clients import Client
    from ollama_harness.matrix.request_profiles import RequestProfile, SentRequest

__all__ = ["list_"]


@click.group(
    "list",
    help="List clients, scenarios, environments, faults, rules, recordings.",
    epilog="Example: ollama-harness list scenarios --json",
)
def list_() -> None:
    pass


@list_.command(
    "clients",
    help="List the client libraries under test, and the canaries.",
    epilog="Example: ollama-harness list clients --wire",
)
@click.option("--wire", is_flag=True, help="Show what each installed library sends, by requests to a fake server.")
@json_option
def list_clients(*, wire: bool, as_json: bool) -> None:
    if wire:
        from ollama_harness.matrix.request_profiles import measure

        table([_wire(one, in_full=as_json) for one in measure()], as_json=as_json)
        return
    from ollama_harness.clients import clients

    rows: list[dict[str, object]] = [
        {
            "client": one.name,
            "version": _version(one),
            "layer": str(one.layer),
            "documented_exceptions": sorted({*(one.contract.exceptions or ()), *one.contract.timeouts}),
            "read_timeout": one.contract.read_timeout,
            "source": one.contract.source,
        }
        for one in clients().values()
    ]
    table(rows, as_json=as_json)


@list_.command(
    "scenarios",
    help="List the scenarios, and what each requires of a client. The twin of a scenario plays the same over /v1.",
    epilog="Example: ollama-harness list scenarios",
)
@recordings_option
@json_option
def list_scenarios(*, own: Path | None, as_json: bool) -> None:
    from ollama_harness.matrix.cells import names_in
    from ollama_harness.matrix.scenarios import GROUPS, twin_of, why_no_twin

    store = store_of(own)
    rows = [
        {
            "scenario": one.name,
            "asks": str(one.requirement),
            "layer": str(one.layer),
            "faults": [str(fault) for faults in (one.faults, *one.then) for fault in faults],
            "recordings": names_in(store, store.newest, one),
            "summary": one.summary,
            "source": one.source.url if one.source else None,
            "twin": twin.name if (twin := twin_of(one.name)) else f"none: {why_no_twin(one)}",
        }
        for group in GROUPS.values()
        for one in group
    ]
    table(rows, as_json=as_json)


@list_.command(
    "environments",
    help="List the environments: network settings to try clients in.",
    epilog="Example: ollama-harness list environments",
)
@json_option
def list_environments(*, as_json: bool) -> None:
    from ollama_harness.network.environments import ENVIRONMENTS

    rows = [
        {
            "environment": one.name,
            "system": str(one.system or "any"),
            "summary": one.summary,
            "hosts": list(one.hosts),
            "proxy": one.proxy,
        }
        for one in ENVIRONMENTS.values()
    ]
    table(rows, as_json=as_json)


@list_.command(
    "faults",
    help="List the faults, which break an answer, and the places.",
    epilog="Example: ollama-harness list faults",
)
@json_option
def list_faults(*, as_json: bool) -> None:
    from ollama_harness.server.control import fault_rows

    table(list(fault_rows()), as_json=as_json)


@list_.command(
    "rules",
    short_help="List the rules of the gate and of the server's answers.",
    help="List the rules: of the gate, with how much each matters; and of the server's answers, with the step that "
    "each answers in, and the versions of Ollama that have it.",
    epilog="Example: ollama-harness list rules --of answers",
)
@click.option("--of", type=click.Choice(["gate", "answers"]), help="Only the rules of one.")
@json_option
def list_rules(*, of: str | None, as_json: bool) -> None:
    from ollama_harness import answers
    from ollama_harness.gate.rules import RULES

    of_gate: list[dict[str, object]] = [
        {
            "rule": one.id,
            "of": "gate",
            "kind": f"{one.level}, {one.about}",
            "versions": None,
            "why": one.why,
            "source": one.source,
        }
        for one in RULES.values()
    ]
    of_answers: list[dict[str, object]] = [
        {
            "rule": one.id,
            "of": "answers",
            "kind": str(one.step),
            "versions": one.versions,
            "why": one.why,
            "source": one.source,
        }
        for one in sorted(answers.RULES.values(), key=lambda one: list(answers.Step).index(one.step))
    ]
    table([row for row in (*of_gate, *of_answers) if of in (None, row["of"])], as_json=as_json)


@list_.command(
    "recordings",
    help="List the recordings: exchanges with real Ollama servers.",
    epilog="Example: ollama-harness list recordings --ollama-version 0.5.7",
)
@click.option("--ollama-version", multiple=True, metavar="V", help="Only this version (repeatable).")
@recordings_option
@json_option
def list_recordings(*, ollama_version: tuple[str, ...], own: Path | None, as_json: bool) -> None:
    from ollama_harness.server.control import recording_row

    store = store_of(own, version=ollama_version[0] if len(ollama_version) == 1 else None)
    versions = [store.version(name) for name in ollama_version] or store.versions
    found = [one for version in versions for one in store.of_version(version)]
    table([recording_row(one) for one in found if own is None or one.id in store.own_ids], as_json=as_json)


def _wire(one: RequestProfile, *, in_full: bool) -> dict[str, object]:
    """What a client sends: in a table the POST that asks for a stream, and in full all requests."""
    if in_full:
        requests = {"plain": one.plain, "again": one.again, "stream": one.stream, "get": one.get}
        return {
            "client": one.client,
            "version": one.version,
            "reuses_connection": one.reuses,
            "changes_with_stream": list(one.changes),
            "requests": {name: _sent(sent) for name, sent in requests.items()},
        }
    sent, names = one.stream, ("Connection", "Accept", "Accept-Encoding", "User-Agent", "Expect")
    return {
        "client": one.client,
        "http": sent.head.version,
        **{name: sent.value(name) for name in names},
        "body": sent.framing,
        "writes": list(sent.writes),
        "second request": "same connection" if one.reuses else "new connection",
        "with a stream": list(one.changes) or "no change",
    }


def _sent(sent: SentRequest) -> dict[str, object]:
    head = sent.head
    return {
        "request_line": f"{head.method} {head.target} {head.version}",
        "headers": [list(field) for field in head.headers],
        "writes": list(sent.writes),
    }


def _version(one: Client) -> str:
    """The version of a client's library, or what must be done before it runs here. A program says its version only when
    it runs, and so does a library that this Python does not have.
    """
    from ollama_harness.clients.adapter import version_here

    if one.missing is not None:
        return f"not installed: {one.missing}"
    if one.command is not None:
        return "a program"
    if not one.distribution:
        return "built in"
    return version_here(one.distribution) or "in its own environment"
