import json

import ollama
from langchain_ollama import ChatOllama

ollama.pull("deepseek-r1:8b")

llm = ChatOllama(model="deepseek-r1:8b", validate_model_on_init=True, temperature=0.8, reasoning=True)
message = llm.invoke("how many r in the word strawberry?")
print(json.dumps({"thinking": message.additional_kwargs["reasoning_content"], "text": message.content}))
