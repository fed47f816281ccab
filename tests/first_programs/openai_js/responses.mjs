import OpenAI from 'openai'

const openai = new OpenAI()

const responsesResult = await openai.responses.create({
  model: 'qwen3:8b',
  input: 'Write a short poem about the color blue',
})
console.log(responsesResult.output_text)
