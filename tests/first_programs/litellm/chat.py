from litellm import completion

response = completion(
    model="ollama_chat/llama2",
    messages=[{"content": "respond in 20 words. who are you?", "role": "user"}],
)
print(response.choices[0].message.content)
