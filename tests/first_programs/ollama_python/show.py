import json

from ollama import ShowResponse, show

response: ShowResponse = show("gemma3")
assert response.modified_at and response.modelinfo and response.details
print(json.dumps(response.capabilities))
