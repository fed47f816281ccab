import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.env.OLLAMA_HOST })
let status
for await (const part of await ollama.pull({ model: 'qwen3:0.6b', stream: true })) {
  status = part.status
}
if (status !== 'success') throw new Error(`pull ended with ${status}`)
await ollama.copy({ source: 'qwen3:0.6b', destination: 'mine-js' })
await ollama.create({ model: 'mario-js', from: 'mine-js', system: 'You are mario from Super Mario Bros.' })
await ollama.show({ model: 'mario-js' })
await ollama.generate({ model: 'mine-js', prompt: '' })
const running = (await ollama.ps()).models.map((model) => model.name)
if (!running.includes('mine-js:latest')) throw new Error(`not running: ${running}`)
await ollama.delete({ model: 'mario-js' })
console.log(JSON.stringify((await ollama.list()).models.map((model) => model.name)))
