"""`python -OO` strips docstrings and asserts. No text that the harness prints, and no table, may go with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from ollama_harness import faults
from ollama_harness.cli import commands
from ollama_harness.gate.rules import RULES
from ollama_harness.matrix import scenarios
from ollama_harness.network import environments

pytestmark = pytest.mark.same_on_each_python


def texts() -> dict[str, Any]:
    """Everything that is printed and was once a docstring."""
    return {
        "scenarios": {title: [one.name for one in group] for title, group in scenarios.GROUPS.items()},
        "environments": {title: [one.name for one in group] for title, group in environments.GROUPS.items()},
        "faults": {name: [one.summary, one.make.__doc__] for name, one in faults.FAULTS.items()},
        "places": {name: [one.summary, one.make.__doc__] for name, one in faults.PLACES.items()},
        "rules": {name: one.why for name, one in RULES.items()},
        "help": _help(click.Context(commands)),
    }


def _help(context: click.Context) -> dict[str, Any]:
    """The help of a command and of all below it."""
    command, below = context.command, dict[str, Any]()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None
            below |= _help(click.Context(one, parent=context, info_name=name))
    return {context.command_path: [command.help, command.get_short_help_str()], **below}


@pytest.fixture(scope="module")
def stripped() -> dict[str, Any]:
    here = Path(__file__)
    done = subprocess.run(
        [sys.executable, "-OO", "-c", f"import json, {here.stem} as here; print(json.dumps(here.texts()))"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), str(here.parent.parent)])},
        stdout=subprocess.PIPE,
        check=True,
    )
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


@pytest.mark.parametrize("what", texts())
def test_no_text_is_lost_with_the_docstrings(what: str, stripped: dict[str, Any]) -> None:
    assert stripped[what] == json.loads(json.dumps(texts()[what]))


def test_every_command_has_a_help() -> None:
    helps = texts()["help"]
    assert len(helps) > 10
    assert [name for name, (text, short) in helps.items() if not text or not short] == []
