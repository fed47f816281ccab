// fetch, which is a part of Node: https://developer.mozilla.org/en-US/docs/Web/API/Fetch_API/Using_Fetch
import { content, serve, target } from "./protocol.mjs";

// fetch has no limit for a silence. Its users limit the whole exchange, to more than they expect it to take.
const SLACK_S = 2;

class BadStatus extends Error {
  name = "BadStatus";
}

async function* exchange(job) {
  const body = content(job);
  const headers = job.request.json === null ? [] : [["Content-Type", "application/json"]];
  const response = await fetch(target(job), {
    method: job.request.method,
    headers: [...headers, ...job.request.headers],
    body,
    signal: AbortSignal.timeout((job.read_timeout_s + SLACK_S) * 1000),
  });
  if (!response.ok) throw new BadStatus(`Response status: ${response.status}`);
  if (job.answer === "one") {
    const isJson = response.headers.get("content-type")?.includes("json");
    if (job.request.method !== "HEAD" && isJson) yield await response.json();
  } else if (job.answer === "records") {
    for await (const line of lines(response)) if (line) yield JSON.parse(line);
  } else {
    yield* events(response);
  }
}

async function* lines(response) {
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const found = (text + part).split("\n");
    text = found.pop();
    yield* found;
  }
  if (text) yield text;
}

// The text of each event: its lines without comments, if one of them has data.
async function* events(response) {
  let event = [];
  for await (const line of lines(response)) {
    const text = line.replace(/\r$/, "");
    if (text) {
      if (!text.startsWith(":")) event.push(text);
    } else {
      if (event.some((each) => each.split(":")[0] === "data")) yield event.join("\n");
      event = [];
    }
  }
}

await serve({ version: process.versions.node, exchange });
