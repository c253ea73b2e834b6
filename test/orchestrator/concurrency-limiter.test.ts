/**
 * The concurrency limiter: model calls of a tenant run freely until the API pushes back; then fewer, and slowly more again. Each
 * test has a tenant, and so a limiter, of its own.
 */

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { CallOutcome } from "../../src/contracts/model-call.ts";
import { LOCAL } from "../../src/contracts/principal.ts";
import type { TenantEvent } from "../../src/contracts/records.ts";
import { instanceOf } from "../../src/contracts/stubs.ts";
import { contextOf } from "../../src/http/context.ts";
import {
  ConcurrencyLimiter,
  type LimiterState,
  MAX_CONCURRENT_CALLS,
  stateAfter,
  UNLIMITED,
} from "../../src/orchestrator/concurrency-limiter.ts";
import { Orchestrator } from "../../src/orchestrator/orchestrator.ts";
import { parseMessageId } from "../../src/platform/ids.ts";
import { dispatch } from "../../src/tools/runtime/dispatch.ts";
import { TEST_TOOLS } from "../entry/tools.ts";
import { type Json, until } from "../support/door.ts";
import { installModel, type Script, type ScriptCall, saying, scriptModel } from "../support/model.ts";
import { stopwatch } from "../support/stopwatch.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));
afterEach(() => scriptModel(() => undefined));

/** A tenant of its own, through the catalogue as every door uses it. */
function newTenant() {
  const name = `limiter-${crypto.randomUUID().slice(0, 18)}`;
  const principal = { ...LOCAL, tenant: name };
  const context = contextOf(env, TEST_TOOLS, { principal, signal: new AbortController().signal });
  const object = env.ORCHESTRATOR.getByName(name);
  const run = async (tool: string, input: Record<string, unknown>) => (await dispatch(context, tool, input)) as Json;
  const spawn = async (input: Record<string, unknown> = {}) =>
    String((await run("spawn_claude", { name: "Ada", ...input })).instance_id);
  return {
    name,
    run,
    spawn,
    spawnMany: (count: number) => Promise.all(Array.from({ length: count }, () => spawn())),
    send: (id: string, message: string, input: Record<string, unknown> = {}) =>
      run("send_to_instance", { instance_id: id, message, timeout_seconds: 50, ...input }),
    status: async (id: string) => (await run("get_instance_status", { instance_id: id })).status as Status,
    events: async (id: string | null = null): Promise<TenantEvent[]> =>
      (await context.orchestrator.events({ after: 0, instance_id: id, limit: 10_000, waitMs: 0 })).events,
    /** The state of a message as it is stored: an answer would wait until the registry has heard of it. */
    async message(id: unknown) {
      const message = parseMessageId(String(id));
      return runInDurableObject(
        env.INSTANCE.getByName(`${name}/${message?.instanceId}`),
        (_instance, { storage }) =>
          storage.sql.exec<{ state: string }>("SELECT state FROM message WHERE n = ?", message?.n ?? -1).one().state,
      );
    },
    /** What the limiter has stored: nothing while it was never pushed back. */
    limiter: () =>
      runInDurableObject(
        object,
        (_orchestrator, { storage }) =>
          storage.sql
            .exec<{ allowed: number; blocked_until: number }>("SELECT allowed, blocked_until FROM concurrency_limiter")
            .toArray()[0],
      ),
    /** Limits the tenant to this many calls at once, as after a push back and an eviction. */
    async narrow(allowed: number) {
      await runInDurableObject(object, (_orchestrator, { storage }) => {
        storage.sql.exec("INSERT OR REPLACE INTO concurrency_limiter VALUES (1, ?, 0, 0)", allowed);
      });
      await evictDurableObject(object);
    },
  };
}

interface Status {
  state: string;
  waiting_for?: { reason: string; until: string | null };
  [field: string]: unknown;
}

/** A flag to wait for. Objects look at it each by itself: workerd lets none go on in the context of another. */
function door() {
  let isOpen = false;
  return {
    open: () => {
      isOpen = true;
    },
    opened: () => until(async () => isOpen),
  };
}

/** Goes on for long after a test is over, unless it is stopped. */
const endless: Script = { ...saying("word ".repeat(1_000)), chunkChars: 5, chunkDelayMs: 50 };

const tooMany = (retryAfterSeconds: number): Script => ({
  fault: { kind: "status", status: 429, type: "rate_limit_error", message: "Too many.", retryAfterSeconds },
});

