// @langchain/ollama: https://docs.langchain.com/oss/javascript/integrations/chat/ollama

import { ChatOllama } from "@langchain/ollama";
import { ofAnswer_ms } from "./limits.mjs";

export const library = "@langchain/ollama";
export const yields = "piece";

const SETTINGS = new Set(["model", "messages", "stream", "tools", "think", "format", "keep_alive", "options"]);

export function unsupported(job) {
  const { path, headers, json, body } = job.request;
  if (!job.url) return "it reads OLLAMA_BASE_URL, not OLLAMA_HOST";
  if (path !== "/api/chat") return `the adapter has no call for ${path}`;
  if (headers.length) return "its calls take no headers";
  if (body !== null || !Array.isArray(json?.messages)) return "its calls send only JSON objects with messages";
  const unknown = Object.keys(json).filter((key) => !SETTINGS.has(key));
  if (unknown.length) return `it has no setting for ${unknown.join(", ")}`;
  if (!json.model) return "it needs a model";
}

export function open(job) {
  const { model, think, format, keep_alive, options } = job.request.json;
  return new ChatOllama({ baseUrl: job.url, model, think, format, keepAlive: keep_alive, ...camelCased(options ?? {}) });
}

export async function* exchange(job, model) {
  const { messages, tools } = job.request.json;
  const runnable = tools ? model.bindTools(tools) : model;
  const history = messages.map(ofMessage);
  const settings = { timeout: ofAnswer_ms(job) };
  if (job.answer === "one") yield* pieces(await runnable.invoke(history, settings));
  else for await (const chunk of await runnable.stream(history, settings)) yield* pieces(chunk);
}

/** A message of Ollama's under the names of the library. */
function ofMessage({ role, content: text, images, tool_calls, tool_name }) {
  const calls = tool_calls?.map(({ function: { name, arguments: args } }) => ({ name, args, id: name, type: "tool_call" }));
  const parts = images?.map((image) => ({ type: "image_url", image_url: `data:image/png;base64,${image}` }));
  const content = parts ? [{ type: "text", text }, ...parts] : text;
  return { role, content, ...(calls && { tool_calls: calls }), ...(tool_name && { name: tool_name, tool_call_id: tool_name }) };
}

/** What a message says, or a part of one. */
function* pieces(message) {
  const { additional_kwargs, content, response_metadata, tool_call_chunks, tool_calls, usage_metadata } = message;
  if (additional_kwargs.reasoning_content) yield { thinking: additional_kwargs.reasoning_content };
  if (content) yield { text: content };
  const calls = tool_call_chunks ?? tool_calls ?? [];
  for (const { name, args, id, index } of calls) yield { tool_call: { name, arguments: args, id, index } };
  if (response_metadata.done_reason) yield { finish_reason: response_metadata.done_reason };
  if (usage_metadata) yield { usage: { input: usage_metadata.input_tokens, output: usage_metadata.output_tokens } };
}

/** Ollama's options under the names of the library. */
function camelCased(options) {
  const renamed = (key) => key.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [renamed(key), value]));
}
