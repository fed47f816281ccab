"""`python -m pages`: make the pages of docs/ that come from tables and measurements, or check that they are current."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from ollama_harness.errors import HarnessError
from pages import (
    api_page,
    clients_page,
    doctor_page,
    error_messages_page,
    faults_page,
    issue_9549_page,
    proxies_other_clients_page,
    proxies_page,
    upstream_page,
    wire_history_page,
)
from pages.fidelity import page as fidelity_page
from pages.page import NotComparable, Page, Sources, difference

MODULES = (
    api_page,
    faults_page,
    error_messages_page,
    clients_page,
    doctor_page,
    issue_9549_page,
    proxies_page,
    proxies_other_clients_page,
    wire_history_page,
    fidelity_page,
)
PAGES = {page.name: page for page in (*(module.PAGE for module in MODULES), *upstream_page.PAGES)}


@click.command(help=__doc__, epilog="Example: python -m pages --check faults proxies")
@click.argument("names", nargs=-1, type=click.Choice(list(PAGES)), metavar="[PAGE]...")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is out of date.")
@click.option(
    "--routes",
    type=click.Path(path_type=Path, exists=True),
    help="Results of `ollama-harness run --environments` for the page proxies, instead of a new run.",
)
@click.option("--with-clients", is_flag=True, help="For wire-history: run all clients on all versions again (minutes).")
def main(names: tuple[str, ...], check: bool, routes: Path | None, with_clients: bool) -> None:  # noqa: FBT001
    problems = [_update(PAGES[name], check, routes, with_clients) for name in names or PAGES]
    sys.exit(max(problems))


def _update(page: Page, check: bool, routes: Path | None, with_clients: bool) -> int:  # noqa: FBT001
    """Write a page, or compare it; returns the exit code."""
    start_s, there = time.monotonic(), page.read()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        sources = Sources(scratch=Path(scratch), routes=routes, there=there, checking=check, with_clients=with_clients)
        try:
            text = page.make(sources)
        except NotComparable as reason:
            click.echo(f"{page.name}: not compared: {reason}")
            return 0
        except HarnessError as error:
            click.echo(f"{page.name}: {error}", err=True)
            return 3
    took = f"{time.monotonic() - start_s:.1f} s"
    changed = difference(there, text)
    if check:
        state = f"not current, {changed}; write it again: python -m pages {page.name}" if changed else "current"
        click.echo(f"{page.name}: {state} ({took})", err=bool(changed))
        return 1 if changed else 0
    page.path.write_text(text, encoding="utf-8", newline="\n")
    click.echo(f"{page.name}: {'written' if changed else 'unchanged'} ({took})")
    return 0


if __name__ == "__main__":
    main(prog_name="python -m pages")
