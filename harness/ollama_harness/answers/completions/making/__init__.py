"""Answers that nobody recorded: the nearest recorded one made to fit a request, and words of the user's own."""

from ollama_harness.answers.completions.making.embedder import own_embedding, own_vectors
from ollama_harness.answers.completions.making.fit import own_words, spoken
from ollama_harness.answers.completions.making.maker import Made, Maker

__all__ = ["Made", "Maker", "own_embedding", "own_vectors", "own_words", "spoken"]
