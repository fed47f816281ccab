"""docs/issue-9549.md: the report taken apart, made from experiments that are run for it.

python -m pages issue-9549
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pages.experiments import EXPERIMENTS, ClaimKind, Experiment
from pages.experiments.conclusions import ExplanationGrade, RemedyGrade, TrialResult, answer, grade
from pages.experiments.experiment import NO_PROXY
from pages.experiments.trials import run
from pages.experiments.wording import alike, appears, conclusion, ends, names, not_mended
from pages.page import Page, table

__all__ = ["page"]

_HEAD = """\
# 502 Bad Gateway from ollama and httpx on Windows, while requests works

[ollama/ollama#9549](https://github.com/ollama/ollama/issues/9549): on some Windows machines
`ollama.generate(stream=True)` and `httpx.stream()` fail, and requests gets its answer from the same URL:

```text
ollama._types.ResponseError:  (status code: 502)
httpx.HTTPStatusError: Server error '502 Bad Gateway' for url 'http://127.0.0.1:11434/api/generate'
```
"""

_METHOD = """\
## How it was measured

Each explanation and each remedy that people give is an experiment. Recorded answers of a real Ollama are played by a
server on 127.0.0.1, each client runs in a process of its own, and the proxy answers 502 with an empty body, as local
proxy programs do when they cannot reach a target. Which way a request went is told by the journals of the server and
the proxy. In each place, the trials of an experiment differ in one thing only. What follows is computed from what was
measured; `pages/experiments/` holds the experiments, and this page is made from a run of them.

The places:

- **Windows system proxy**: environment `issue-9549`. ProxyServer is on, ProxyOverride excludes this machine, and there
  are no proxy variables. The libraries' own code for Windows runs, on a stand-in for the registry.
- **HTTP_PROXY variable**: environment `http-proxy`. The variable names the proxy, and there is no NO_PROXY.
- **no proxy**: environment `nothing-set`.

An explanation is *the cause* if the 502 as reported (httpx and ollama get it, requests and urllib do not) is there in
every trial with it, and in none without. A remedy fixes the 502 if every request that got one gets the whole answer.
httpx and ollama stand for both their halves, with threads and with asyncio.
"""

_MENDS = f"""\
```text
cmd           set NO_PROXY={NO_PROXY}
PowerShell    $env:NO_PROXY = '{NO_PROXY}'
sh            export NO_PROXY={NO_PROXY} no_proxy={NO_PROXY}
Python        ollama.Client(trust_env=False), httpx.Client(trust_env=False)
```

Once NO_PROXY is set, Python no longer reads the system proxy at all, for any host
([getproxies](https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies)): programs that need it
for other hosts get HTTPS_PROXY too. More messages, settings and libraries: [proxies.md](proxies.md).
"""

_REPRODUCE = """\
## See it yourself

```sh
ollama-harness run --scenario issue-9549             # every client in that environment, on any system
ollama-harness doctor --environment issue-9549       # which way each client goes, by which rule, and what fixes it
ollama-harness doctor                                # the same for your own machine
python -m pages --check issue-9549    # run all experiments again
```

Not measured here: the machines of the report, real Windows sockets, proxy scripts (PAC), and programs that do not use
Python's libraries. The issue itself was read in part, so an explanation that stands only there may be missing.
"""


def page(seen: Mapping[str, Sequence[TrialResult]]) -> str:
    """The whole page, in Markdown. `seen` holds what was measured for each experiment."""
    explanations = [one for one in EXPERIMENTS.values() if one.kind is ClaimKind.EXPLANATION]
    remedies = [one for one in EXPERIMENTS.values() if one.kind is ClaimKind.REMEDY]
    parts = [
        _HEAD,
        *_in_short(seen),
        "## What it comes from\n",
        *table(
            ("explanation", "502 as reported: with it", "without it", "so it is"),
            (
                (_link(one), appears(each, given=True), appears(each, given=False), answer(each))
                for one, each in ((one, seen[one.name]) for one in explanations)
            ),
        ),
        "## What fixes it\n",
        *table(
            ("remedy", "fixes the 502?", "where it does not help, and what comes instead"),
            ((_link(one), grade(seen[one.name]), not_mended(seen[one.name])) for one in remedies),
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
    mended = [EXPERIMENTS[name].title for name, each in seen.items() if _mends_everywhere(name, each)]
    reported = seen["system-proxy"][0].last.values()
    hit, spared = (names(one.client for one in reported if (one.status == 502) is wanted) for wanted in (True, False))
    yield f"**Why:** {' with '.join(causes) or 'not explained by what was tried'}."
    yield f"{hit} ask the proxy for what is on this machine, and it says 502; {spared} do not ask it.\n"
    yield f"**What fixes it:** {' or '.join(mended) or 'nothing that was tried'}.\n"
    yield _MENDS
    yield "What arrived, in environment `issue-9549`:\n"
    rows = (
        (name, "the proxy" if first.route.through_proxy else "the server", f"`{first.asked}`", first.end)
        for name, first in alike(reported)
    )
    yield from table(("client", "asked", "with", "and got"), rows)


def _is_cause(name: str, seen: Sequence[TrialResult]) -> bool:
    causes = (ExplanationGrade.MAKES_IT, ExplanationGrade.MAKES_THE_DIFFERENCE)
    return EXPERIMENTS[name].kind is ClaimKind.EXPLANATION and answer(seen) in causes


def _mends_everywhere(name: str, seen: Sequence[TrialResult]) -> bool:
    return EXPERIMENTS[name].kind is ClaimKind.REMEDY and grade(seen) is RemedyGrade.ALL


def _link(one: Experiment) -> str:
    return f"[{one.title}](#{one.name})"


def _detail(one: Experiment, seen: Sequence[TrialResult]) -> Iterator[str]:
    yield f'<a id="{one.name}"></a>\n\n### {one.title[0].upper()}{one.title[1:]}\n'
    said = f" ([source]({one.source.url}))" if one.source else " (often said; no source found)"
    yield f"*{one.claim}*{said}{f' {one.note}' if one.note else ''}\n"
    yield from table(
        ("place", "trial", "clients", "way", "end"),
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
