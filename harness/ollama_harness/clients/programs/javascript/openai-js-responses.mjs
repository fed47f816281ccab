// openai's responses: https://github.com/openai/openai-node#streaming-responses

import * as openai from "./openai.mjs";

export { library, open, yields } from "./openai.mjs";

export function unsupported(job) {
  return openai.unsupported(job, ["/v1/responses"]);
}

export async function* exchange(job, client) {
  for await (const part of openai.parts(job, client.responses.create.bind(client.responses))) {
    yield* job.request.json.stream ? piecesOfEvent(part) : piecesOfResponse(part);
  }
}

function* piecesOfEvent(event) {
  switch (event?.type) {
    case "response.output_item.added":
      if (event.item.type === "function_call") yield callOf(event.item, "", event.output_index);
      else if (event.item.role) yield { role: event.item.role };
      break;
    case "response.function_call_arguments.delta":
      yield { tool_call: { arguments: event.delta, index: event.output_index } };
      break;
    case "response.output_text.delta":
      yield { text: event.delta };
      break;
    case "response.reasoning_summary_text.delta":
    case "response.reasoning_text.delta":
      yield { thinking: event.delta };
      break;
    case "response.completed":
    case "response.incomplete":
    case "response.failed":
      yield* end(event.response);
      break;
    case "error":
      yield { error: event };
  }
}

function* piecesOfResponse(response) {
  for (const item of response.output) {
    if (item.type === "reasoning") for (const part of item.summary) yield { thinking: part.text };
    else if (item.type === "function_call") yield callOf(item, item.arguments);
    else if (item.type === "message") {
      yield { role: item.role };
      for (const part of item.content) yield { text: part.text };
    }
  }
  yield* end(response);
}

const callOf = ({ name, call_id }, text, index) => ({ tool_call: { name, arguments: text, id: call_id, index } });

function* end(response) {
  yield { finish_reason: response.incomplete_details?.reason ?? response.status };
  if (response.usage) yield { usage: { input: response.usage.input_tokens, output: response.usage.output_tokens } };
  if (response.error) yield { error: response.error };
}
