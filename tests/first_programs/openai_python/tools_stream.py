import json

from openai import OpenAI

client = OpenAI()

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get current temperature for a given location.",
            "parameters": {
                "type": "object",
                "properties": {"location": {"type": "string", "description": "City and country e.g. Bogotá, Colombia"}},
                "required": ["location"],
            },
        },
    }
]

stream = client.chat.completions.create(
    model="llama3.1",
    messages=[{"role": "user", "content": "What is the weather like in Paris today?"}],
    tools=tools,
    stream=True,
)
final_tool_calls = {}
for chunk in stream:
    for tool_call in chunk.choices[0].delta.tool_calls or []:
        index = tool_call.index
        if index not in final_tool_calls:
            final_tool_calls[index] = tool_call
        else:
            final_tool_calls[index].function.arguments += tool_call.function.arguments
for call in final_tool_calls.values():
    print(json.dumps({"name": call.function.name, "arguments": json.loads(call.function.arguments)}))
