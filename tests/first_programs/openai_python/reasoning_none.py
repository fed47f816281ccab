from openai import OpenAI

client = OpenAI()

response = client.chat.completions.create(
    model="qwen3",
    reasoning_effort="none",
    messages=[{"role": "user", "content": "How many r's are in the word strawberry?"}],
)
message = response.choices[0].message
assert not getattr(message, "reasoning", None)
print(message.content)
