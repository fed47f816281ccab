import json

from openai import OpenAI

client = OpenAI()

stream = client.chat.completions.create(
    model="llama3.2",
    messages=[{"role": "user", "content": "Say this is a test"}],
    stream=True,
    stream_options={"include_usage": True},
)
*_, last = stream
assert last.choices == []
print(json.dumps([last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens]))
