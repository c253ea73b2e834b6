/**
 * Model calls as an instance makes them before the limiter: how it waits for its slot, and gives it back.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { CallOutcome } from "../../../src/contracts/model-call.ts";
import { instanceOf } from "../../../src/contracts/stubs.ts";
import { Orchestrator } from "../../../src/orchestrator/orchestrator.ts";
import { parseMessageId } from "../../../src/platform/ids.ts";
import { until } from "../../support/door.ts";
import { door, newTenant, tooMany } from "../../support/limited-tenant.ts";
import { endless, installModel, type Script, saying, scriptModel } from "../../support/model.ts";
import { stopwatch } from "../../support/stopwatch.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

describe("an instance that is queued for a slot", () => {
  /** One runs in the only slot, the others are queued, in order. */
  async function crowd(count: number, first?: Script) {
    const tenant = newTenant();
    const ids = await tenant.spawnMany(count);
    await tenant.narrow(1);
    const leave = door();
    const order: string[] = [];
    scriptModel(async (call) => {
      order.push(call.lastUserText);
      if (order.length === 1 && first) return first;
      if (order.length === 1) await leave.opened();
      return saying(`Answer to ${call.lastUserText}`);
    });
    const sent: string[] = [];
    for (const [i, id] of ids.entries()) {
      sent.push(String((await tenant.send(id, `Nr${i}`, { wait_for_response: false })).message_id));
      await until(async () => (i === 0 ? order.length === 1 : (await tenant.status(id)).state === "waiting"));
    }
    return { tenant, ids, sent, order, leave: leave.open };
  }

  it("shows that it waits and for what, and runs when its time has come, first come first served", async () => {
    const { tenant, ids, sent, order, leave } = await crowd(4);
    const [running = "", ...held] = ids;
    expect((await tenant.status(running)).state).toBe("busy");
    for (const id of held) {
      expect(await tenant.status(id)).toMatchObject({ state: "waiting", waiting_for: { reason: "gate", until: null } });
    }
    leave();
    expect(await tenant.run("wait", { ids: sent })).toMatchObject({ success: true, pending: [] });
    expect(order).toEqual(["Nr0", "Nr1", "Nr2", "Nr3"]);
    await until(async () => (await tenant.run("get_instance_status", { state: "idle" })).status);
    for (const id of ids) await until(async () => (await tenant.status(id)).state === "idle");
  });

  it("says so of its message too, once it takes longer than a round trip may", async () => {
    const { tenant, ids, sent } = await crowd(2, endless);
    const { pending } = await until(async () => {
      const looked = await tenant.run("wait", { ids: sent, timeout_seconds: 0 });
      const waiting = looked.pending as { doing: string; waiting_for?: unknown }[];
      return waiting.some((entry) => entry.waiting_for) && { pending: waiting };
    });
    expect(pending).toMatchObject([
      { doing: "working" },
      { doing: "waiting: gate", status: "working", waiting_for: { reason: "gate", until: null } },
    ]);
    expect(pending[0]).not.toHaveProperty("waiting_for");
    await tenant.run("interrupt_instance", { instance_id: ids[0] });
    expect(await tenant.run("wait", { ids: sent })).toMatchObject({ pending: [] });
  });

  it.each([
    ["interrupted", "interrupt_instance", {}],
    ["terminated", "terminate_instance", { force: true }],
  ])("leaves the queue in less than a second when it is %s, and leaks no place", async (_how, tool, input) => {
    const { tenant, ids, sent, order, leave } = await crowd(3);
    const [, held = "", next = ""] = ids;
    const elapsed = stopwatch();
    expect(await tenant.run(tool, { instance_id: held, ...input })).toMatchObject({ success: true });
    const stopped = await tenant.run("wait", { ids: [sent[1]] });
    expect(elapsed()).toBeLessThan(1_000);
    expect(stopped).toMatchObject({ done: [{ status: "cancelled", error: "cancelled" }], pending: [] });
    expect((await tenant.status(held)).state).not.toBe("waiting");
    expect((await tenant.status(next)).state).toBe("waiting");
    leave();
    expect(await tenant.run("wait", { ids: [sent[0], sent[2]] })).toMatchObject({ pending: [] });
    expect(order).toEqual(["Nr0", "Nr2"]);
    expect(await tenant.send(next, "Nr3")).toMatchObject({ status: "completed" });
    if (tool === "interrupt_instance") {
      expect(await tenant.send(held, "Nr4")).toMatchObject({ status: "completed" });
      const [body] = model.callsAbout("Nr4").slice(-1);
      expect(JSON.stringify(body?.messages)).toContain("stopped before it was answered");
    }
  });

  it.each([
    ["interrupted", "interrupt_instance", {}],
    ["terminated", "terminate_instance", { force: true }],
  ])("gets the place of a running one that is %s", async (_how, tool, input) => {
    const { tenant, ids, sent, order } = await crowd(2, endless);
    expect(await tenant.run(tool, { instance_id: ids[0], ...input })).toMatchObject({ success: true });
    expect(await tenant.run("wait", { ids: sent, timeout_seconds: 10 })).toMatchObject({
      done: [{ status: "cancelled" }, { status: "completed" }],
    });
    expect(order).toEqual(["Nr0", "Nr1"]);
  });
});

