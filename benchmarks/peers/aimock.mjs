// Starts aimock with one answer to every request: `node aimock.mjs RECORDS GAP_MS`. It runs until stdin ends.
// aimock cuts the text into chunks of `chunkSize` characters, and adds the last record.
import { LLMock } from "@copilotkit/aimock";

const [records, gapMs] = process.argv.slice(2).map(Number);
const chunkSize = 4;
const mock = new LLMock({ port: 0, host: "127.0.0.1", latency: gapMs, chunkSize, logLevel: "silent" });
mock.onMessage(/.*/s, { content: "word".repeat(records - 1) });
await mock.start();
console.log(mock.url);
process.stdin.resume().on("end", () => process.exit());
