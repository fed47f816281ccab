// openai, for Ollama's /v1: https://github.com/openai/openai-node

import OpenAI from "openai";
import { ofSilence_ms } from "./limits.mjs";

export const library = "openai";
export const yields = "piece";

/** Why a client that has calls for these paths cannot do a job. */
export function unsupported(job, paths) {
  const { path, json, body } = job.request;
  if (!job.url) return "it does not read OLLAMA_HOST";
  if (!paths.includes(path)) return `it has no call for ${path}`;
  if (body !== null || json === null || typeof json !== "object") return "its calls send only JSON objects";
}

export function open(job) {
  return new OpenAI({ baseURL: `${job.url}/v1`, apiKey: "ollama", timeout: ofSilence_ms(job) });
}

/** The answer of a call, or each of its parts. */
export async function* parts(job, create) {
  const answer = await create(job.request.json, { headers: Object.fromEntries(job.request.headers) });
  if (job.request.json.stream) yield* answer;
  else yield answer;
}
