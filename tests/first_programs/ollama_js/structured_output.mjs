import { Ollama } from 'ollama'
import { z } from 'zod'

const ollama = new Ollama({ host: process.env.OLLAMA_HOST })
const Country = z.object({
  name: z.string(),
  capital: z.string(),
  languages: z.array(z.string()),
})

const response = await ollama.chat({
  model: 'llama3.1',
  messages: [{ role: 'user', content: 'Tell me about Canada.' }],
  format: z.toJSONSchema(Country),
})
console.log(JSON.stringify(Country.parse(JSON.parse(response.message.content))))
