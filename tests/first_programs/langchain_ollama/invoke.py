import ollama
from langchain_ollama import ChatOllama

ollama.pull("llama3.1")

model = ChatOllama(
    model="llama3.1",
    validate_model_on_init=True,
    temperature=0.8,
    num_predict=256,
)
messages = [
    ("system", "You are a helpful translator. Translate the user sentence to French."),
    ("human", "I love programming."),
]
message = model.invoke(messages)
assert message.usage_metadata["total_tokens"] and message.response_metadata["done_reason"] == "stop"
print(message.content)
