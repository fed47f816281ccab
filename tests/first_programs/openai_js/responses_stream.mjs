import OpenAI from 'openai'

const openai = new OpenAI()

const stream = await openai.responses.create({ model: 'qwen3:8b', input: 'Say "Sheep sleep deep" ten times fast!', stream: true })
for await (const event of stream) {
  if (event.type === 'response.output_text.delta') process.stdout.write(event.delta)
}
