import json

from ollama import pull

print(json.dumps([progress.status for progress in pull("gemma3", stream=True)]))
