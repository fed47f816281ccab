import OpenAI from 'openai'

const openai = new OpenAI()

const names = []
for await (const model of openai.models.list()) names.push(model.id)
console.log(JSON.stringify(names))
