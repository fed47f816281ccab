// ollama, the official library: https://github.com/ollama/ollama-js

import { Ollama } from "ollama";

export const library = "ollama";
export const yields = "record";

/** The function of the library for each request. */
const CALLS = {
  "POST /api/generate": "generate",
  "POST /api/chat": "chat",
  "POST /api/embed": "embed",
  "POST /api/embeddings": "embeddings",
  "POST /api/pull": "pull",
  "POST /api/push": "push",
  "POST /api/create": "create",
  "POST /api/show": "show",
  "GET /api/tags": "list",
  "GET /api/ps": "ps",
  "GET /api/version": "version",
};

const callOf = ({ method, path }) => CALLS[`${method} ${path}`];

export function unsupported(job) {
  const { method, path, headers, json, body } = job.request;
  if (!job.url) return "it does not read OLLAMA_HOST";
  if (!(callOf(job.request) in Ollama.prototype)) return `it has no call for ${method} ${path}`;
  if (headers.length) return "its calls take no headers";
  if (body !== null || (method === "POST" && (json === null || typeof json !== "object"))) return "its calls send only JSON objects";
  if (!["boolean", "undefined"].includes(typeof json?.stream)) return "its calls take stream: true or false only";
}

export function open(job) {
  return new Ollama({ host: job.url });
}

export async function* exchange(job, client) {
  const call = callOf(job.request);
  if (job.answer === "one") {
    yield await client[call](job.request.json);
    return;
  }
  const answer = await client[call]({ ...job.request.json, stream: true });
  try {
    yield* answer;
  } finally {
    (answer.abort ? answer : client).abort(); // in old versions only the client has it
  }
}