/** A script that knows how many calls it is answering. */
function counted(answer: (call: ScriptCall, running: number) => Promise<Script | undefined>) {
  let running = 0;
  return async (call: ScriptCall) => {
    running += 1;
    try {
      return await answer(call, running);
    } finally {
      running -= 1;
    }
  };
}

describe("the state after a call", () => {
  const pushedBack = (until: number): CallOutcome => ({ kind: "pushed_back", until });
  const narrow: LimiterState = { allowed: 4, blockedUntil: 500, changedAt: 400 };
  it.each<[string, LimiterState, CallOutcome, number, number, number, LimiterState]>([
    ["without a limit it stays so", UNLIMITED, { kind: "ok" }, 10, 200, 20, UNLIMITED],
    ["a failure says nothing", narrow, { kind: "failed" }, 450, 4, 460, narrow],
    ["a success adds one for a round", narrow, { kind: "ok" }, 450, 4, 460, { ...narrow, allowed: 4.25 }],
    ["an old success counts as well", narrow, { kind: "ok" }, 300, 4, 460, { ...narrow, allowed: 4.25 }],
    [
      "nothing exceeds the ceiling",
      { ...narrow, allowed: MAX_CONCURRENT_CALLS - 0.001 },
      { kind: "ok" },
      450,
      4,
      460,
      { ...narrow, allowed: MAX_CONCURRENT_CALLS },
    ],
    [
      "the first push back halves what was in flight, not what was allowed",
      UNLIMITED,
      pushedBack(900),
      10,
      12,
      100,
      { allowed: 6, blockedUntil: 900, changedAt: 100 },
    ],
    [
      "an odd number is rounded down",
      UNLIMITED,
      pushedBack(900),
      10,
      7,
      100,
      { allowed: 3, blockedUntil: 900, changedAt: 100 },
    ],
    [
      "one call is always allowed",
      narrow,
      pushedBack(900),
      450,
      1,
      460,
      { allowed: 1, blockedUntil: 900, changedAt: 460 },
    ],
    ["the same storm halves once", narrow, pushedBack(900), 399, 6, 460, { ...narrow, blockedUntil: 900 }],
    ["a call of the same moment belongs to it", narrow, pushedBack(900), 400, 6, 460, { ...narrow, blockedUntil: 900 }],
    ["a shorter pause does not shorten a longer one", narrow, pushedBack(450), 399, 6, 460, narrow],
    [
      "nor does that of a later push back",
      narrow,
      pushedBack(450),
      430,
      4,
      460,
      { allowed: 2, blockedUntil: 500, changedAt: 460 },
    ],
  ])("%s", (_rule, before, outcome, admittedAt, inFlight, now, after) => {
    expect(stateAfter(before, outcome, admittedAt, inFlight, now)).toEqual(after);
  });

  it("doubles from one in a few rounds, not at once", () => {
    let state: LimiterState = { allowed: 1, blockedUntil: 0, changedAt: 0 };
    const allowed = Array.from({ length: 8 }, () => {
      state = stateAfter(state, { kind: "ok" }, 1, 1, 2);
      return Math.floor(state.allowed);
    });
    expect(allowed).toEqual([2, 2, 2, 3, 3, 3, 4, 4]);
  });
});

