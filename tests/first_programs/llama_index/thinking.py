import json
import os

from llama_index.llms.ollama import Ollama

llm = Ollama(model="qwen3:8b", base_url=os.environ["OLLAMA_HOST"], request_timeout=360.0, thinking=True)
response = llm.complete("What is 32 / 4?")
print(json.dumps({"thinking": response.additional_kwargs["thinking"], "text": response.text}))
