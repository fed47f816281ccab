// How the application handles an Ollama that is busy, and a stream that is cut. `npm test` runs it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { Ollama } from 'ollama'
import { answer } from './answer.js'

let server, url
before(async () => {
  const options = ['--port', '0', '--print-url', '--exit-on-stdin-close', '--any-model']
  server = spawn('ollama-harness', ['serve', ...options], { stdio: ['pipe', 'pipe', 'inherit'] })
  ;[url] = await once(createInterface(server.stdout), 'line')
})
after(() => server.stdin.end())

async function harness(method, path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(`${url}/_harness/${path}`, { method, headers, body: JSON.stringify(body) })
  const text = await response.text()
  assert.ok(response.ok, text)
  return text && JSON.parse(text)
}

beforeEach(() => harness('POST', 'reset'))
afterEach(async () => {
  const verified = await harness('GET', 'verify')
  assert.ok(verified.ok, JSON.stringify(verified))
})

test('a busy server is asked once more', async () => {
  await harness('POST', 'programme/rules', { on: 'POST /api/chat #1', fail: '503: busy' })
  assert.match(await answer(new Ollama({ host: url }), 'Why is the sky blue?'), /\w/)
  const { entries } = await harness('GET', 'journal?path=/api/chat&settled=true')
  assert.deepEqual(entries.map(entry => entry.status), [503, 200])
})

test('a stream that is cut is not a whole answer', async () => {
  await harness('POST', 'programme/rules', { on: 'POST /api/chat #2', faults: ['close_at(after_record(3))'] })
  const ollama = new Ollama({ host: url })
  assert.match(await answer(ollama, 'Why is the sky blue?'), /\w/)
  await assert.rejects(answer(ollama, 'Why is the sky blue?'), /cut after ".+"/)
})
