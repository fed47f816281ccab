from langchain_ollama import ChatOllama

model = ChatOllama(model="llama3.1")
for chunk in model.stream("Return the words Hello World!"):
    print(chunk.text, end="")
