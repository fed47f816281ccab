import base64

from ollama import chat

# One red pixel, as a PNG.
image = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")

response = chat(
    model="gemma3",
    messages=[{"role": "user", "content": "What is in this image? Be concise.", "images": [image]}],
)
print(response.message.content)
