import anthropic

client = anthropic.Anthropic()

stream = client.messages.create(
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello, how are you?"}],
    model="qwen3-coder",
    stream=True,
)
kinds = []
for event in stream:
    kinds.append(event.type)
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        print(event.delta.text, end="")
assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
