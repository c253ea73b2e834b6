/**
 * A settlement travels in its event's data: what is written is what is read, and what older versions wrote is read as well.
 */
import { describe, expect, it } from "vitest";
import { type CallEnding, settlementData, settlementOf } from "../../src/contracts/call-settled.ts";

const usage = { input: 1, output: 2, cacheRead: 3, cacheWrite5m: 4, cacheWrite1h: 5, webSearches: 6 };

describe("the settlement of a model call", () => {
  it.each<CallEnding>([
    { kind: "settled", usage, requestId: "req_1" },
    { kind: "settled", usage, requestId: null },
    { kind: "unsettled", usage, requestId: "req_1" },
    { kind: "release" },
  ])("is read as it was written: $kind", (ending) => {
    const requestId = ending.kind === "release" ? null : (ending.requestId ?? null);
    const data = settlementData(7, ending.kind, usage, requestId);
    expect(settlementOf({ kind: "model_call.failed", data })).toEqual({ attempt: 7, ending });
  });

  it("is read from an event that the first version stored", () => {
    const data = JSON.parse(
      `{"message_id":"msg_1","attempt":1,"model":"claude-sonnet-5-5","request_id":"req_sim_2","duration_ms":97,
        "stop_reason":"end_turn","input":0,"output":98,"cache_read":0,"cache_write_5m":2648,"cache_write_1h":0,
        "web_searches":0,"cost_nano":7600000,"billed":"settled","error":null,"answer":2}`,
    );
    expect(settlementOf({ kind: "model_call.completed", data })).toEqual({
      attempt: 1,
      ending: {
        kind: "settled",
        usage: { input: 0, output: 98, cacheRead: 0, cacheWrite5m: 2648, cacheWrite1h: 0, webSearches: 0 },
        requestId: "req_sim_2",
      },
    });
  });

  it("may have been billed when the event does not say", () => {
    expect(settlementOf({ kind: "model_call.lost", data: { attempt: 3 } })?.ending.kind).toBe("unsettled");
  });

  it("is in no other event", () => {
    expect(settlementOf({ kind: "message.completed", data: { attempt: 3, billed: "settled" } })).toBeNull();
  });
});
