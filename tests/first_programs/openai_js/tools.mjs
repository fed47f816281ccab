import OpenAI from 'openai'

const openai = new OpenAI()

const completion = await openai.chat.completions.create({
  model: 'llama3.1',
  messages: [{ role: 'user', content: 'What is the weather like in Paris today?' }],
  tools: [
    {
      type: 'function',
      function: {
        name: 'get_weather',
        description: 'Get current temperature for a given location.',
        parameters: { type: 'object', properties: { location: { type: 'string' } }, required: ['location'] },
      },
    },
  ],
})
for (const call of completion.choices[0].message.tool_calls ?? []) {
  console.log(JSON.stringify({ name: call.function.name, arguments: JSON.parse(call.function.arguments) }))
}
