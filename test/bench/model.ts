/**
 * A Messages API that takes exactly as long as the message asks for with its last `[500 ms]`, until it is released for one that
 * ends with `[held]`, and no time otherwise. With `[100 pieces]` the answer comes in as many, 20 ms apart.
 * The simulator answers, so what the real API refuses is refused here too.
 */

import { type NodeServer, serve } from "../../scripts/node-server.ts";
import { createSimulator } from "../../src/anthropic/simulator/simulator.ts";

/** When a call had been read, and when the last of its answer was on its way. In ms of `performance.now()`. */
export interface Span {
  began: number;
  ended: number;
}

export class ModelServer {
  /** Every answered call, in the order of their ends. */
  readonly spans: Span[] = [];
  readonly #arrivals = new Map<string, () => void>();
  readonly #held = new Map<string, () => void>();
  readonly #counted: { about: string; left: number; arrived: () => void }[] = [];
  #server: NodeServer | undefined;

  get url(): string {
    if (!this.#server) throw new Error("The model's server is not started.");
    return this.#server.url;
  }

  async start(): Promise<void> {
    const simulator = createSimulator({
      script: async ({ lastUserText: text }) => {
        this.#arrivals.get(text)?.();
        this.#arrivals.delete(text);
        this.#count(text);
        if (text.endsWith("[held]")) await new Promise<void>((release) => this.#held.set(text, release));
        const pieces = Number(/\[(\d+) pieces\]/.exec(text)?.[1] ?? 0);
        if (pieces > 0) {
          const blocks = [{ type: "text" as const, text: "Some more of it was said. ".repeat(pieces) }];
          return { chunkChars: 26, chunkDelayMs: 20, blocks };
        }
        const delay = [...text.matchAll(/\[(\d+) ms\]/g)].at(-1)?.[1];
        return { delayMs: Number(delay ?? 0), blocks: [{ type: "text" as const, text: "Done." }] };
      },
    });
    this.#server = await serve(async (request) => {
      const began = performance.now();
      const response = await simulator.handle(request);
      if (!response.body) return response;
      const timed = new TransformStream<Uint8Array, Uint8Array>({
        flush: () => {
          this.spans.push({ began, ended: performance.now() });
        },
      });
      return new Response(response.body.pipeThrough(timed), response);
    });
  }

  /** Resolves when the call arrives that answers this message. Ask before the message is sent. */
  arrival(text: string): Promise<void> {
    return new Promise((arrived) => this.#arrivals.set(text, arrived));
  }

  /** Resolves when the `nth` call from now on arrives whose last message has this in it. */
  nthCall(nth: number, about: string): Promise<void> {
    return new Promise((arrived) => this.#counted.push({ about, left: nth, arrived }));
  }

  #count(text: string): void {
    for (const waiting of this.#counted) {
      if (!text.includes(waiting.about)) continue;
      waiting.left -= 1;
      if (waiting.left === 0) waiting.arrived();
    }
  }

  /** Lets the answer to a message that ends with `[held]` go. */
  release(text: string): void {
    this.#held.get(text)?.();
    this.#held.delete(text);
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }
}
