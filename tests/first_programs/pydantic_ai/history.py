from pydantic_ai import Agent

agent = Agent("ollama:llama3.2", instructions="Be a helpful assistant.")

result1 = agent.run_sync("Tell me a joke.")
result2 = agent.run_sync("Explain?", message_history=result1.new_messages())
assert len(result2.all_messages()) == 4
print(result2.output)
