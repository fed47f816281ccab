// @ai-sdk/openai-compatible, for Ollama's /v1: https://ai-sdk.dev/providers/openai-compatible-providers

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "./ai.mjs";

export const library = "@ai-sdk/openai-compatible";
export { yields } from "./ai.mjs";

/** Settings that the provider sends as they are given. */
const PASSED_ON = ["logprobs", "reasoning_effort", "response_format", "stream_options", "top_logprobs"];

export function unsupported(job) {
  return ai.unsupported(job, "/v1/chat/completions", ["model", "messages", "stream", "tools", "max_tokens", "temperature", "seed", ...PASSED_ON]);
}

export function open(job) {
  return createOpenAICompatible({ name: "ollama", baseURL: `${job.url}/v1`, apiKey: "ollama" });
}

export async function* exchange(job, provider) {
  const { model, stream, max_tokens, temperature, seed, ...others } = job.request.json;
  const passed = Object.fromEntries(Object.entries(others).filter(([key]) => PASSED_ON.includes(key)));
  yield* ai.exchange(job, stream, {
    model: provider(model),
    maxOutputTokens: max_tokens,
    temperature,
    seed,
    providerOptions: { ollama: passed },
  });
}
