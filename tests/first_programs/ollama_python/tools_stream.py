import json

from ollama import chat


def add_two_numbers(a: int, b: int) -> int:
    """
    Add two numbers

    Args:
      a (int): The first number
      b (int): The second number

    Returns:
      int: The sum of the two numbers
    """
    return a + b


stream = chat(
    "llama3.1",
    messages=[{"role": "user", "content": "What is three plus one?"}],
    tools=[add_two_numbers],
    stream=True,
)
for chunk in stream:
    for call in chunk.message.tool_calls or []:
        print(json.dumps({"name": call.function.name, "arguments": dict(call.function.arguments)}))
