from openai import OpenAI

client = OpenAI()

stream = client.responses.create(
    model="qwen3:8b",
    instructions="Talk like a pirate.",
    input=[{"role": "user", "content": "Say 'double bubble bath' ten times fast."}],
    stream=True,
)
kinds = []
for event in stream:
    kinds.append(event.type)
    if event.type == "response.output_text.delta":
        print(event.delta, end="")
assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
