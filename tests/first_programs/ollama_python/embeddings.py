import json

import ollama

response = ollama.embeddings(model="nomic-embed-text", prompt="The sky is blue because of rayleigh scattering")
print(json.dumps([len(response["embedding"])]))
