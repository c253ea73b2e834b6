/**
 * The Messages API of the tests: the strict simulator behind `fetch`, scripted by message. Everything that the Worker
 * sends to the model's address ends here, and nothing else gets out.
 */
import { vi } from "vitest";
import type { Script, ScriptCall } from "../../src/anthropic/simulator/script.ts";
import { createSimulator, type Simulator } from "../../src/anthropic/simulator/simulator.ts";

export type { Script, ScriptCall };

export interface ModelServer {
  simulator: Simulator;
  /** The bodies of all calls whose conversation contains this text. */
  callsAbout(text: string): Record<string, unknown>[];
}

/** A reply of text alone. */
export const saying = (text: string): Script => ({ blocks: [{ type: "text", text }] });

/** Goes on for long after a test is over, unless it is stopped. */
export const endless: Script = { ...saying("word ".repeat(1_000)), chunkChars: 5, chunkDelayMs: 50 };

let script: (call: ScriptCall) => Script | undefined | Promise<Script | undefined> = () => undefined;

/** What the model does from now on. Without one it gives its plain answer. */
export function scriptModel(next: typeof script): void {
  script = next;
}

let server: ModelServer | undefined;

/** Puts the simulator in the place of the network. Once a test file. */
export function installModel(): ModelServer {
  if (server) return server;
  const simulator = createSimulator({ journalLimit: 10_000, script: (call) => script(call) });
  const real = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
    const request = new Request(input as Request, init as RequestInit);
    if (new URL(request.url).hostname !== "messages.test") return real(request);
    // A call that nobody waits for any more fails, as on the network, also while the script takes its time.
    const gone = new Promise<never>((_resolve, reject) => {
      request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
    });
    return Promise.race([simulator.handle(request), gone]);
  });
  server = {
    simulator,
    callsAbout: (text) =>
      simulator.journal.flatMap((entry) => {
        const body = entry.body as Record<string, unknown> | undefined;
        return body && JSON.stringify(body.messages).includes(text) ? [body] : [];
      }),
  };
  return server;
}
