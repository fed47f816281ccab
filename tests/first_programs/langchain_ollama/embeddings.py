import json

from langchain_ollama import OllamaEmbeddings

embed = OllamaEmbeddings(model="llama3")
vectors = embed.embed_documents(["Document 1...", "Document 2..."])
print(json.dumps([len(vector) for vector in (*vectors, embed.embed_query("The meaning of life is 42"))]))
