// Drives one client of this folder, by docs/client-protocol.md: `node worker.mjs fetch`.
//
// A client is a module: its `library` in node_modules (or "node"), what it `yields`, and `exchange`, an async generator.
// `open` makes the object that a library keeps between requests, and `unsupported` says why it cannot do a job.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const name = process.argv[2];

// stdout is for messages only, and some libraries print.
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const report = (message) => write(JSON.stringify(message) + "\n");

const waiting = [];
let wake = () => {};
const input = createInterface({ input: process.stdin });
input.on("line", (line) => (waiting.push(line), wake()));
input.on("close", () => process.exit());

async function nextJob() {
  while (!waiting.length) await new Promise((resolve) => (wake = resolve));
  return JSON.parse(waiting.shift());
}

let client;
let broken; // why the module cannot be loaded, if that is the library's own error
let session;

async function work(job) {
  report({ ...(await ending(job)), id: job.id });
}

/** Does a job, and returns how it ended. */
async function ending(job) {
  if (broken) return { ...raised(broken), made: false };
  const reason = client.unsupported?.(job);
  if (reason) return { end: "unsupported", reason };
  let made = false;
  try {
    if (!job.reuses_session) session = await client.open?.(job);
    made = true;
    let count = 0;
    for await (const one of client.exchange(job, session)) {
      report({ [client.yields]: one });
      count += 1;
      if (count === job.stop_after) return { end: "stopped" };
      if (count === job.meanwhile_after) {
        report({ meanwhile: true });
        await work(await nextJob());
      }
    }
    return { end: "ended" };
  } catch (error) {
    return { ...raised(error), made };
  }
}

function raised(error) {
  const [place = ""] = /(?<=^\s*at ).*/m.exec(error?.stack ?? "") ?? [];
  return { end: "raised", types: typesOf(error), message: messageOf(error), where: place };
}

/** An error's code, its own name if that is none of its classes, and its classes. */
function typesOf(error) {
  if (!(error instanceof Object)) return [typeof error];
  const classes = [];
  for (let one = Object.getPrototypeOf(error); one && one !== Object.prototype; one = Object.getPrototypeOf(one)) {
    classes.push(one.constructor.name);
  }
  const own = [error.code, error.name].filter((one) => one && typeof one === "string" && !classes.includes(one));
  return [...own, ...classes];
}

function messageOf(error) {
  const [own, cause] = [String(error?.message ?? error), error?.cause];
  return cause === undefined ? own : `${own} (${messageOf(cause)})`;
}

function version(library) {
  if (library === "node") return process.versions.node;
  return JSON.parse(readFileSync(new URL(`node_modules/${library}/package.json`, import.meta.url))).version;
}

try {
  client = await import(`./${name}.mjs`);
} catch (error) {
  if (error.code === "ERR_MODULE_NOT_FOUND") report({ protocol: 1, missing: `${error.message.split("\n")[0]}: npm ci` });
  broken = error;
}
if (broken?.code !== "ERR_MODULE_NOT_FOUND") report({ protocol: 1, ready: broken ? "" : version(client.library) });

for (;;) await work(await nextJob());
