import json

import ollama

response = ollama.embed(
    model="embeddinggemma",
    input=["The quick brown fox", "jumps", "over the lazy dog"],
    dimensions=128,
)
print(json.dumps([len(vector) for vector in response.embeddings]))
