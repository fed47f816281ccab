import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.env.OLLAMA_HOST })
const response = await ollama.chat({
  model: 'llama3.1',
  messages: [{ role: 'user', content: 'What is the flight time from New York (NYC) to Los Angeles (LAX)?' }],
  tools: [
    {
      type: 'function',
      function: {
        name: 'get_flight_times',
        description: 'Get the flight times between two cities',
        parameters: {
          type: 'object',
          properties: {
            departure: { type: 'string', description: 'The departure city (airport code)' },
            arrival: { type: 'string', description: 'The arrival city (airport code)' },
          },
          required: ['departure', 'arrival'],
        },
      },
    },
  ],
})
for (const call of response.message.tool_calls ?? []) {
  console.log(JSON.stringify(call.function))
}
