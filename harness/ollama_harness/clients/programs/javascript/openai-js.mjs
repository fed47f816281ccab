// openai's chat completions and completions: https://github.com/openai/openai-node#streaming-responses

import * as openai from "./openai.mjs";

export { library, open, yields } from "./openai.mjs";

export function unsupported(job) {
  return openai.unsupported(job, ["/v1/chat/completions", "/v1/completions"]);
}

export async function* exchange(job, client) {
  const calls = job.request.path === "/v1/completions" ? client.completions : client.chat.completions;
  for await (const part of openai.parts(job, calls.create.bind(calls))) yield* pieces(part);
}

/** What an answer says, or a part of one. */
function* pieces(part) {
  const choice = part?.choices?.[0];
  const message = choice?.delta ?? choice?.message ?? {};
  if (message.role) yield { role: message.role };
  if (message.reasoning) yield { thinking: message.reasoning };
  const text = message.content ?? choice?.text;
  if (text) yield { text };
  for (const call of message.tool_calls ?? []) {
    const { name, arguments: text } = call.function ?? {};
    yield { tool_call: { name: name || undefined, arguments: text ?? "", id: call.id, index: call.index } };
  }
  if (choice?.finish_reason) yield { finish_reason: choice.finish_reason };
  const usage = part?.usage;
  if (usage) yield { usage: { input: usage.prompt_tokens, output: usage.completion_tokens } };
}
