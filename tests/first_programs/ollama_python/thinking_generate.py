import json

from ollama import generate

response = generate("deepseek-r1", "why is the sky blue", think=True)
print(json.dumps({"thinking": response.thinking, "text": response.response}))
