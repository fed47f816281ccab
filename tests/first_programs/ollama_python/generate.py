import ollama

response = ollama.generate(model="gemma3", prompt="Why is the sky blue?")
print(response["response"])
