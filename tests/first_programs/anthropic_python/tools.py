import json

import anthropic

client = anthropic.Anthropic()

message = client.messages.create(
    model="qwen3-coder",
    max_tokens=1024,
    tools=[
        {
            "name": "get_weather",
            "description": "Get the current weather in a location",
            "input_schema": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
                },
                "required": ["location"],
            },
        }
    ],
    messages=[{"role": "user", "content": "What's the weather in San Francisco?"}],
)
assert message.stop_reason == "tool_use"
for block in message.content:
    if block.type == "tool_use":
        assert block.id
        print(json.dumps({"name": block.name, "arguments": block.input}))
