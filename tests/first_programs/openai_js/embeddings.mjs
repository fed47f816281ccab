import OpenAI from 'openai'

const openai = new OpenAI()

const embedding = await openai.embeddings.create({
  model: 'all-minilm',
  input: ['why is the sky blue?', 'why is the grass green?'],
})
console.log(JSON.stringify(embedding.data.map((one) => one.embedding.length)))
