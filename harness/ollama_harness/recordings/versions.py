"""Versions of Ollama as servers report them: 0.6.0, 0.12.0-rc1, 0.6.0-12-gabc1234 (12 commits after 0.6.0).

Sources: https://github.com/ollama/ollama/tags for releases and candidates; `git describe --tags` names the builds
between them (scripts/env.sh there).
"""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.version import Version

__all__ = ["VERSION", "Order", "is_version", "order", "pep440"]

#: A version is the name of a folder on any system, and part of lines in reports.
VERSION = "up to 100 letters, digits and . + _ -, with a letter or a digit at each end"
_VERSION = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.+_-]{0,98}[0-9A-Za-z])?")

_NUMBERED = re.compile(r"v?(?P<release>\d+(?:\.\d+)*)(?P<rest>[^+]*)(?P<build>.*)", re.ASCII | re.DOTALL)
_DESCRIBED = re.compile(r"(?P<tag>.+)-(?P<commits>\d+)-(?P<commit>g[0-9a-f]+)", re.ASCII)

#: Kinds of parts, as they sort: a word (rc) comes before the end of a version, and a number after it.
_WORD, _END, _NUMBER = 0, 1, 2

#: A sort key for versions.
Order = tuple[tuple[int, ...], tuple[tuple[int, int, str], ...], str]


def is_version(text: str) -> bool:
    """Whether a text can be a version of Ollama (see `VERSION`)."""
    return _VERSION.fullmatch(text) is not None


@lru_cache(maxsize=256)
def order(version: str) -> Order:
    """The sort key of a version: 0.9.6, 0.12.0-rc2, 0.12.0-rc10, 0.12.0, 0.12.0-3-gabc1234, 0.12.1.

    A version that does not begin with a number (`main`) comes before all others.
    """
    match = _NUMBERED.fullmatch(version)
    if match is None:
        return (), (), version
    release = [int(part[:18]) for part in match["release"].split(".")]
    while release and not release[-1]:
        release.pop()
    parts = [
        (_NUMBER, int(part[:18]), "") if part[0] in "0123456789" else (_WORD, 0, part.lower())
        for part in re.findall(r"[0-9]+|[^\W\d_]+", match["rest"])
    ]
    return tuple(release) or (0,), (*parts, (_END, 0, "")), match["build"] + version


def pep440(version: str) -> Version | None:
    """The version for `packaging`, which compares it with ranges; None if it is none. Commits are post-releases."""
    match = _DESCRIBED.fullmatch(version)
    text = f"{match['tag']}.post{match['commits']}+{match['commit']}" if match else version
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or more digits than Python reads
        return None
