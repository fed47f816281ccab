"""What stands in front of Ollama in real life, as options of `serve`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ollama_harness.server.certificates import Certificate, TlsKind, ca_file
from ollama_harness.server.control import check_token
from ollama_harness.server.fake_ollama import MAX_QUEUE
from ollama_harness.server.gateway import check_idle_timeout, check_prefix

__all__ = ["check_front", "front_options", "trust_lines"]

#: The variables that name a file of certificates to trust, and who reads them.
_TRUST = (
    ("SSL_CERT_FILE", "Python's ssl and httpx, curl, Ruby; Go on Linux"),
    ("REQUESTS_CA_BUNDLE", "requests"),
    ("NODE_EXTRA_CA_CERTS", "Node"),
)


def _prefix(_ctx: click.Context, param: click.Parameter, text: str) -> str:
    try:
        return text and check_prefix(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


def _key(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else check_token(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


def _idle_timeout(_ctx: click.Context, param: click.Parameter, seconds: float | None) -> float | None:
    try:
        return None if seconds is None else check_idle_timeout(seconds)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


_OPTIONS = (
    click.option(
        "--tls",
        type=click.Choice([kind.value for kind in TlsKind]),
        help="Be behind TLS, with a certificate that is good, or one that a client must refuse. It needs "
        "ollama-harness[tls].",
    ),
    click.option(
        "--tls-ca",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="With --tls: write the certificate that a client has to trust to this file, and leave it there. The "
        "default is a temporary file.",
    ),
    click.option(
        "--prefix",
        default="",
        callback=_prefix,
        metavar="PATH",
        help="Have Ollama below this path only, such as /ollama, as a gateway does; anything else gets its 404.",
    ),
    click.option(
        "--require-key",
        callback=_key,
        metavar="KEY",
        help="Let in only requests with Authorization: Bearer KEY, as a gateway does; others get its 401.",
    ),
    click.option(
        "--idle-timeout",
        "idle_timeout_s",
        type=float,
        callback=_idle_timeout,
        metavar="S",
        help="Give up after S seconds without a byte of an answer, as a gateway does: a 504, or in mid-stream a FIN.",
    ),
    click.option(
        "--parallel",
        type=click.IntRange(min=1),
        metavar="N",
        help="OLLAMA_NUM_PARALLEL: answer so many requests for a model's work at once; others wait without a byte.",
    ),
    click.option(
        "--max-queue",
        type=click.IntRange(min=0),
        metavar="N",
        help=f"OLLAMA_MAX_QUEUE, with --parallel: how many may wait before others get a 503; {MAX_QUEUE} by default.",
    ),
)


def front_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for what stands in front of Ollama."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_front(*, tls: str | None, tls_ca: Path | None, parallel: int | None, max_queue: int | None) -> None:
    """Refuse options that cannot have an effect together.

    Raises: click.UsageError.
    """
    if tls_ca is not None and tls is None:
        raise click.UsageError("--tls-ca: there is no certificate without TLS; give --tls good, too")
    if max_queue is not None and parallel is None:
        raise click.UsageError("--max-queue: without a limit nothing waits; give --parallel 1, too")


@contextlib.contextmanager
def trust_lines(made: Certificate | None, path: Path | None) -> Iterator[Sequence[str]]:
    """Lines for people about how to trust a certificate, while the file that they name is there; () without one.

    Raises: TlsError, if the file cannot be written.
    """
    if made is None:
        yield ()
        return
    with ca_file(made, path) as written:
        full = written.absolute()
        width = max(len(name) for name, _ in _TRUST)
        yield (
            f"TLS: the certificate is {made.kind}; to trust it, set",
            *(f"  {name:{width}} = {full}  for {who}" for name, who in _TRUST),
        )
