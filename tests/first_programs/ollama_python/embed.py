import json

import ollama

response = ollama.embed(model="embeddinggemma", input="The sky is blue because of rayleigh scattering")
print(json.dumps([len(vector) for vector in response.embeddings]))
