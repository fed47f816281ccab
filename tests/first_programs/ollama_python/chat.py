from ollama import ChatResponse, chat

response: ChatResponse = chat(
    model="gemma3",
    messages=[
        {
            "role": "user",
            "content": "Why is the sky blue?",
        },
    ],
)
assert response["message"]["content"] == response.message.content
print(response.message.content)
