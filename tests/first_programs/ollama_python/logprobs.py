import json

import ollama

response = ollama.chat(
    model="gemma3",
    messages=[{"role": "user", "content": "hi! be concise."}],
    logprobs=True,
    top_logprobs=3,
)
print(json.dumps([[one.token, one.logprob, len(one.top_logprobs)] for one in response["logprobs"]]))
