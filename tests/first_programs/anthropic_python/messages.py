import anthropic

client = anthropic.Anthropic()

message = client.messages.create(
    model="qwen3-coder",
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello, how are you?"}],
)
assert message.role == "assistant" and message.stop_reason == "end_turn"
print(message.content[0].text)
