/**
 * Alarms that watch: deadlines, stuck turns, limits on time and number.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { configOf } from "../src/config.ts";
import { contextOf } from "../src/doors/context.ts";
import { instanceOf, orchestratorOf } from "../src/objects.ts";
import { execute } from "../src/tools/execute.ts";
import { output, request, send, spawn, status, tool, until } from "./support/door.ts";
import { installModel, scriptModel } from "./support/model.ts";

installModel();
beforeAll(() => scriptModel(() => undefined));
afterEach(() => {
  vi.useRealTimers();
  scriptModel(() => undefined);
});

const MINUTE = 60_000;
const objectOf = (id: string) => env.INSTANCE.getByName(`default/${id}`);
const alarmOf = (id: string) => runInDurableObject(objectOf(id), (_object, { storage }) => storage.getAlarm());

/** Moves the clock without letting time pass. */
function advance(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

describe("an idle instance", () => {
  it("has exactly one pending alarm, its deadline", async () => {
    const id = await spawn({ timeout_minutes: 30 });
    await send(id, "Hello.");
    const alarm = await until(async () => {
      const time = await alarmOf(id);
      return time !== null && time > Date.now() + MINUTE && time;
    });
    const record = await status(id);
    expect(alarm).toBe(Date.parse(String(record.last_activity)) + 30 * MINUTE);
  });

  it("ends at its deadline, with its children, and says why", async () => {
    const id = await spawn({ timeout_minutes: 30 });
    const child = await spawn({ parent_instance_id: id });
    await send(id, "Hello.");
    await until(async () => ((await alarmOf(id)) ?? 0) > Date.now() + MINUTE);
    advance(31 * MINUTE);
    await runDurableObjectAlarm(objectOf(id));
    expect(await status(id)).toMatchObject({ state: "terminated", termination_reason: "idle timeout" });
    expect(await status(child)).toMatchObject({ state: "terminated" });
    expect(await send(id, "Still there?")).toMatchObject({ error: "conflict" });
    expect(await output(id)).toHaveLength(2);
  });

  it("that was never used ends at its deadline too, by the Orchestrator's alarm", async () => {
    const id = await spawn({ timeout_minutes: 0.5 });
    advance(MINUTE);
    await runDurableObjectAlarm(env.ORCHESTRATOR.getByName("default"));
    expect(await status(id)).toMatchObject({ state: "terminated", termination_reason: "idle timeout" });
  });

  it("is not idle while somebody below it is at work", async () => {
    const id = await spawn({ timeout_minutes: 30 });
    const child = await spawn({ parent_instance_id: id });
    await send(id, "Hello.");
    await until(async () => ((await alarmOf(id)) ?? 0) > Date.now() + MINUTE);
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    scriptModel(async (call) => {
      if (call.lastUserText === "Take your time.") await held;
      return undefined;
    });
    const sent = await send(child, "Take your time.", { wait_for_response: false });
    await until(async () => (await status(child)).state === "busy");
    advance(31 * MINUTE);
    await runDurableObjectAlarm(objectOf(id));
    expect(await status(id)).toMatchObject({ state: "idle" });
    go();
    expect(await tool("wait", { ids: [String(sent.message_id)] })).toMatchObject({ done: [{ status: "completed" }] });
  });
});

describe("a turn", () => {
  const slow = (text: string) =>
    scriptModel((call) =>
      call.step === 0 && call.lastUserText === text
        ? { blocks: [{ type: "tool_use", name: "slow", input: { value: "700" } }] }
        : { blocks: [{ type: "text", text: "Done." }] },
    );

  it("is not stopped by the idle timeout, however long it takes", async () => {
    const id = await spawn({ timeout_minutes: 1 });
    slow("A long one.");
    const sent = await send(id, "A long one.", { wait_for_response: false });
    await until(async () => (await status(id)).state === "busy");
    advance(3 * MINUTE);
    await runDurableObjectAlarm(objectOf(id));
    expect(await tool("wait", { ids: [String(sent.message_id)] })).toMatchObject({ done: [{ status: "completed" }] });
  });

  it("is stopped when it takes longer than max_turn_minutes", async () => {
    const id = await spawn({ max_turn_minutes: 1 });
    slow("Another long one.");
    const sent = await send(id, "Another long one.", { wait_for_response: false });
    await until(async () => (await status(id)).state === "busy");
    advance(3 * MINUTE);
    await runDurableObjectAlarm(objectOf(id));
    const ended = await tool("wait", { ids: [String(sent.message_id)] });
    expect(ended).toMatchObject({ done: [{ status: "failed", error: "limit_reached" }] });
    expect(await send(id, "And now?")).toMatchObject({ status: "completed" });
  });
});

describe("a terminated instance", () => {
  it("keeps its conversation for the retention time, and its record beyond it", async () => {
    const id = await spawn();
    await send(id, "Remember me.");
    await tool("terminate_instance", { instance_id: id });
    advance(29 * 24 * 60 * MINUTE);
    await runDurableObjectAlarm(env.ORCHESTRATOR.getByName("default"));
    expect(await output(id)).toHaveLength(2);
    advance(2 * 24 * 60 * MINUTE);
    await runDurableObjectAlarm(env.ORCHESTRATOR.getByName("default"));
    await until(async () => (await output(id)).length === 0);
    expect(await status(id)).toMatchObject({ state: "terminated", name: "Ada" });
  });
});

describe("a message that was just accepted", () => {
  it("can be stopped before its turn has begun", async () => {
    const id = await spawn();
    scriptModel(() => ({ delayMs: 60_000 }));
    await send(id, "Begin.", { wait_for_response: false });
    const stopped = await tool("interrupt_instance", { instance_id: id });
    expect(stopped.interrupted).toHaveLength(1);
  });
});

describe("the number of instances", () => {
  it("is exact, however many are spawned at once", async () => {
    const config = { ...configOf(env), maxInstances: 7 };
    const tenant = "tenant-of-fifty";
    const context = {
      ...contextOf(env, config, [], { signal: new AbortController().signal }),
      principal: { tenant, instance: null },
      orchestrator: orchestratorOf(env, tenant),
      instance: (id: string) => instanceOf(env, tenant, id),
    };
    await execute(context, "set_limits", { max_instances: 7 });
    const spawned = await Promise.all(
      Array.from({ length: 50 }, (_, i) => execute(context, "spawn_claude", { name: `n${i}` })),
    );
    expect(spawned.filter((answer) => answer.success)).toHaveLength(7);
    const refused = spawned.filter((answer) => !answer.success);
    expect(new Set(refused.map((answer) => (answer as { error?: string }).error))).toEqual(new Set(["limit_reached"]));
  });
});

describe("figures", () => {
  it("are counted: in /health and, for Prometheus, in /metrics", async () => {
    const id = await spawn();
    await send(id, "Count me.");
    const health = (await (await request("/health")).json()) as { metrics: Record<string, number> };
    expect(health.metrics).toMatchObject({ bound_violations: 0, success_rate: expect.any(Number) });
    expect(Number(health.metrics.messages_completed)).toBeGreaterThan(0);
    const text = await (await request("/metrics")).text();
    expect(text).toMatch(/^madrox_instances_active \d+$/m);
    expect(text).toMatch(/^madrox_response_seconds_count \d+$/m);
  });
});
