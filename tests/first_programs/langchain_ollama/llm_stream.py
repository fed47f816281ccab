from langchain_ollama import OllamaLLM

for token in OllamaLLM(model="llama3.1").stream("Come up with 10 names for a song about parrots"):
    print(token, end="")
