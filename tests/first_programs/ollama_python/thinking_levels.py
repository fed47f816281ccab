import json

from ollama import chat

for level in ("low", "medium", "high"):
    response = chat(
        "gpt-oss:20b",
        messages=[{"role": "user", "content": "What is 10 + 23?"}],
        think=level,
    )
    print(json.dumps({"thinking": response.message.thinking, "text": response.message.content}))
