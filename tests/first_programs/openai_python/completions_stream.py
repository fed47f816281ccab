from openai import OpenAI

client = OpenAI()

for chunk in client.completions.create(model="llama3.2", prompt="Say this is a test", stream=True):
    print(chunk.choices[0].text, end="")
