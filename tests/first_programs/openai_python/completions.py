from openai import OpenAI

client = OpenAI()

completion = client.completions.create(
    model="llama3.2",
    prompt="Say this is a test",
)
print(completion.choices[0].text)
