// The application: it asks a busy server once more, and its user never takes a part for the whole answer.
export async function answer(ollama, prompt, attempt = 1) {
  let text = ''
  try {
    const messages = [{ role: 'user', content: prompt }]
    for await (const part of await ollama.chat({ model: 'llama3.2', messages, stream: true })) {
      text += part.message.content
    }
    return text
  } catch (error) {
    if (error.status_code === 503 && attempt === 1) return answer(ollama, prompt, 2)
    throw text ? new Error(`cut after "${text}"`, { cause: error }) : error
  }
}
