import json

import anthropic

client = anthropic.Anthropic()

message = client.messages.create(
    model="qwen3",
    max_tokens=3200,
    thinking={"type": "enabled", "budget_tokens": 1600},
    messages=[{"role": "user", "content": "How many prime numbers are there below 100?"}],
)
print(
    json.dumps(
        {
            "thinking": "".join(block.thinking for block in message.content if block.type == "thinking"),
            "text": "".join(block.text for block in message.content if block.type == "text"),
        }
    )
)
