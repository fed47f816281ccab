from litellm import completion

response = completion(
    model="ollama/llama2",
    messages=[{"role": "user", "content": "respond in json, what's the weather"}],
    format="json",
)
print(response.choices[0].message.content)
