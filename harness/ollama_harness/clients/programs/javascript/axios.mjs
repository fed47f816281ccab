// axios: https://axios-http.com/docs/req_config

import axios from "axios";
import { ofSilence_ms } from "./limits.mjs";
import { read } from "./reading.mjs";

export const library = "axios";
export const yields = "record";

export function open(job) {
  return axios.create({ timeout: ofSilence_ms(job), ...(job.trust_env ? {} : { proxy: false }) });
}

export async function* exchange(job, client) {
  const { method, path, headers, json, body } = job.request;
  const response = await client.request({
    method,
    url: job.url + path,
    headers: Object.fromEntries(headers),
    data: json ?? body,
    ...(job.answer === "one" ? {} : { responseType: "stream" }),
  });
  if (job.answer !== "one") yield* read(response.data, job.answer);
  else if (method !== "HEAD" && String(response.headers["content-type"]).includes("json")) yield response.data;
}
