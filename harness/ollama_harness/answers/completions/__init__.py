"""What a model says, and how each API of each version of Ollama puts it into records.

`Wanted` is what a request wants, whatever API it came over. A `Maker` finds the nearest recorded answer, reads the
`Completion` in it, makes that fit (`making`), and writes it in the dialect of the route (`dialects`).
"""

from ollama_harness.answers.completions.completion import Call, Completion, DoneReason, Piece
from ollama_harness.answers.completions.dialects import DIALECTS, EMBEDDING_ROUTES, answered, embedded
from ollama_harness.answers.completions.making import Made, Maker, own_embedding, own_vectors, own_words, spoken
from ollama_harness.answers.completions.wanted import Wanted, wanted_of

__all__ = [
    "DIALECTS",
    "EMBEDDING_ROUTES",
    "Call",
    "Completion",
    "DoneReason",
    "Made",
    "Maker",
    "Piece",
    "Wanted",
    "answered",
    "embedded",
    "own_embedding",
    "own_vectors",
    "own_words",
    "spoken",
    "wanted_of",
]
