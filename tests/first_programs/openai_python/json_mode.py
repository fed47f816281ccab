from openai import OpenAI

client = OpenAI()

response = client.chat.completions.create(
    model="llama3.2",
    messages=[
        {"role": "system", "content": "You are a helpful assistant designed to output JSON."},
        {"role": "user", "content": "Who won the world series in 2020?"},
    ],
    response_format={"type": "json_object"},
)
print(response.choices[0].message.content)
