import os

import anthropic

client = anthropic.Anthropic(
    base_url=os.environ["OLLAMA_HOST"],
    api_key="ollama",  # required but ignored
)

message = client.messages.create(
    model="qwen3-coder",
    max_tokens=1024,
    system="You are a helpful assistant.",
    messages=[
        {"role": "user", "content": [{"type": "text", "text": "Hello there."}]},
        {"role": "assistant", "content": "Hi, I'm an assistant. How can I help you?"},
        {"role": "user", "content": "Can you explain LLMs in plain English?"},
    ],
)
print(message.content[0].text)
