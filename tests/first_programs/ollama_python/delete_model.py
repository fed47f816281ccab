import ollama

ollama.pull("gemma3:270m")
print(ollama.delete("gemma3:270m").status)
try:
    ollama.delete("gemma3:270m")
except ollama.ResponseError as e:
    print(e.status_code)
