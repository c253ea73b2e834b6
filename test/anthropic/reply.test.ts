/**
 * A reply put together from the events of its stream.
 */
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { describe, expect, it } from "vitest";
import { NO_USAGE, ReplyBuilder } from "../../src/anthropic/reply.ts";
import { installModel } from "../support/model.ts";

installModel();

describe("a reply put together from its stream", () => {
  const start = {
    type: "message_start",
    message: { id: "msg_1", model: "m", usage: { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 5 } },
  };
  const opened = (index: number, content_block: Record<string, unknown>) => ({
    type: "content_block_start",
    index,
    content_block,
  });
  const delta = (index: number, type: string, fields: Record<string, unknown>) => ({
    type: "content_block_delta",
    index,
    delta: { type, ...fields },
  });
  const closed = (index: number) => ({ type: "content_block_stop", index });
  const stop = (stop_reason: string, usage: Record<string, unknown> = { output_tokens: 9 }) => [
    { type: "message_delta", delta: { stop_reason }, usage },
    { type: "message_stop" },
  ];
  const use = { type: "tool_use", id: "t1", name: "lookup", input: {} };
  const build = (...events: unknown[]) => {
    const builder = new ReplyBuilder();
    for (const event of events.flat()) builder.add(event as RawMessageStreamEvent);
    return builder.reply;
  };

  it.each<[string, string[], unknown, boolean]>([
    ["in one piece", ['{"value":"x"}'], { value: "x" }, false],
    ["in single characters", [...'{"value":"é😀"}'], { value: "é😀" }, false],
    ["after an empty piece", ["", '{"a":', "", "1}"], { a: 1 }, false],
    ["with nothing at all", [], {}, false],
    ["with an empty piece alone", [""], {}, false],
    ["cut in the middle", ['{"value":"x'], {}, true],
    ["malformed", ['{"value":1, oops}'], {}, true],
    ["a list", ["[1]"], {}, true],
    ["a bare value", ["null"], {}, true],
  ])("reads tool input %s", (_name, pieces, input, isBroken) => {
    const reply = build(
      start,
      opened(0, { ...use }),
      pieces.map((partial_json) => delta(0, "input_json_delta", { partial_json })),
      closed(0),
      stop("tool_use"),
    );
    expect(reply.blocks).toEqual([{ ...use, input }]);
    expect([...reply.brokenInputs]).toEqual(isBroken ? ["t1"] : []);
  });

  it("keeps interleaved blocks verbatim and in order", () => {
    const reply = build(
      start,
      { type: "ping" },
      opened(0, { type: "thinking", thinking: "", signature: "" }),
      opened(1, { type: "text", text: "", citations: null }),
      delta(1, "text_delta", { text: "Hel" }),
      delta(0, "thinking_delta", { thinking: "hm" }),
      delta(0, "signature_delta", { signature: "sig" }),
      delta(1, "text_delta", { text: "lo" }),
      delta(1, "citations_delta", { citation: { cited: "a" } }),
      delta(1, "citations_delta", { citation: { cited: "b" } }),
      closed(1),
      closed(0),
      stop("end_turn"),
    );
    expect(reply.blocks).toEqual([
      { type: "thinking", thinking: "hm", signature: "sig" },
      { type: "text", text: "Hello", citations: [{ cited: "a" }, { cited: "b" }] },
    ]);
    expect(reply).toMatchObject({ complete: true, stopReason: "end_turn", apiMessageId: "msg_1" });
  });

  it("takes what it doesn't know without a stumble", () => {
    const reply = build(
      start,
      { type: "some_new_event", index: 9 },
      delta(4, "text_delta", { text: "of no block" }),
      closed(4),
      opened(2, { type: "brand_new_block", payload: { deep: [1] } }),
      delta(2, "brand_new_delta", { payload: 1 }),
      closed(2),
      stop("some_new_reason"),
    );
    expect(reply.blocks).toEqual([{ type: "brand_new_block", payload: { deep: [1] } }]);
    expect(reply.stopReason).toBe("some_new_reason");
  });

  it("has the usage so far before the end, and the API's last word at it", () => {
    const early = build(start, opened(0, { type: "text", text: "" }), delta(0, "text_delta", { text: "x" }));
    expect(early).toMatchObject({ complete: false, stopReason: null, usage: { input: 10, output: 1, cacheRead: 5 } });
    const usage = { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: null, cache_creation_input_tokens: 3 };
    const done = build(start, stop("end_turn", usage));
    expect(done.usage).toEqual({ ...NO_USAGE, input: 11, output: 7, cacheRead: 5, cacheWrite5m: 3 });
  });

  it("keeps the split of cache writes that only the start has", () => {
    const split = { cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 40 } };
    const usage = { input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 140, ...split };
    const reply = build(
      { type: "message_start", message: { id: "m", model: "m", usage } },
      stop("end_turn", { output_tokens: 2, cache_creation_input_tokens: 140 }),
    );
    expect(reply.usage).toMatchObject({ cacheWrite5m: 100, cacheWrite1h: 40 });
  });

  it.each([-1, 1.5, "7", null, Number.NaN])("does not count %s as tokens", (output_tokens) => {
    expect(build(start, stop("end_turn", { output_tokens })).usage.output).toBe(1);
  });
});
