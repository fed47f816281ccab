from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

from ollama_harness.matrix.runner import Runner
from ollama_harness.recordings.store import RecordingStore, packaged_store

pytest_plugins = ["pytester"]

# No deadline: a property is about what holds, not about how fast this machine is today.
# Fewer examples are for systems that are slow; the same properties have more elsewhere.
examples = int(os.environ.get("HARNESS_EXAMPLES", "25"))
settings.register_profile("harness", deadline=None, print_blob=True, max_examples=examples)
settings.load_profile("harness")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="Play every scenario (tests/test_matrix.py).")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `pytest -n auto` means here: half as many again as there are processors, because many tests wait."""
    return (os.cpu_count() or 2) * 3 // 2


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is marked as a whole is not even read where it is left out: there are thousands, and Wine is slow."""
    left_out = re.fullmatch(r"not (\w+)(?: and not (\w+))?", config.option.markexpr)
    if left_out is None or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text("utf-8")
    return any(f"\npytestmark = pytest.mark.{mark}\n" in text for mark in left_out.groups()) or None


@pytest.fixture(autouse=True, scope="session")
def _disks_need_not_be_waited_for() -> Iterator[None]:
    with mock.patch("os.fsync"):
        yield


@pytest.fixture(scope="session")
def store() -> RecordingStore:
    return packaged_store()


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """One runner a test process, so that the clients' processes are started once."""
    with Runner(jobs=6) as runner:
        yield runner
