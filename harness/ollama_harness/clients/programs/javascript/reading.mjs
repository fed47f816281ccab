// What a program does with the bytes that a plain HTTP library yields, as the pages about them show it.

/** An answer that is no success. The program throws it itself, because the library calls it fine. */
export class StatusError extends Error {
  constructor(status, text) {
    super(`${status} ${text}`);
    this.name = "StatusError";
  }
}

/** Yields each record of a stream of NDJSON, or the text of each event of a stream of events. */
export async function* read(chunks, answer) {
  const take = answer === "events" ? takeEvents : takeRecords;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    text = yield* take(text);
  }
  yield* take(`${text}${decoder.decode()}\n`);
}

/** Yields the records of the whole lines, and returns the rest. */
function* takeRecords(text) {
  const lines = text.split("\n");
  const rest = lines.pop();
  for (const line of lines) if (line.trim()) yield JSON.parse(line);
  return rest;
}

/** Yields the whole events without their comments, and returns the rest. */
function* takeEvents(text) {
  const events = text.split(/(?:\r\n|\n|\r(?!\n|$)){2}/);
  const rest = events.pop();
  for (const event of events) {
    const lines = event.split(/\r\n|\n|\r/).filter((line) => line && !line.startsWith(":"));
    if (lines.some((line) => line.split(":")[0] === "data")) yield lines.join("\n");
  }
  return rest;
}
