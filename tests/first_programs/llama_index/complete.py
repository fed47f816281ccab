import os

from llama_index.llms.ollama import Ollama

llm = Ollama(model="llama3.1:latest", base_url=os.environ["OLLAMA_HOST"], request_timeout=120.0)
print(llm.complete("Who is Paul Graham?"))
