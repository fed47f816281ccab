"""The causes that people have named for the 502 of ollama/ollama#9549."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ollama_harness.faults import add_header, burst, close_after_answer, count_body, delay_first_byte, replace_with
from ollama_harness.matrix.scenarios.scenario import Source
from ollama_harness.network.environments import Environment
from ollama_harness.recordings.recording import Headers
from pages.experiments.experiment import AS_REPORTED, NO_SETTINGS, ClaimKind, Conditions, Experiment, Trial, changed

_ISSUE = "https://github.com/ollama/ollama/issues/9549"
_RETOLD = "https://blog.gitcode.com/c8e67c6ce8124c3b3af1feba90b87514.html"
_HTTPX = "https://github.com/encode/httpx/issues/1536"

#: The header fields in which the two libraries differ, with the values of each.
_LIKE_REQUESTS: Headers = (("User-Agent", "python-requests/2.34.2"), ("Accept-Encoding", "gzip, deflate"))
_LIKE_HTTPX: Headers = (("User-Agent", "python-httpx/0.28.1"), ("Accept-Encoding", "gzip, deflate"))

_REGISTRY = AS_REPORTED.conditions.environment.registry
assert _REGISTRY is not None

_OLD, *_LATER = ("0.5.7", "0.9.6", "0.12.11", "0.24.0", "0.32.15")


def _crossed(
    *whats: tuple[str, bool, dict[str, Any]], wheres: tuple[Trial, ...] = (AS_REPORTED, NO_SETTINGS), **same: Any
) -> tuple[Trial, ...]:
    """Each of `whats` (name, given, conditions) in each place, with conditions that are the same in all."""
    return tuple(
        changed(where, what, given=given, conditions=replace(where.conditions, **same, **conditions))
        for where in wheres
        for what, given, conditions in whats
    )


def _named(environment: Environment, *addresses: str) -> Environment:
    """`localhost` has these addresses, and the server listens on 127.0.0.1 only, as Ollama does."""
    return replace(environment, names={"localhost": addresses}, ipv6=False)


def _localhost(where: Trial) -> tuple[Trial, ...]:
    def at(*addresses: str) -> Conditions:
        return replace(where.conditions, environment=_named(where.conditions.environment, *addresses), host="localhost")

    return (
        changed(where, "`localhost` is ::1 first", given=True, conditions=at("::1", "127.0.0.1")),
        changed(where, "`localhost` is 127.0.0.1 first", given=False, conditions=at("127.0.0.1", "::1")),
    )


def _registry(**values: Any) -> Conditions:
    assert _REGISTRY is not None
    environment = replace(AS_REPORTED.conditions.environment, registry=replace(_REGISTRY, **values))
    return Conditions(environment=environment)


def _explanation(
    name: str, title: str, claim: str, source: Source | None, *trials: Trial, note: str = ""
) -> Experiment:
    return Experiment(
        name=name, kind=ClaimKind.EXPLANATION, title=title, claim=claim, source=source, trials=trials, note=note
    )


EXPERIMENTS = [
    _explanation(
        "streaming",
        "streaming itself",
        "`stream=True` causes the 502; without it, everything works.",
        Source(_ISSUE, "502 Bad Gateway with stream=True using ollama and httpx on Windows (v0.5.7)"),
        *_crossed(
            ("streamed", True, {"recording": "0.32.15/generate-stream"}),
            ("not streamed", False, {"recording": "0.32.15/generate-nonstream"}),
        ),
    ),
    _explanation(
        "chunked",
        "chunked transfer coding",
        "Ollama streams in chunks, and httpx cannot handle that.",
        Source(_RETOLD, "Streaming differs in chunked coding, keep-alive and timeouts."),
        *_crossed(
            ("in chunks, as Ollama sends it", True, {}),
            ("with a Content-Length", False, {"faults": (count_body(),)}),
        ),
    ),
    _explanation(
        "keep-alive",
        "keep-alive",
        "The connection is kept open, and that breaks it.",
        Source(_RETOLD, "Streaming differs in chunked coding, keep-alive and timeouts."),
        *_crossed(
            ("kept open, as Ollama does", True, {}),
            ("`Connection: close`", False, {"faults": (add_header("Connection", "close"), close_after_answer())}),
        ),
    ),
    _explanation(
        "timeouts",
        "timeouts",
        "The model needs longer than the client waits.",
        Source(_RETOLD, "Streaming differs in chunked coding, keep-alive and timeouts."),
        *_crossed(
            ("the client waits less than the answer needs", True, {"read_timeout_s": 0.5}),
            ("the client waits longer", False, {"read_timeout_s": 10.0}),
            faults=(delay_first_byte(1.5),),
        ),
        note="The first byte comes after 1.5 s; the client waits 0.5 s or 10 s.",
    ),
    _explanation(
        "buffering",
        "buffering",
        "A program in between collects the stream and forwards it late, in one piece.",
        None,
        *_crossed(
            ("all of it late, in one segment", True, {"faults": (burst(0.5),)}),
            ("record by record", False, {}),
        ),
    ),
    _explanation(
        "request-heads",
        "request heads",
        "requests sends other fields than httpx, and the server, or a program before it, refuses those of httpx.",
        None,
        *_crossed(
            ("each with its own", True, {}),
            ("all like requests", False, {"headers": _LIKE_REQUESTS}),
            ("all like httpx", False, {"headers": _LIKE_HTTPX}),
            clients=("httpx", "httpx-async", "requests", "urllib"),
        ),
        note="User-Agent and Accept-Encoding are set. ollama is left out, because its calls accept no header fields.",
    ),
    _explanation(
        "ollama-0.5.7",
        "Ollama 0.5.7",
        "That version does not work with some clients.",
        Source(_ISSUE, "502 Bad Gateway with stream=True using ollama and httpx on Windows (v0.5.7)"),
        *_crossed(
            (f"answer of {_OLD}", True, {"recording": f"{_OLD}/generate-stream"}),
            *((f"answer of {one}", False, {"recording": f"{one}/generate-stream"}) for one in _LATER),
        ),
        note="Each answer is a recording of that version, played byte for byte.",
    ),
    _explanation(
        "ipv6",
        "IPv6 and `localhost`",
        "`localhost` is ::1, where Ollama does not listen.",
        Source(
            "https://github.com/datawhalechina/handy-ollama/issues/40",
            "An HTTP error for http://localhost, none for 127.0.0.1; IPv6 is blamed.",
        ),
        *_localhost(AS_REPORTED),
        *_localhost(NO_SETTINGS),
        note="The server listens on 127.0.0.1 only.",
    ),
    _explanation(
        "middleware",
        "network middleware",
        "A program in the network, before the server, answers 502.",
        Source(_RETOLD, "Global settings of network middleware, which some libraries use and others do not."),
        *_crossed(
            ("the server's own address answers 502", True, {"faults": (replace_with("proxy-502"),)}),
            ("the server's own address answers as Ollama", False, {}),
        ),
        note="The program that listens at the address of the URL answers every client that connects there.",
    ),
    _explanation(
        "system-proxy",
        "a system proxy",
        "Windows has a proxy, and httpx goes to it.",
        Source(
            "https://github.com/NousResearch/hermes-agent/issues/96476",
            "Windows, no proxy variables, a system proxy: httpx gets 502 with an empty body from 127.0.0.1:11434.",
        ),
        Trial(where="Windows", what="ProxyEnable is 1", given=True, conditions=_registry(enable=1)),
        Trial(where="Windows", what="ProxyEnable is 0", given=False, conditions=_registry(enable=0)),
        note="The rest of the registry is the same. The proxy answers 502 when it can reach nothing.",
    ),
    _explanation(
        "proxy-override",
        "exclusions that httpx does not read",
        "ProxyOverride excludes this machine; requests reads it and httpx does not.",
        Source(_HTTPX, "httpx uses the proxies of urllib.request.getproxies(), and does not call proxy_bypass()."),
        changed(AS_REPORTED, "ProxyOverride excludes this machine", given=True, conditions=AS_REPORTED.conditions),
        changed(AS_REPORTED, "no ProxyOverride", given=False, conditions=_registry(override=None)),
    ),
]
