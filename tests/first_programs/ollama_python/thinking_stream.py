import json

from ollama import chat

stream = chat(
    model="qwen3",
    messages=[{"role": "user", "content": "What is 17 × 23?"}],
    stream=True,
    think=True,
)
thinking = text = ""
for chunk in stream:
    if chunk.message.thinking:
        assert not text, "thinking comes before the answer"
        thinking += chunk.message.thinking
    elif chunk.message.content:
        text += chunk.message.content
print(json.dumps({"thinking": thinking, "text": text}))
