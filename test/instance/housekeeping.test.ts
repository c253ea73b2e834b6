/**
 * Alarms that watch: deadlines, stuck turns, limits on time and number.
 */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { configOf } from "../../src/config/config.ts";
import type { CallCounts, Unhealthy } from "../../src/contracts/instance-spec.ts";
import { LOCAL } from "../../src/contracts/principal.ts";
import { orchestratorOf } from "../../src/contracts/stubs.ts";
import { contextOf } from "../../src/http/context.ts";
import { verdictOn } from "../../src/instance/reporting/health.ts";
import { dispatch } from "../../src/tools/runtime/dispatch.ts";
import { output, request, send, spawn, status, tool, until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { alarmOf, objectOf } from "../support/objects.ts";

installModel();
beforeAll(() => scriptModel(() => undefined));
afterEach(() => {
  vi.useRealTimers();
  scriptModel(() => undefined);
});

const MINUTE = 60_000;

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
    const principal = { ...LOCAL, tenant: "tenant-of-fifty" };
    const context = { ...contextOf(env, [], { principal, signal: new AbortController().signal }), config };
    await dispatch(context, "set_limits", { max_instances: 7 });
    const spawned = await Promise.all(
      Array.from({ length: 50 }, (_, i) => dispatch(context, "spawn_claude", { name: `n${i}` })),
    );
    expect(spawned.filter((answer) => answer.success)).toHaveLength(7);
    const refused = spawned.filter((answer) => !answer.success);
    expect(new Set(refused.map((answer) => (answer as { error?: string }).error))).toEqual(new Set(["limit_reached"]));
  });
});

describe("the verdict on the health of an instance's calls", () => {
  const sick = { calls: 10, failed: 5, since: 1_000 };
  it.each<[string, Unhealthy | null, CallCounts, Unhealthy | null]>([
    ["no calls yet", null, { calls: 0, failed: 0 }, null],
    ["a few failures", null, { calls: 10, failed: 4 }, null],
    ["half of the last ten failed", null, { calls: 10, failed: 5 }, { calls: 10, failed: 5, since: 2_000 }],
    ["all of the first five failed", null, { calls: 5, failed: 5 }, { calls: 5, failed: 5, since: 2_000 }],
    ["more failures", sick, { calls: 10, failed: 9 }, sick],
    ["fewer failures, but still some", sick, { calls: 10, failed: 3 }, sick],
    ["hardly any failure left", sick, { calls: 10, failed: 2 }, null],
  ])("%s", (_why, before, figures, after) => {
    expect(verdictOn(before, figures, 2_000)).toEqual(after);
  });
});

describe("an instance whose calls fail", () => {
  it("is unhealthy until they get through again, and each change is told once, by itself", async () => {
    const id = await spawn();
    let broken = true;
    scriptModel(() =>
      broken ? { fault: { kind: "status", status: 400, type: "invalid_request_error", message: "no" } } : undefined,
    );
    const told = async () => {
      const log = await orchestratorOf(env, "default").events({ after: 0, instance_id: id, limit: 500, waitMs: 0 });
      const kinds = ["instance.unhealthy", "instance.recovered"];
      return log.events.flatMap(({ kind, data }) => (kinds.includes(kind) ? [{ kind, ...data }] : []));
    };
    for (let i = 0; i < 4; i++) await send(id, "Try.");
    expect(await status(id)).toMatchObject({ health: { state: "healthy" } });
    for (let i = 0; i < 3; i++) await send(id, "Try.");
    const unhealthy = { state: "unhealthy", since: expect.any(String), last_calls: { calls: 5, failed: 5 } };
    await until(async () => ((await told()).length > 0 ? true : undefined));
    expect(await status(id)).toMatchObject({ health: unhealthy });
    const response = await request(`/instances/${id}/health`, { method: "POST" });
    expect(await response.json()).toMatchObject({
      healthy: false,
      health: unhealthy,
      checks: { last_calls: { calls: 7, failed: 7 } },
    });
    broken = false;
    for (let i = 0; i < 8; i++) expect(await send(id, "Try.")).toMatchObject({ status: "completed" });
    await until(async () => ((await told()).length > 1 ? true : undefined));
    expect(await status(id)).toMatchObject({ state: "idle", health: { state: "healthy" } });
    expect(await told()).toEqual([
      { kind: "instance.unhealthy", calls: 5, failed: 5, error_rate: 1 },
      { kind: "instance.recovered", calls: 10, failed: 2, error_rate: 0.2 },
    ]);
    // All of it without an alarm beyond the idle deadline.
    await until(async () => ((await alarmOf(id)) ?? 0) > Date.now() + MINUTE);
  });

  it("is found out in the middle of a turn, by its alarm", async () => {
    const id = await spawn();
    scriptModel(() => ({ fault: { kind: "status", status: 500, type: "api_error", message: "no" } }));
    const sent = await send(id, "Try.", { wait_for_response: false });
    const failed = () =>
      runInDurableObject(objectOf(id), (_object, { storage }) =>
        Number(storage.sql.exec("SELECT COUNT(*) AS n FROM model_call WHERE outcome = 'failed'").one().n),
      );
    for (let tries = 1; tries < 5; tries++) {
      await until(async () => (await failed()) === tries);
      advance(2 * MINUTE);
      await runDurableObjectAlarm(objectOf(id));
    }
    await until(async () => (await failed()) === 5);
    // Its next try is not due yet.
    await runDurableObjectAlarm(objectOf(id));
    const { health } = await until(async () => {
      const record = await status(id);
      return (record.health as { state: string }).state === "unhealthy" && record;
    });
    expect(health).toMatchObject({ last_calls: { calls: 5, failed: 5 } });
    const waited = await tool("wait", { ids: [String(sent.message_id)], timeout_seconds: 0 });
    expect(waited).toMatchObject({ done: [], pending: [{ status: "working" }] });
    await tool("interrupt_instance", { instance_id: id });
  });
});

describe("what is counted", () => {
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