describe("the limiter", () => {
  it("is open until the API pushes back: a fleet runs at once", async () => {
    const tenant = newTenant();
    const fleet = await tenant.spawnMany(40);
    const all = door();
    scriptModel(
      counted(async (_call, running) => {
        // Nobody is answered before everybody has asked.
        if (running === fleet.length) all.open();
        await all.opened();
        return saying("Here.");
      }),
    );
    const answers = await Promise.all(fleet.map((id) => tenant.send(id, "All together!")));
    expect(answers.map((answer) => answer.status)).toEqual(fleet.map(() => "completed"));
    expect(await tenant.limiter()).toBeUndefined();
  });

  it("brings six siblings through an API that limits five of them for a while, and calls it in no pause", async () => {
    const tenant = newTenant();
    const parent = await tenant.spawn();
    const six = await Promise.all(
      Array.from({ length: 6 }, (_, i) => tenant.spawn({ name: `Nr${i}`, parent_instance_id: parent })),
    );
    const marker = `siblings of ${parent}`;
    const all = door();
    let limitedUntil = Number.POSITIVE_INFINITY;
    scriptModel(
      counted(async (call, running) => {
        if (running === six.length && limitedUntil === Number.POSITIVE_INFINITY) {
          // Longer than the shortest pause: whoever comes after it is refused once more.
          limitedUntil = Date.now() + 2_500;
          all.open();
        }
        await all.opened();
        const limited = Date.now() < limitedUntil && !call.lastUserText.startsWith("Nr0");
        return limited ? tooMany(0.4) : saying("Done.");
      }),
    );
    const answers = await Promise.all(six.map((id, i) => tenant.send(id, `Nr${i} of the ${marker}`)));
    expect(answers.map((answer) => answer.status)).toEqual(six.map(() => "completed"));

    const calls = model.simulator.journal.filter((entry) => JSON.stringify(entry.body).includes(marker));
    const refused = calls.filter((call) => call.status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(6);
    // What a refused call was told: not what its instance was told when it asked during the pause.
    const events = await tenant.events();
    const pauses = six.flatMap((id) => {
      const own = events.filter((event) => event.instance_id === id);
      return own.flatMap((event, i) =>
        event.kind === "message.waiting" && own[i - 1]?.kind === "model_call.failed"
          ? [{ from: Date.parse(event.at), until: Date.parse(String(event.data.until)) }]
          : [],
      );
    });
    // A call may have been admitted right before the limiter heard of the pause: that, and no more, is the grace.
    const GRACE_MS = 100;
    const offending = calls.flatMap(({ time }) =>
      pauses.filter((pause) => time > pause.from + GRACE_MS && time < pause.until).map((pause) => ({ time, ...pause })),
    );
    expect(offending).toEqual([]);
    expect((await tenant.limiter())?.allowed).toBeLessThan(6);
  });

  it("lets fewer run after a push back, and more and more again after it", async () => {
    const tenant = newTenant();
    const fleet = await tenant.spawnMany(16);
    const LIMIT = 6;
    let limited = true;
    const peaks = { limited: 0, first: 0, last: 0 };
    const allowed: number[] = [];
    const all = door();
    scriptModel(
      counted(async (call, running) => {
        if (running === fleet.length) all.open();
        await all.opened();
        if (limited && running > LIMIT) return tooMany(0.3);
        const phase = call.lastUserText.includes("round 1") ? "limited" : call.step === 1 ? "first" : "last";
        peaks[phase] = Math.max(peaks[phase], running);
        await new Promise((done) => setTimeout(done, 20));
        return saying("Done.");
      }),
    );
    const round = async (n: number) => {
      const answers = await Promise.all(fleet.map((id) => tenant.send(id, `This is round ${n}.`)));
      expect(answers.map((answer) => answer.status)).toEqual(fleet.map(() => "completed"));
      allowed.push(Math.floor((await tenant.limiter())?.allowed ?? Number.NaN));
    };
    await round(1);
    // The limit is gone, but the limiter does not know: it feels its way back.
    limited = false;
    for (let n = 2; n <= 6; n++) await round(n);
    expect(allowed[0]).toBeLessThan(fleet.length);
    expect(allowed).toEqual(allowed.toSorted((a, b) => a - b));
    expect(peaks.first).toBeLessThan(fleet.length);
    expect(peaks.last).toBeGreaterThan(peaks.first);
  });

  it("keeps its pause when the Orchestrator restarts", async () => {
    const tenant = newTenant();
    const [first = "", second = ""] = await tenant.spawnMany(2);
    const marker = `restart of ${tenant.name}`;
    let refused = 0;
    scriptModel(() => (refused++ === 0 ? tooMany(0.5) : saying("Done.")));
    const sent = tenant.send(first, `First: ${marker}`);
    const pause = await until(async () => (await tenant.limiter())?.blocked_until);
    await evictDurableObject(env.ORCHESTRATOR.getByName(tenant.name));
    expect(await tenant.send(second, `Second: ${marker}`)).toMatchObject({ status: "completed" });
    expect(await sent).toMatchObject({ status: "completed" });
    const [, ...later] = model.simulator.journal.filter((entry) => JSON.stringify(entry.body).includes(marker));
    expect(later).toHaveLength(2);
    for (const call of later) expect(call.time).toBeGreaterThanOrEqual(pause);
  });

  it("shows who waits for a pause to end, why and until when, and the way back", async () => {
    const tenant = newTenant();
    const [first = "", second = ""] = await tenant.spawnMany(2);
    scriptModel((call) => (call.attempt === 1 && call.lastUserText === "You first." ? tooMany(0.9) : saying("Done.")));
    const sent = [await tenant.send(first, "You first.", { wait_for_response: false })];
    await until(async () => (await tenant.status(first)).state === "waiting");
    sent.push(await tenant.send(second, "You next.", { wait_for_response: false }));
    await until(async () => (await tenant.status(second)).state === "waiting");
    const pause = (await tenant.limiter())?.blocked_until ?? 0;
    for (const id of [first, second]) {
      const { waiting_for } = await tenant.status(id);
      expect(waiting_for).toMatchObject({ reason: "rate_limited" });
      expect(Date.parse(String(waiting_for?.until))).toBeGreaterThanOrEqual(pause - 1);
    }
    const ids = sent.map((answer) => answer.message_id);
    expect(await tenant.run("wait", { ids, timeout_seconds: 0 })).toMatchObject({
      pending: ids.map((id) => ({ id, waiting_for: { reason: "rate_limited" } })),
    });
    expect(await tenant.run("wait", { ids })).toMatchObject({ pending: [] });
    await until(async () => (await tenant.status(second)).state === "idle");
    expect(await tenant.status(second)).not.toHaveProperty("waiting_for");
  });
});

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

describe("a place", () => {
  const withLimiter = <T>(work: (limiter: ConcurrencyLimiter) => T | Promise<T>) => {
    const tenant = newTenant();
    return runInDurableObject(env.ORCHESTRATOR.getByName(tenant.name), (_orchestrator, { storage }) => {
      storage.sql.exec("INSERT OR REPLACE INTO concurrency_limiter VALUES (1, 1, 0, 0)");
      return work(new ConcurrencyLimiter(storage.sql));
    });
  };
  const MINUTE = 60_000;

  it("is given for one call only: an instance that asks again has lost its call", async () => {
    await withLimiter((limiter) => {
      expect(limiter.acquire("a", Date.now(), () => expect.unreachable())).toEqual({ granted: true });
      expect(limiter.acquire("a", Date.now(), () => expect.unreachable())).toEqual({ granted: true });
      expect(limiter.view).toMatchObject({ running: 1, queued: 0 });
    });
  });

  it("is a lease: a holder that is never heard of again loses it, a fresh one does not", async () => {
    const began = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: began });
    onTestFinished(() => void vi.useRealTimers());
    await withLimiter(async (limiter) => {
      expect(limiter.acquire("lost", began, () => undefined)).toEqual({ granted: true });
      vi.setSystemTime(began + 15 * MINUTE - 1);
      const early = limiter.acquire("early", Date.now(), () => undefined);
      expect(limiter.view).toMatchObject({ running: 1, queued: 1 });
      vi.setSystemTime(began + 15 * MINUTE);
      // Whoever comes when the lease is over finds the place free, and those who came before go first.
      const late = limiter.acquire("late", Date.now(), () => undefined);
      expect(await early).toEqual({ granted: true });
      expect(limiter.view).toMatchObject({ running: 1, queued: 1 });
      limiter.release("early", { kind: "ok" }, Date.now());
      expect(await late).toEqual({ granted: true });
    });
  });

  it("counts for what came of it even if it was taken before a restart", async () => {
    await withLimiter((limiter) => {
      limiter.release("unknown", { kind: "pushed_back", until: 900 }, 100);
      expect(limiter.view).toEqual({ running: 0, allowed: 1, queued: 0, blockedUntil: 900 });
      expect(limiter.acquire("other", 200, () => expect.unreachable())).toMatchObject({
        granted: false,
        reason: "rate_limited",
      });
    });
  });

  it("is not given while the API wants a pause: a queued call is told when it ends", async () => {
    await withLimiter(async (limiter) => {
      limiter.acquire("running", Date.now(), () => undefined);
      const held = limiter.acquire("held", Date.now(), () => undefined);
      const until = Date.now() + 5_000;
      limiter.release("running", { kind: "pushed_back", until }, Date.now() + 1);
      const admission = await held;
      expect(admission).toMatchObject({ granted: false, reason: "rate_limited" });
      expect("until" in admission && admission.until).toBeGreaterThanOrEqual(until);
      expect("until" in admission && admission.until).toBeLessThanOrEqual(until + 500);
      expect(limiter.view).toMatchObject({ running: 0, queued: 0 });
    });
  });

  it("comes free when its holder gives up, queued or running", async () => {
    await withLimiter(async (limiter) => {
      limiter.acquire("running", Date.now(), () => undefined);
      const held = limiter.acquire("held", Date.now(), () => undefined);
      const next = limiter.acquire("next", Date.now(), () => undefined);
      limiter.abandon("held");
      expect(await held).toMatchObject({ granted: false });
      limiter.abandon("running");
      expect(await next).toEqual({ granted: true });
      limiter.abandon("next");
      expect(limiter.view).toMatchObject({ running: 0, queued: 0 });
    });
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
