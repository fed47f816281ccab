import json
import os

from llama_index.embeddings.ollama import OllamaEmbedding

ollama_embedding = OllamaEmbedding(model_name="embeddinggemma", base_url=os.environ["OLLAMA_HOST"])
vectors = ollama_embedding.get_text_embedding_batch(["This is a passage!", "This is another passage"])
query = ollama_embedding.get_query_embedding("Where is blue?")
print(json.dumps([len(vector) for vector in (*vectors, query)]))
