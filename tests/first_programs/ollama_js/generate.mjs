import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.env.OLLAMA_HOST })
for await (const part of await ollama.generate({ model: 'gemma3', prompt: 'Why is the sky blue?', stream: true })) {
  process.stdout.write(part.response)
}
