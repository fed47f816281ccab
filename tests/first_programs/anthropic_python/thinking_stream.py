import json

import anthropic

client = anthropic.Anthropic()

said = {"thinking": "", "text": ""}
with client.messages.stream(
    model="qwen3",
    max_tokens=3200,
    thinking={"type": "enabled", "budget_tokens": 1600},
    messages=[{"role": "user", "content": "Create a haiku about Anthropic."}],
) as stream:
    for event in stream:
        if event.type == "thinking":
            said["thinking"] += event.thinking
        elif event.type == "text":
            said["text"] += event.text
print(json.dumps(said))
