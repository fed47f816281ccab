"""docs/issue-9549.md: the report, explained by experiments that are run for the page.

python -m pages issue-9549
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ollama_harness.network.route import THROUGH_PROXY
from pages.experiments import EXPERIMENTS, ClaimKind, Experiment
from pages.experiments.conclusions import ExplanationGrade, RemedyGrade, TrialResult, answer, grade
from pages.experiments.experiment import NO_PROXY
from pages.experiments.trials import run
from pages.experiments.wording import alike, appears, conclusion, ends, names, not_fixed
from pages.page import Page, table

__all__ = ["page"]

_HEAD = """\
# 502 Bad Gateway from ollama and httpx on Windows, while requests works

[ollama/ollama#9549](https://github.com/ollama/ollama/issues/9549): on some Windows machines
`ollama.generate(stream=True)` and `httpx.stream()` fail, but requests gets its answer from the same URL:

```text
ollama._types.ResponseError:  (status code: 502)
httpx.HTTPStatusError: Server error '502 Bad Gateway' for url 'http://127.0.0.1:11434/api/generate'
```
"""

_METHOD = """\
## How it was measured

Each explanation and each remedy that people give is an experiment. A server on 127.0.0.1 plays recorded answers of a
real Ollama. Each client runs in its own process. The proxy answers 502 with an empty body, as local proxy programs
do when they cannot reach a target. The journals of the server and the proxy show which route a request took. In each
place, the trials of an experiment differ in one thing only. The conclusions are computed from the measurements.
`pages/experiments/` holds the experiments, and a run of them makes this page.

The places:

- **Windows system proxy**: environment `issue-9549`. ProxyServer is on, ProxyOverride excludes this machine, and there
  are no proxy variables. The libraries' own code for Windows runs, with a simulated registry.
- **HTTP_PROXY variable**: environment `http-proxy`. The variable names the proxy, and there is no NO_PROXY.
- **no proxy**: environment `nothing-set`.

An explanation is *the cause* if every trial with it has the 502 as reported (httpx and ollama get it, requests and
urllib do not), and no trial without it does. A remedy fixes the 502 if every request that got one gets the whole
answer.
"httpx" and "ollama" mean both the synchronous and the asynchronous client of the library.
"""

_FIXES = f"""\
```text
cmd           set NO_PROXY={NO_PROXY}
PowerShell    $env:NO_PROXY = '{NO_PROXY}'
sh            export NO_PROXY={NO_PROXY} no_proxy={NO_PROXY}
Python        ollama.Client(trust_env=False), httpx.Client(trust_env=False)
```

Once NO_PROXY is set, Python no longer reads the system proxy at all, for any host
([getproxies](https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies)). Set HTTPS_PROXY too for
programs that need the proxy for other hosts. [proxies.md](proxies.md) has more messages, settings and libraries.
"""

_REPRODUCE = """\
## See it yourself

```sh
ollama-harness run --scenario issue-9549             # every client in that environment, on any system
ollama-harness doctor --environment issue-9549       # each client's route, the setting behind it, and what fixes it
ollama-harness doctor                                # the same for your own machine
python -m pages --check issue-9549                   # run all experiments again
```

These were not measured here: the machines of the report, real Windows sockets, proxy scripts (PAC), and programs that
do not use Python's libraries. Only a part of the issue was read, so an explanation that is only there may be missing.
"""


def page(seen: Mapping[str, Sequence[TrialResult]]) -> str:
    """The whole page, in Markdown. `seen` holds what was measured for each experiment."""
    explanations = [one for one in EXPERIMENTS.values() if one.kind is ClaimKind.EXPLANATION]
    remedies = [one for one in EXPERIMENTS.values() if one.kind is ClaimKind.REMEDY]
    parts = [
        _HEAD,
        *_in_short(seen),
        "## What causes it\n",
        *table(
            ("explanation", "502 as reported: with it", "without it", "conclusion"),
            (
                (_link(one), appears(each, given=True), appears(each, given=False), answer(each))
                for one, each in ((one, seen[one.name]) for one in explanations)
            ),
        ),
        "## What fixes it\n",
        *table(
            ("remedy", "fixes the 502?", "where it does not help, and what happens there"),
            ((_link(one), grade(seen[one.name]), not_fixed(seen[one.name])) for one in remedies),
        ),
        _METHOD,
        "## The explanations, one by one\n",
        *(line for one in explanations for line in _detail(one, seen[one.name])),
        "## The remedies, one by one\n",
        *(line for one in remedies for line in _detail(one, seen[one.name])),
        _REPRODUCE,
        *_sources([*explanations, *remedies]),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _in_short(seen: Mapping[str, Sequence[TrialResult]]) -> Iterator[str]:
    """The cause and the fix, if that is what was measured."""
    causes = [EXPERIMENTS[name].title for name, each in seen.items() if _is_cause(name, each)]
    fixes = [EXPERIMENTS[name].title for name, each in seen.items() if _fixes_everywhere(name, each)]
    reported = seen["system-proxy"][0].last.values()
    hit, spared = (names(one.client for one in reported if (one.status == 502) is wanted) for wanted in (True, False))
    yield f"**Why:** {' with '.join(causes) or 'the trials do not explain it'}."
    yield f"{hit} use the proxy for a server on this machine, and the proxy answers 502; {spared} do not use it.\n"
    yield f"**What fixes it:** {' or '.join(fixes) or 'none of the remedies tried'}.\n"
    yield _FIXES
    yield "What each client did, in environment `issue-9549`:\n"
    rows = (
        (name, "the proxy" if first.route in THROUGH_PROXY else "the server", f"`{first.asked}`", first.end)
        for name, first in alike(reported)
    )
    yield from table(("client", "connected to", "request line", "result"), rows)


def _is_cause(name: str, seen: Sequence[TrialResult]) -> bool:
    causes = (ExplanationGrade.MAKES_IT, ExplanationGrade.MAKES_THE_DIFFERENCE)
    return EXPERIMENTS[name].kind is ClaimKind.EXPLANATION and answer(seen) in causes


def _fixes_everywhere(name: str, seen: Sequence[TrialResult]) -> bool:
    return EXPERIMENTS[name].kind is ClaimKind.REMEDY and grade(seen) is RemedyGrade.ALL


def _link(one: Experiment) -> str:
    return f"[{one.title}](#{one.name})"


def _detail(one: Experiment, seen: Sequence[TrialResult]) -> Iterator[str]:
    yield f'<a id="{one.name}"></a>\n\n### {one.title[0].upper()}{one.title[1:]}\n'
    said = f" ([source]({one.source.url}))" if one.source else " (often claimed; no source found)"
    yield f"*{one.claim}*{said}{f' {one.note}' if one.note else ''}\n"
    yield from table(
        ("place", "trial", "clients", "route", "end"),
        (
            (each.trial.where, each.trial.what, name, first.route, ends(each, first.client))
            for each in seen
            for name, first in alike(each.last.values())
        ),
    )
    yield f"{conclusion(one, seen)}\n"


def _sources(experiments: Iterable[Experiment]) -> Iterator[str]:
    yield "## Sources\n"
    says: dict[str, list[str]] = {}
    for one in experiments:
        if one.source and one.source.says not in says.setdefault(one.source.url, []):
            says[one.source.url].append(one.source.says)
    for url, each in says.items():
        yield f"- <{url}>: {' '.join(f'{text.rstrip(chr(46))}.' for text in each)}"


PAGE = Page(name="issue-9549", make=lambda _: page(run(EXPERIMENTS.values())))
