import OpenAI from 'openai'

const openai = new OpenAI()

const chatCompletion = await openai.chat.completions.create({
  messages: [{ role: 'user', content: 'Say this is a test' }],
  model: 'llama3.2',
})
console.log(chatCompletion.choices[0].message.content)
