/**
 * A model call that has to wait for the API, and its slot, which is free again however the call ends.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { instanceOf } from "../../../src/contracts/stubs.ts";
import { send, spawn, status, tool, until } from "../../support/door.ts";
import {
  api,
  broken,
  type Case,
  cases,
  clock,
  installFaults,
  newCase,
  partly,
  sendAndSettle,
  setLimiter,
  settled,
} from "../../support/faults.ts";
import { installModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";

installModel();

installFaults();

describe("waiting for the API", () => {
  beforeAll(() => setLimiter(null));

  it("lasts as long as retry-after says, and is told", async () => {
    const [marker, found] = newCase(0, broken(429, "rate_limit_error", { retryAfterSeconds: 240 }), 1);
    const id = await spawn({ name: marker });
    const sent = await send(id, `Please: ${marker}`, { timeout_seconds: 1 });
    expect(sent).toMatchObject({ success: true, status: "working", waiting_for: { reason: "rate_limited" } });
    const until = Date.parse((sent.waiting_for as { until: string }).until);
    expect(until - Date.now()).toBeGreaterThan(230_000);
    clock.aheadMs += 230_000;
    await runDurableObjectAlarm(objectOf(id));
    expect(found.calls).toBe(1);
    expect(await status(id)).toMatchObject({ state: "waiting", waiting_for: { reason: "rate_limited" } });
    expect(await settled(id, 1)).toMatchObject({ state: "completed" });
    expect(found.calls).toBe(4);
  });

  it("is not cut short by an eviction, however often the API has refused before", async () => {
    const [marker, found] = newCase(0, broken(429, "rate_limit_error", { retryAfterSeconds: 1 }), 25);
    const id = await spawn({ name: marker });
    await send(id, `Please: ${marker}`, { wait_for_response: false });
    for (;;) {
      const view = await instanceOf(env, "default", id).message(1, 50);
      const until = view.ok ? view.value.waiting_for?.until : null;
      if (!until) continue;
      if (found.calls >= 22) break;
      clock.aheadMs += Math.max(0, Date.parse(until) - Date.now() + 1);
      await runDurableObjectAlarm(objectOf(id));
    }
    await evictDurableObject(objectOf(id));
    const view = await settled(id, 1);
    expect(view.error?.message).toBeUndefined();
    expect(view).toMatchObject({ state: "completed", response: { response: "The whole answer." } });
  });
});

describe("the limiter's only slot", () => {
  afterAll(() => setLimiter(null));
  beforeEach(() => setLimiter(null));

  const interruptedAfterCrash = async (id: string, marker: string) => {
    await send(id, `Please: ${marker}`, { wait_for_response: false });
    await until(async () => (cases.get(marker)?.calls ?? 0) > 0);
    await runInDurableObject(objectOf(id), (_instance, state) => state.abort("killed")).catch(() => undefined);
    await tool("interrupt_instance", { instance_id: id });
  };

  it.each<[string, Case["fault"], ((id: string, marker: string) => Promise<unknown>) | null]>([
    ["completed", () => ({ blocks: [{ type: "text", text: "Done." }] }), null],
    ["failed for good", broken(401, "authentication_error"), null],
    ["was refused", () => ({ ...partly, stopReason: "refusal" }), null],
    ["did not fit, and had nothing to summarize", broken(413, "request_too_large"), null],
    ["was interrupted after its object had died in a call", () => ({ delayMs: 3_600_000 }), interruptedAfterCrash],
  ])("is free again when a turn %s", async (_how, fault, run) => {
    await setLimiter(1);
    const [marker] = newCase(0, fault, 1);
    const id = await spawn({ name: marker });
    await (run ?? ((it: string) => sendAndSettle(it, `Please: ${marker}`)))(id, marker);
    const other = await spawn();
    const sent = await send(other, "Is there a slot?", { timeout_seconds: 2 });
    expect(sent).toMatchObject({ success: true, status: "completed" });
  });

  it("is free again when no summary could be had", async () => {
    const [marker] = newCase(0, broken(413, "request_too_large"), 1);
    const id = await spawn({ name: marker, model: "claude-opus-4-8" });
    await sendAndSettle(id, "Long before.");
    await setLimiter(1);
    api.summarizes = false;
    try {
      expect(await sendAndSettle(id, `Please: ${marker}`)).toMatchObject({ state: "completed" });
    } finally {
      api.summarizes = true;
    }
    const sent = await send(await spawn(), "Is there a slot?", { timeout_seconds: 2 });
    expect(sent).toMatchObject({ success: true, status: "completed" });
  });
});
