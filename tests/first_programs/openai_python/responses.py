from openai import OpenAI

client = OpenAI()

responses_result = client.responses.create(
    model="qwen3:8b",
    input="Write a short poem about the color blue",
)
print(responses_result.output_text)
