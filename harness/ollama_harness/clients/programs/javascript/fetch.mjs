// fetch of Node itself: https://nodejs.org/api/globals.html#fetch

import { ofAnswer_ms } from "./limits.mjs";
import { read, StatusError } from "./reading.mjs";

export const library = "node";
export const yields = "record";

export async function* exchange(job) {
  const { method, path, headers, json, body } = job.request;
  const response = await fetch(job.url + path, {
    method,
    headers: json === null ? headers : [["Content-Type", "application/json"], ...headers],
    body: json === null ? body : JSON.stringify(json),
    signal: AbortSignal.timeout(ofAnswer_ms(job)),
  });
  if (!response.ok) throw new StatusError(response.status, await response.text());
  if (job.answer !== "one") yield* read(response.body, job.answer);
  else if (method !== "HEAD" && response.headers.get("content-type")?.includes("json")) yield await response.json();
}
