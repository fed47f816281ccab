import json

import ollama

response = ollama.embed(
    model="all-minilm",
    input=["The sky is blue because of rayleigh scattering", "Grass is green because of chlorophyll"],
)
print(json.dumps([len(vector) for vector in response["embeddings"]]))
