/**
 * A Messages API on a bad day: slow, refusing, breaking off and falling silent, as often as a seed says.
 */
import { type NodeServer, serve } from "../../scripts/node-server.ts";
import type { Fault, Script } from "../../src/anthropic/simulator/script.ts";
import { createSimulator } from "../../src/anthropic/simulator/simulator.ts";

const overloaded: Fault = { kind: "status", status: 529, type: "overloaded_error", message: "Overloaded." };
const limited: Fault = {
  kind: "status",
  status: 429,
  type: "rate_limit_error",
  message: "Slow down.",
  retryAfterSeconds: 1,
};
const FAULTS: readonly Fault[] = [
  overloaded,
  limited,
  { kind: "status", status: 500, type: "api_error", message: "Broken." },
  { kind: "error_event", type: "overloaded_error", message: "Overloaded.", afterChars: 2 },
  { kind: "eof", afterChars: 2 },
  { kind: "stall", afterChars: 2 },
  { kind: "reset", afterChars: 2 },
];
/** One call in so many goes wrong. */
const ONE_IN = 12;

export interface SoakModel {
  url: string;
  calls(): number;
  /** Requests that the real API would have refused as wrong: a transcript that broke. */
  wrong(): string[];
  close(): Promise<void>;
}

export async function startModel(random: () => number): Promise<SoakModel> {
  let calls = 0;
  const wrong: string[] = [];
  const simulator = createSimulator({
    journalLimit: 100,
    script: ({ step, toolResults }): Script => {
      calls += 1;
      if (random() < 1 / ONE_IN) return { fault: FAULTS[Math.floor(random() * FAULTS.length)] ?? overloaded };
      const delayMs = Math.floor(random() * 200);
      if (toolResults.length > 0 || random() < 0.6)
        return { delayMs, blocks: [{ type: "text", text: "Done, as asked." }] };
      const input = { path: `notes/${step % 20}.txt`, content: "a line\n".repeat(1 + Math.floor(random() * 50)) };
      return { delayMs, blocks: [{ type: "tool_use", name: "write_file", input }] };
    },
  });
  const server: NodeServer = await serve(async (request) => {
    const response = await simulator.handle(request);
    if (response.status < 400 || response.status === 429 || response.status >= 500) return response;
    wrong.push(`${response.status}: ${(await response.clone().text()).slice(0, 500)}`);
    return response;
  });
  return { url: server.url, calls: () => calls, wrong: () => wrong, close: () => server.close() };
}
