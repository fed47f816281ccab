"""The remedies that people have advised for the 502 of ollama/ollama#9549."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ollama_harness.matrix.scenarios.scenario import Source
from ollama_harness.network.environments import ENVIRONMENTS, environment
from pages.experiments.experiment import (
    AS_REPORTED,
    BUILT_ON_HTTPX,
    HTTP_PROXY,
    NO_PROXY,
    ClaimKind,
    Conditions,
    Experiment,
    Trial,
    changed,
)

_RETOLD = "https://blog.gitcode.com/c8e67c6ce8124c3b3af1feba90b87514.html"

_SOCKS = Trial(
    where="ALL_PROXY=socks://…",
    what="as it is",
    given=False,
    conditions=Conditions(
        environment=replace(ENVIRONMENTS["all-proxy"], variables={"ALL_PROXY": "socks://{proxy}"}),
        clients=BUILT_ON_HTTPX,
    ),
)
_ONE_NAME = Trial(
    where="Windows system proxy that excludes `localhost` only",
    what="as it is",
    given=False,
    # Without urllib: before Python 3.11.9 and 3.12.3 it resolves names for such a list.
    conditions=Conditions(environment=environment("registry-localhost"), clients=(*BUILT_ON_HTTPX, "requests")),
)


def _tried(what: str, *wheres: Trial, before: str = "", **conditions: Any) -> tuple[Trial, ...]:
    """In each place, first as it is, then with other conditions."""
    return tuple(
        one
        for where in wheres
        for one in (
            changed(where, before or where.what, given=False, conditions=where.conditions),
            changed(where, what, given=True, conditions=replace(where.conditions, **conditions)),
        )
    )


def _in_environment(what: str, *wheres: Trial, **values: Any) -> tuple[Trial, ...]:
    """In each place, first as it is, then in an environment with other values."""
    return tuple(
        one
        for where in wheres
        for one in _tried(what, where, environment=replace(where.conditions.environment, **values))
    )


def _with_variables(what: str, variables: Mapping[str, str], *wheres: Trial) -> tuple[Trial, ...]:
    """In each place, first as it is, then with more variables."""
    return tuple(
        one
        for where in wheres
        for one in _in_environment(what, where, variables={**where.conditions.environment.variables, **variables})
    )


def _hosts(where: Trial) -> tuple[Trial, ...]:
    return _tried("http://localhost", where, before="http://127.0.0.1", host="localhost")


def _libraries(where: Trial) -> tuple[Trial, ...]:
    conditions = replace(where.conditions, clients=BUILT_ON_HTTPX)
    return (
        changed(where, "httpx and ollama", given=False, conditions=conditions),
        changed(where, "requests", given=True, conditions=replace(conditions, clients=("requests",))),
    )


def _remedy(name: str, title: str, claim: str, source: Source | None, *trials: Trial, note: str = "") -> Experiment:
    return Experiment(
        name=name, kind=ClaimKind.REMEDY, title=title, claim=claim, source=source, trials=trials, note=note
    )


EXPERIMENTS = [
    _remedy(
        "no-proxy",
        f"`NO_PROXY={NO_PROXY}`",
        "Exclude this machine from the proxy.",
        Source(
            "https://jishuzhan.net/article/2014644511046680577",
            f"os.environ['NO_PROXY'] = '{NO_PROXY}' against a 502 from localhost:11434.",
        ),
        *_with_variables(f"NO_PROXY={NO_PROXY}", {"NO_PROXY": NO_PROXY}, AS_REPORTED, HTTP_PROXY, _SOCKS),
        note="It must be set before the client is made; for `ollama.chat()` and the like, before `import ollama`.",
    ),
    _remedy(
        "trust-env",
        "`trust_env=False`",
        "Tell the library to ignore the machine's settings.",
        Source(
            "https://github.com/run-llama/llama_index/issues/13526",
            "403 through a Windows system proxy; the client is told to use no proxy.",
        ),
        *_in_environment("trust_env=False", AS_REPORTED, HTTP_PROXY, _SOCKS, trust_env=False),
        note=(
            "`httpx.Client(trust_env=False)`, `ollama.Client(trust_env=False)`, `session.trust_env = False` of "
            "requests, `build_opener(ProxyHandler({}))` of urllib. `import ollama` makes a client of its own, with the "
            "machine's settings. `ollama.chat()` and the like use that client; they were not tried."
        ),
    ),
    _remedy(
        "requests-instead",
        "requests instead of httpx",
        "requests is the only stable one.",
        Source(_RETOLD, "requests is the only stable one."),
        *_libraries(AS_REPORTED),
        *_libraries(HTTP_PROXY),
    ),
    _remedy(
        "clear-variables",
        "`set http_proxy=`",
        "Clear the proxy variables.",
        Source(_RETOLD, "set http_proxy= and set https_proxy="),
        *_tried("`set http_proxy=`", AS_REPORTED, environment=environment("registry-and-empty-http-proxy")),
        changed(
            AS_REPORTED,
            'os.environ["http_proxy"] = ""',
            given=True,
            conditions=Conditions(
                environment=replace(AS_REPORTED.conditions.environment, variables={"http_proxy": ""})
            ),
        ),
        *_tried("`set HTTP_PROXY=`", HTTP_PROXY, environment=environment("nothing-set")),
        note="In cmd, `set name=` removes the variable. A system proxy is not a variable, so it stays.",
    ),
    _remedy(
        "another-ollama",
        "another Ollama version",
        "Upgrade Ollama.",
        Source(_RETOLD, "Upgrade Ollama."),
        *(
            one
            for where in (AS_REPORTED, HTTP_PROXY)
            for one in (
                changed(
                    where,
                    "answer of 0.5.7",
                    given=False,
                    conditions=replace(where.conditions, recording="0.5.7/generate-stream"),
                ),
                changed(where, "answer of 0.32.15", given=True, conditions=where.conditions),
            )
        ),
    ),
    _remedy(
        "another-host",
        "another host name in the URL",
        "Write localhost for 127.0.0.1, or the other way round.",
        Source(
            "https://github.com/datawhalechina/handy-ollama/issues/40",
            "An HTTP error for http://localhost, none for 127.0.0.1.",
        ),
        *_hosts(AS_REPORTED),
        *_hosts(_ONE_NAME),
        *_hosts(HTTP_PROXY),
    ),
    _remedy(
        "retrying",
        "retrying",
        "Try again.",
        Source("https://github.com/nearai/ironclaw/issues/1577", "Windows, 502 with an empty body, four tries."),
        *_tried("four times", AS_REPORTED, HTTP_PROXY, before="once", times=4),
    ),
    _remedy(
        "fresh-venv",
        "a fresh virtual environment",
        "Install everything again, away from other packages.",
        Source(_RETOLD, "A virtual environment."),
        *_tried("a fresh virtual environment", AS_REPORTED, HTTP_PROXY, fresh=True),
        note="It is made with `venv`, and sees the same installed libraries.",
    ),
    _remedy(
        "close-the-program",
        "closing the proxy program",
        "Close the VPN and try again.",
        Source("https://github.com/ollama/ollama/issues/7291", "Close your vpn and try again. – That's right."),
        *_in_environment("the program is gone, its setting is left", AS_REPORTED, HTTP_PROXY, proxy="gone"),
        note=(
            "A program that ends properly may remove its setting, and then there is no proxy. Here the setting "
            "stays, as after a crash."
        ),
    ),
]
