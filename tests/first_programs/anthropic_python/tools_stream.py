import json

import anthropic

client = anthropic.Anthropic()

with client.messages.stream(
    model="qwen3-coder",
    max_tokens=1024,
    tools=[
        {
            "name": "get_weather",
            "description": "Get the weather at a specific location",
            "input_schema": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                    "units": {"type": "string", "enum": ["c", "f"], "description": "Unit for the output"},
                },
                "required": ["location"],
            },
        }
    ],
    messages=[{"role": "user", "content": "What is the weather in SF?"}],
) as stream:
    for event in stream:
        if event.type == "content_block_stop" and event.content_block.type == "tool_use":
            print(json.dumps({"name": event.content_block.name, "arguments": event.content_block.input}))