describe("a slow or failing Orchestrator", () => {
  const { report } = Orchestrator.prototype;
  type Reporting = (orchestrator: Orchestrator, ...args: Parameters<typeof report>) => ReturnType<typeof report>;

  function replaceReport(work: Reporting): void {
    const spy = vi.spyOn(Orchestrator.prototype, "report").mockImplementation(function (this: Orchestrator, ...args) {
      return work(this, ...args);
    });
    onTestFinished(() => spy.mockRestore());
  }

  /** Sends a message to a busy instance and takes it back, so that a report is under way; it is let through by `open`. */
  async function slowReport(tenant: ReturnType<typeof newTenant>, id: string) {
    const pass = door();
    const begun = door();
    replaceReport(async (orchestrator, ...args) => {
      begun.open();
      await pass.opened();
      return report.apply(orchestrator, args);
    });
    const extra = await tenant.send(id, "One more thing.", { wait_for_response: false });
    await begun.opened();
    await instanceOf(env, tenant.name, id).cancel(parseMessageId(String(extra.message_id))?.n ?? -1, "not needed");
    return pass;
  }

  it("gets the place of a call back that ended while a report was under way", async () => {
    const tenant = newTenant();
    const [first = "", second = ""] = await tenant.spawnMany(2);
    await tenant.narrow(1);
    const answer = door();
    const asked = door();
    scriptModel(async (call) => {
      if (call.lastUserText !== "Begin.") return saying("Done.");
      asked.open();
      await answer.opened();
      return saying("Begun.");
    });
    const { message_id } = await tenant.send(first, "Begin.", { wait_for_response: false });
    await asked.opened();
    const pass = await slowReport(tenant, first);
    answer.open();
    await until(async () => (await tenant.message(message_id)) === "completed");
    pass.open();
    expect(await tenant.send(second, "And you?", { timeout_seconds: 3 })).toMatchObject({ status: "completed" });
  });

  it("hears of a push back that came while a report was under way", async () => {
    const tenant = newTenant();
    const id = await tenant.spawn();
    const answer = door();
    const asked = door();
    let calls = 0;
    scriptModel(async () => {
      calls += 1;
      if (calls > 1) return saying("Begun.");
      asked.open();
      await answer.opened();
      return tooMany(1);
    });
    const { message_id } = await tenant.send(id, "Begin.", { wait_for_response: false });
    await asked.opened();
    const pass = await slowReport(tenant, id);
    answer.open();
    await until(async () => (await tenant.message(message_id)) === "waiting");
    const refused = Date.now();
    pass.open();
    const blocked = await until(async () => (await tenant.limiter())?.blocked_until, 3_000);
    expect(blocked).toBeGreaterThan(refused);
  });

  /** The first word of how a call went is lost, whichever way it comes. */
  function loseFirstOutcome(): { lost: boolean } {
    const { callEnded } = Orchestrator.prototype;
    const state = { lost: false };
    const lose = (outcome: CallOutcome | undefined) => {
      if (!outcome || state.lost) return;
      state.lost = true;
      throw new Error("the Orchestrator is down");
    };
    replaceReport(async (orchestrator, ...args) => {
      lose(args[1]);
      return report.apply(orchestrator, args);
    });
    const spy = vi.spyOn(Orchestrator.prototype, "callEnded").mockImplementation(async function (
      this: Orchestrator,
      ...args
    ) {
      lose(args[1]);
      return callEnded.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
    return state;
  }

  it("gets the place of a call back whose report it did not take", async () => {
    const tenant = newTenant();
    const [first = "", second = ""] = await tenant.spawnMany(2);
    await tenant.narrow(1);
    const outcome = loseFirstOutcome();
    expect(await tenant.send(first, "Begin.")).toMatchObject({ status: "completed" });
    await until(async () => outcome.lost);
    // The alarm that makes up for the report, without the wait for it.
    expect(await runDurableObjectAlarm(env.INSTANCE.getByName(`${tenant.name}/${first}`))).toBe(true);
    expect(await tenant.send(second, "And you?", { timeout_seconds: 3 })).toMatchObject({ status: "completed" });
  });

  it("hears of a push back whose report it did not take at first", async () => {
    const tenant = newTenant();
    const id = await tenant.spawn();
    const outcome = loseFirstOutcome();
    scriptModel(() => tooMany(20));
    await tenant.send(id, "Begin.", { wait_for_response: false });
    await until(async () => outcome.lost);
    expect(await runDurableObjectAlarm(env.INSTANCE.getByName(`${tenant.name}/${id}`))).toBe(true);
    const blocked = await until(async () => (await tenant.limiter())?.blocked_until, 3_000);
    expect(blocked).toBeGreaterThan(Date.now());
    await tenant.run("terminate_instance", { instance_id: id, force: true });
  });

  it("keeps no place for an instance that was interrupted while it was still reporting", async () => {
    const tenant = newTenant();
    const [first = "", second = "", third = ""] = await tenant.spawnMany(3);
    await tenant.narrow(1);
    scriptModel((call) => {
      if (call.lastUserText === "Take one place.") return endless;
      if (call.lastUserText !== "Begin." || call.toolResults.length > 0) return saying("Done.");
      return { blocks: [{ type: "tool_use", name: "slow", input: { value: "400" } }] };
    });
    const { message_id } = await tenant.send(first, "Begin.", { wait_for_response: false });
    // After one success there are two places.
    await until(async () => (await tenant.limiter())?.allowed === 2);
    await tenant.send(third, "Take one place.", { wait_for_response: false });
    const pass = await slowReport(tenant, first);
    // The tool ends, and the next model call asks for its leave behind the report.
    const instance = env.INSTANCE.getByName(`${tenant.name}/${first}`);
    await until(() =>
      runInDurableObject(
        instance,
        (_instance, { storage }) => storage.sql.exec("SELECT 1 FROM turn WHERE phase = 'ready'").toArray().length > 0,
      ),
    );
    const interrupted = tenant.run("interrupt_instance", { instance_id: first });
    await until(async () => (await tenant.message(message_id)) === "cancelled");
    pass.open();
    expect(await interrupted).toMatchObject({ interrupted: [message_id] });
    const answer = await tenant.send(second, "And you?", { timeout_seconds: 3 });
    await tenant.run("interrupt_instance", { instance_id: third });
    expect(answer).toMatchObject({ status: "completed" });
    await until(async () => (await tenant.status(first)).state === "idle");
  });
});
