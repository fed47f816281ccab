import json

from ollama import ProcessResponse, chat, ps

chat(model="gemma3:1b", messages=[{"role": "user", "content": "Why is the sky blue?"}])
response: ProcessResponse = ps()
assert all(model.expires_at and model.size is not None and model.digest for model in response.models)
print(json.dumps([model.model for model in response.models]))
