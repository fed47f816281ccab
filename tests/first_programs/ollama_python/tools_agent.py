from ollama import ChatResponse, chat


def add(a: int, b: int) -> int:
    """Add two numbers"""
    """
    Args:
      a: The first number
      b: The second number

    Returns:
      The sum of the two numbers
    """
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers"""
    return a * b


available_functions = {
    "add": add,
    "multiply": multiply,
}

messages = [{"role": "user", "content": "What is (11434+12341)*412?"}]
for _turn in range(5):
    response: ChatResponse = chat(
        model="qwen3",
        messages=messages,
        tools=[add, multiply],
        think=True,
    )
    messages.append(response.message)
    if response.message.tool_calls:
        for call in response.message.tool_calls:
            result = available_functions[call.function.name](**call.function.arguments)
            messages.append({"role": "tool", "tool_name": call.function.name, "content": str(result)})
    else:
        # end the loop when there are no more tool calls
        break
else:
    raise SystemExit("the model calls tools again and again")
print(response.message.content)
