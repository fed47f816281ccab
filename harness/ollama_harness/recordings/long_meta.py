"""A long meta file, read without an object for each of its frames.

A stream of 100 MB has a million frames, and a list of a million pairs takes several times the memory that their times
and sizes do. `recording_meta.dump` writes one pair a line, so they are read line by line.
"""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path
from typing import Any

from ollama_harness.recordings.unkept import Remade

__all__ = ["read_line_by_line"]

_BLANKS = rb"[ \t\r\n]*"
_OPENING = re.compile(rb'%b"frames":%b\[%b' % (_BLANKS, _BLANKS, _BLANKS))
_SECONDS = rb"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_PAIR = re.compile(rb"%b\[(%b), *([1-9][0-9]{0,14})\](,?)%b" % (_BLANKS, _SECONDS, _BLANKS))
_CLOSING = re.compile(rb"%b\](,?)%b" % (_BLANKS, _BLANKS))
#: Stands in the place of the pairs while the rest is read.
_ELSEWHERE = "read line by line"


def read_line_by_line(path: Path) -> dict[str, Any] | None:
    """The JSON object of a meta file; its `frames` are a sequence of pairs that are made when they are asked for.

    None if its lines are not as `recording_meta.dump` writes them, or are no JSON: then the file must be read whole,
    which also finds out what is wrong.

    Raises: OSError.
    """
    times, sizes, rest = array("d"), array("Q"), []
    with path.open("rb") as file:
        for line in file:
            rest.append(line)
            if _OPENING.fullmatch(line):
                break
        comma = b","
        for line in file:
            pair = _PAIR.fullmatch(line)
            if pair is None or not comma:
                break
            times.append(float(pair[1]))
            sizes.append(int(pair[2]))
            comma = pair[3]
        else:
            return None
        closing = _CLOSING.fullmatch(line)
        if closing is None or comma:  # no pairs at all are not worth the trouble
            return None
        rest[-1] = b'"frames": "%s"%s\n' % (_ELSEWHERE.encode(), closing[1])
        rest += file
    try:
        value = json.loads(b"".join(rest).decode())
    except ValueError:
        return None
    if not isinstance(value, dict) or value.get("frames") != _ELSEWHERE:  # they were the frames of something else
        return None
    return value | {"frames": Remade(lambda: zip(times, sizes, strict=True), len(times))}
