from ollama import chat

response = chat(
    model="llama3.2",
    messages=[{"role": "user", "content": "Tell me about Canada in one line. Answer in JSON."}],
    format="json",
)
print(response.message.content)
