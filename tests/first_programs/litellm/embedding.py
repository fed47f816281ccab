import json

from litellm import embedding

response = embedding(model="ollama/nomic-embed-text", input=["good morning from litellm", "and good night"])
print(json.dumps([len(one["embedding"]) for one in response.data]))
