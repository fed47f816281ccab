import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.env.OLLAMA_HOST })
const batch = await ollama.embed({
  model: 'embeddinggemma',
  input: ['The quick brown fox jumps over the lazy dog.', 'The five boxing wizards jump quickly.'],
})
console.log(JSON.stringify(batch.embeddings.map((vector) => vector.length)))
