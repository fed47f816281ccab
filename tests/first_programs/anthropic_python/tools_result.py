import anthropic

client = anthropic.Anthropic()

tools = [
    {
        "name": "get_weather",
        "description": "Get the weather for a specific location",
        "input_schema": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    }
]
user_message = {"role": "user", "content": "What is the weather in SF?"}
message = client.messages.create(model="qwen3-coder", max_tokens=1024, messages=[user_message], tools=tools)
tool = next(block for block in message.content if block.type == "tool_use")
response = client.messages.create(
    model="qwen3-coder",
    max_tokens=1024,
    messages=[
        user_message,
        {"role": message.role, "content": message.content},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": tool.id,
                    "content": [{"type": "text", "text": "The weather is 73f"}],
                }
            ],
        },
    ],
    tools=tools,
)
print("".join(block.text for block in response.content if block.type == "text"))
