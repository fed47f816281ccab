// ollama-ai-provider-v2, the provider for Ollama's own API that most use: https://github.com/nordwestt/ollama-ai-provider-v2

import { jsonSchema, Output } from "ai";
import { createOllama } from "ollama-ai-provider-v2";
import * as ai from "./ai.mjs";

export const library = "ollama-ai-provider-v2";
export { yields } from "./ai.mjs";

export function unsupported(job) {
  const reason = ai.unsupported(job, "/api/chat", ["model", "messages", "stream", "tools", "format", "think", "options"]);
  if (reason) return reason;
  const { options, think } = job.request.json;
  if (!["boolean", "undefined"].includes(typeof think)) return "it sends think: true or false only";
  if (Object.values(options ?? {}).some((one) => typeof one === "string")) return "its types refuse options that are text";
}

export function open(job) {
  return createOllama({ baseURL: `${job.url}/api` });
}

export async function* exchange(job, provider) {
  const { model, format, think, options } = job.request.json;
  yield* ai.exchange(job, job.answer !== "one", {
    model: provider(model),
    output: format && (format === "json" ? Output.json() : Output.object({ schema: jsonSchema(format) })),
    providerOptions: { ollama: { think, options } },
  });
}
