import anthropic

client = anthropic.Anthropic()

with client.messages.stream(
    model="qwen3-coder",
    max_tokens=1024,
    messages=[{"role": "user", "content": "Count from 1 to 10"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
assert stream.get_final_message().stop_reason == "end_turn"
