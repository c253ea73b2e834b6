/**
 * Faults that a script asks for, as a client sees them.
 */
import Anthropic, { type APIError } from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import type { Script } from "../../../src/anthropic/simulator/simulator.ts";
import { realSleep } from "../../../src/anthropic/simulator/stream.ts";
import { caught, followed, hello, post, scripted, setUp, textOf, tool } from "../../support/simulator.ts";

describe("a fault that a script asks for", () => {
  const text = "0123456789".repeat(20);
  const say: Script = { blocks: [{ type: "text", text }] };

  it.each([
    [429, "rate_limit_error", "enforced_spend_limit_reached"],
    [529, "overloaded_error", undefined],
    [500, "api_error", undefined],
    [402, "billing_error", undefined],
  ])("status %d %s", async (status, type, errorCode) => {
    const { client } = scripted({
      fault: { kind: "status", status, type, message: "no", errorCode, retryAfterSeconds: 7, shouldRetry: false },
    });
    const error = (await caught(client.messages.create(hello))) as APIError;
    expect([error.status, error.type, error.errorCode ?? undefined]).toEqual([status, type, errorCode]);
    expect([error.headers?.get("retry-after"), error.headers?.get("x-should-retry")]).toEqual(["7", "false"]);
    expect(error.requestID).toMatch(/^req_/);
  });

  it("a proxy's HTML page", async () => {
    const { client } = scripted({
      fault: { kind: "status", status: 502, type: "api_error", message: "Bad Gateway", html: true },
    });
    expect(await caught(client.messages.create(hello))).toMatchObject({ status: 502 });
  });

  it("an error event in the middle", async () => {
    const { client, sim } = scripted({
      ...say,
      fault: { kind: "error_event", type: "overloaded_error", message: "busy", afterChars: 25 },
    });
    const stream = client.messages.stream(hello);
    const error = (await caught(stream.finalMessage())) as APIError;
    expect([error.status, error.type]).toEqual([undefined, "overloaded_error"]);
    expect(stream.currentMessage && textOf(stream.currentMessage)).toBe(text.slice(0, 25));
    expect(sim.journal[0]).toMatchObject({ status: 200, outcome: "error", usage: null });
  });

  it.each([
    [0, ""],
    [60, text.slice(0, 60)],
    [10_000, text],
  ])("the end of the stream after %d characters", async (afterChars, seen) => {
    const { client, sim } = scripted({ ...say, fault: { kind: "eof", afterChars } });
    const { error, events } = await followed(client.messages.stream(hello));
    expect(error).toMatchObject({ message: /without producing a Message/ });
    const sent = events.map((event) =>
      event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : "",
    );
    expect(sent.join("")).toBe(seen);
    expect(sim.journal[0]).toMatchObject({ outcome: "cut", usage: null });
  });

  it("the end of the stream after the first block", async () => {
    const { client } = scripted({ ...say, fault: { kind: "eof", afterBlocks: 1 } });
    const { events } = await followed(client.messages.stream(hello));
    expect(events.at(-1)).toMatchObject({ type: "content_block_stop", index: 0 });
  });

  it("a broken connection", async () => {
    const { client, sim } = scripted({ ...say, fault: { kind: "reset", afterChars: 10 } });
    expect(((await caught(client.messages.stream(hello).finalMessage())) as Error).message).toMatch(/reset/);
    expect(sim.journal[0]?.outcome).toBe("cut");
  });

  it.each([true, false])("a stall (pings: %s), until the caller goes away", async (pings) => {
    let open = 0;
    const { client, sim } = setUp({
      script: () => ({ ...say, fault: { kind: "stall", afterChars: 10, pings, pingMs: 5 } }),
      sleep: (ms, signal) => {
        open += 1;
        return realSleep(ms, signal).finally(() => {
          open -= 1;
        });
      },
    });
    const stream = client.messages.stream(hello);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([open, sim.journal[0]?.outcome]).toEqual([1, "pending"]);
    stream.abort();
    expect(await caught(stream.finalMessage())).toBeInstanceOf(Anthropic.APIUserAbortError);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([open, sim.journal[0]?.outcome]).toEqual([0, "aborted"]);
  });

  it("a reader that cancels is journaled as gone", async () => {
    const { sim } = scripted({ ...say, chunkDelayMs: 60_000 });
    const response = await post(sim, { ...hello, stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(sim.journal[0]).toMatchObject({ outcome: "aborted", usage: null });
  });

  it("a reader that leaves right after message_stop got the whole message", async () => {
    const { sim } = scripted(say);
    const response = await post(sim, { ...hello, stream: true });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!(await reader?.read())?.value?.includes("message_stop"));
    await reader?.cancel();
    expect(sim.journal[0]).toMatchObject({ outcome: "message_stop", usage: { output_tokens: 58 } });
  });

  it("a caller that gives up before the first byte", async () => {
    const { client, sim } = scripted({ delayMs: 60_000 });
    const abort = new AbortController();
    const work = caught(client.messages.create(hello, { signal: abort.signal }));
    setTimeout(() => abort.abort(), 10);
    expect(await work).toBeInstanceOf(Anthropic.APIUserAbortError);
    expect(sim.journal[0]).toMatchObject({ status: 0, outcome: "aborted" });
  });

  it("tool input that is no JSON", async () => {
    const { client } = scripted({
      blocks: [{ type: "tool_use", name: "read", input: { path: "/" } }],
      fault: { kind: "malformed_tool_json" },
    });
    const message = caught(client.messages.stream({ ...hello, tools: [tool] }).finalMessage());
    expect(await message).toBeInstanceOf(Anthropic.AnthropicError);
  });

  it("tool input that was cut off, which the SDK repairs in silence", async () => {
    const input = { path: "/x", content: "hello world, this is long" };
    const { client } = scripted({
      blocks: [{ type: "tool_use", name: "read", input }],
      fault: { kind: "cut_tool_input" },
    });
    const message = await client.messages.stream({ ...hello, tools: [tool] }).finalMessage();
    expect(message.stop_reason).toBe("max_tokens");
    expect(message.content.at(-1)).not.toMatchObject({ input });
  });

  it("tells a script how often this very body came", async () => {
    const { client } = setUp({
      script: ({ attempt, n }) =>
        attempt < 3
          ? { fault: { kind: "status", status: 529, type: "overloaded_error", message: "busy" } }
          : { blocks: [{ type: "text", text: `${attempt} of ${n}` }] },
    });
    await caught(client.messages.create(hello));
    await caught(client.messages.create(hello));
    expect(textOf(await client.messages.create(hello))).toBe("3 of 3");
  });
});
