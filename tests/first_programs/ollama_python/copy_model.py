import ollama

ollama.pull("gemma3")
print(ollama.copy("gemma3", "user/gemma3").status)
print(ollama.show("user/gemma3").details.format)
