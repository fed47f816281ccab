// The AI SDK, whose providers translate: https://ai-sdk.dev/docs/ai-sdk-core/generating-text

import { generateText, jsonSchema, streamText, tool } from "ai";
import { ofAnswer_ms, ofSilence_ms } from "./limits.mjs";

export const yields = "piece";

/** Why a provider that sends these settings to a path cannot do a job. */
export function unsupported(job, route, settings) {
  const { path, headers, json, body } = job.request;
  if (!job.url) return "it does not read OLLAMA_HOST";
  if (path !== route) return `it has no call for ${path}`;
  if (headers.length) return "the adapter sends no headers";
  if (body !== null || !json?.messages?.length) return "its calls send only JSON objects with messages";
  const unknown = Object.keys(json).filter((key) => !settings.includes(key));
  if (unknown.length) return `it has no setting for ${unknown.join(", ")}`;
  if (!json.model) return "it needs a model";
}

/** What the model says. `settings` are those of this provider. */
export async function* exchange(job, streams, settings) {
  const { messages, tools } = job.request.json;
  const stop = new AbortController();
  const call = {
    messages: messages.map(ofMessage),
    tools: tools && Object.fromEntries(tools.map(ofTool)),
    allowSystemInMessages: true,
    abortSignal: stop.signal,
    ...settings,
  };
  if (!streams) {
    yield* whole(await generateText({ ...call, timeout: ofAnswer_ms(job) }));
    return;
  }
  const timeout = { firstChunkMs: ofSilence_ms(job), chunkMs: ofSilence_ms(job) };
  try {
    for await (const part of streamText({ ...call, timeout, onError: () => {} }).fullStream) yield* pieces(part);
  } finally {
    stop.abort();
  }
}

/** A message of Ollama's under the names of the SDK. */
function ofMessage({ role, content, images, tool_calls, tool_name }) {
  if (role === "tool") {
    const output = { type: "text", value: content };
    return { role, content: [{ type: "tool-result", toolCallId: tool_name, toolName: tool_name, output }] };
  }
  if (images) return { role, content: [{ type: "text", text: content }, ...images.map((image) => ({ type: "image", image }))] };
  if (!tool_calls) return { role, content };
  const calls = tool_calls.map(({ function: { name, arguments: input } }) => ({ type: "tool-call", toolCallId: name, toolName: name, input }));
  return { role, content: [{ type: "text", text: content }, ...calls] };
}

const ofTool = ({ function: { name, description, parameters } }) => [
  name,
  tool({ description, inputSchema: jsonSchema(parameters) }),
];

function* pieces(part) {
  switch (part.type) {
    case "text-delta":
      yield { text: part.text };
      break;
    case "reasoning-delta":
      yield { thinking: part.text };
      break;
    case "tool-call":
      yield callOf(part);
      break;
    case "error":
      yield { error: `${part.error?.name ?? "error"}: ${part.error?.message ?? JSON.stringify(part.error)}` };
      break;
    case "abort":
      yield { error: "aborted" };
      break;
    case "finish":
      yield* end(part.finishReason, part.rawFinishReason, part.totalUsage);
  }
}

function* whole({ finishReason, rawFinishReason, reasoningText, text, toolCalls, usage }) {
  if (reasoningText) yield { thinking: reasoningText };
  if (text) yield { text };
  for (const call of toolCalls) yield callOf(call);
  yield* end(finishReason, rawFinishReason, usage);
}

const callOf = ({ input, toolCallId, toolName }) => ({ tool_call: { name: toolName, arguments: input, id: toolCallId } });

/** "other" and "error" without a word of the server mean that none is known. */
function* end(reason, raw, usage) {
  if (raw !== undefined || !["error", "other"].includes(reason)) yield { finish_reason: raw ?? reason };
  const [input, output] = [usage.inputTokens, usage.outputTokens];
  if (input !== undefined || output !== undefined) yield { usage: { input: input ?? null, output: output ?? null } };
}
