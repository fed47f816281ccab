import json

from ollama import chat

response = chat(
    model="deepseek-r1",
    messages=[{"role": "user", "content": "What is 10 + 23?"}],
    think=True,
)
print(json.dumps({"thinking": response.message.thinking, "text": response.message.content}))
