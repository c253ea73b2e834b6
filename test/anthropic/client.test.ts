/** An answer that reached its end is an answer, whatever the connection does afterwards and whatever a gateway left out of it. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createClaude } from "../../src/anthropic/client.ts";
import { CutOffError, classify } from "../../src/anthropic/failure.ts";
import { configOf } from "../../src/config/config.ts";

const config = configOf({
  ANTHROPIC_API_KEY: "a-key-for-tests",
  ANTHROPIC_BASE_URL: "https://streams.test",
  MODEL_IDLE_TIMEOUT_SECONDS: "1",
} as unknown as Env);

type Event = Record<string, unknown> & { type: string };
const start: Event = {
  type: "message_start",
  message: { id: "msg_1", model: "claude-sonnet-5-5", usage: { input_tokens: 12, output_tokens: 1 } },
};
const text: Event[] = [
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Whole." } },
  { type: "content_block_stop", index: 0 },
];
const delta: Event = { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 7 } };
const stop: Event = { type: "message_stop" };

const lines = (events: readonly Event[]) =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");

/** The API streams `events`, and then does `ending`. */
function streaming(events: string, ending: "closes" | "stays open" | "resets"): { cancelled: boolean } {
  const seen = { cancelled: false };
  vi.spyOn(globalThis, "fetch").mockImplementation(async () => {
    const bytes = new TextEncoder().encode(events);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes);
        if (ending === "closes") controller.close();
      },
      pull(controller) {
        if (ending === "resets") controller.error(new TypeError("connection reset"));
        else if (ending === "stays open") return new Promise(() => undefined);
      },
      cancel() {
        seen.cancelled = true;
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream", "request-id": "req_1" } });
  });
  return seen;
}

afterEach(() => {
  vi.restoreAllMocks();
});

const call = () =>
  createClaude(config).call(
    { model: "claude-sonnet-5-5", max_tokens: 100, messages: [{ role: "user", content: "hi" }], stream: true },
    { signal: new AbortController().signal },
  );

describe("an answer that reached message_stop", () => {
  it.each(["closes", "stays open", "resets"] as const)("is settled when the connection then %s", async (ending) => {
    streaming(lines([start, ...text, delta, stop]), ending);
    const { reply } = await call();
    expect(reply).toMatchObject({ complete: true, stopReason: "end_turn", usage: { input: 12, output: 7 } });
  });

  it("cancels what is left of the body", async () => {
    const seen = streaming(lines([start, ...text, delta, stop]), "stays open");
    await call();
    await vi.waitFor(() => expect(seen.cancelled).toBe(true));
  });

  it("takes in nothing that comes after it", async () => {
    const more = { type: "content_block_start", index: 1, content_block: { type: "text", text: "Never." } };
    streaming(lines([start, ...text, delta, stop, more]), "closes");
    expect((await call()).reply.blocks).toEqual([{ type: "text", text: "Whole." }]);
  });

  it.each<[what: string, events: Event[], usage: object]>([
    ["null usage at its end", [start, ...text, { ...delta, usage: null }, stop], { input: 12, output: 1 }],
    [
      "no usage at its end",
      [start, ...text, { type: "message_delta", delta: delta.delta }, stop],
      { input: 12, output: 1 },
    ],
    [
      "no usage at its start",
      [{ type: "message_start", message: { id: "m" } }, ...text, delta, stop],
      { input: 0, output: 7 },
    ],
    ["no message at its start", [{ type: "message_start" }, ...text, delta, stop], { input: 0, output: 7 }],
    [
      "an event without its parts",
      [
        start,
        ...text,
        { type: "content_block_start", index: 1 },
        { type: "content_block_delta", index: 1 },
        delta,
        stop,
      ],
      { output: 7 },
    ],
  ])("is an answer with %s", async (_what, events, usage) => {
    streaming(lines(events), "closes");
    const { reply } = await call();
    expect(reply.blocks).toEqual([{ type: "text", text: "Whole." }]);
    expect(reply.usage).toMatchObject(usage);
  });
});

describe("a stream without message_stop", () => {
  it("is cut off", async () => {
    streaming(lines([start, ...text, delta]), "closes");
    await expect(call()).rejects.toThrow(CutOffError);
  });

  it("is not called cut off when an event can't be read", async () => {
    streaming(`${lines([start])}event: content_block_start\ndata: {"type": oops\n\n`, "closes");
    const failure = await call().then(() => null, classify);
    expect(failure).toMatchObject({ kind: "retry", reason: "server_error" });
  });
});
