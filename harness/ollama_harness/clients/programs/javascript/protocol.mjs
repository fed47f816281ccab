// The client protocol (docs/client-protocol.md) for adapters in JavaScript: reads jobs, reports what a client yields.
//
// serve({version, exchange, yields, unsupported}) runs until stdin ends. `exchange(job)` is an async generator that
// makes the request of a job with a library, and yields each record or piece as soon as the library does.
// `unsupported(job)` returns the reason why the library cannot make a request, or undefined.
import { createInterface } from "node:readline";

export async function serve({ version, exchange, yields = "record", unsupported = () => undefined }) {
  const input = createInterface({ input: process.stdin });
  input.on("close", () => process.exit(0)); // even if the library hangs
  const jobs = input[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await jobs.next()).value);

  async function work(job) {
    const reason = unsupported(job);
    if (reason !== undefined) {
      report({ end: "unsupported", id: job.id, reason });
      return;
    }
    try {
      let count = 0;
      let how = "ended";
      for await (const value of exchange(job)) {
        report({ [yields]: value });
        count += 1;
        if (count === job.stop_after) {
          how = "stopped";
          break;
        }
        if (count === job.meanwhile_after) {
          report({ meanwhile: true });
          await work(await next());
        }
      }
      report({ end: how, id: job.id });
    } catch (error) {
      report({ end: "raised", id: job.id, ...described(error) });
    }
  }

  report({ protocol: 1, ready: version });
  for (;;) await work(await next());
}

// The target of a job: the server's URL and the path.
export function target(job) {
  return job.url + job.request.path;
}

// The body of a job's request as text, or undefined.
export function content(job) {
  const { json, body } = job.request;
  return json === null ? (body ?? undefined) : JSON.stringify(json);
}

function report(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

// An error as the protocol has it: its name and its classes, the most special first, its message with its causes, and its place.
function described(error) {
  const types = [error?.name ?? typeof error];
  for (let one = Object.getPrototypeOf(Object(error)); one !== Object.prototype && one; one = Object.getPrototypeOf(one))
    if (!types.includes(one.constructor.name)) types.push(one.constructor.name);
  const messages = [];
  for (let one = error; one != null && messages.length < 5; one = one.cause) messages.push(one.message ?? String(one));
  const where = String(error?.stack ?? "").split("\n").find((line) => line.startsWith("    at "))?.slice(7) ?? "";
  return { types, message: messages.join(": "), where };
}
