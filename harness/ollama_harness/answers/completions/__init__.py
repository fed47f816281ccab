"""What a model says, and how each API of each version of Ollama puts it into records.

`Wanted` is what a request wants, whatever API it came over. A `Maker` finds the nearest recorded answer, reads the
`Completion` in it, makes that fit, and writes it in the dialect of the route.
"""

from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.dialects import DIALECTS
from ollama_harness.answers.completions.fit import GAP_S, own_words, spoken
from ollama_harness.answers.completions.maker import Made, Maker
from ollama_harness.answers.completions.wanted import Wanted, wanted_of

__all__ = [
    "DIALECTS",
    "GAP_S",
    "Call",
    "Completion",
    "DoneReason",
    "Made",
    "Maker",
    "Piece",
    "Wanted",
    "own_words",
    "spoken",
    "wanted_of",
]
