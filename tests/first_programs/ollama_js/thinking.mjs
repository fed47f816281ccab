import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.env.OLLAMA_HOST })
const stream = await ollama.chat({
  model: 'deepseek-r1',
  messages: [{ role: 'user', content: 'What is 10 + 23' }],
  stream: true,
  think: true,
})
const said = { thinking: '', text: '' }
for await (const chunk of stream) {
  said.thinking += chunk.message.thinking ?? ''
  said.text += chunk.message.content
}
console.log(JSON.stringify(said))
