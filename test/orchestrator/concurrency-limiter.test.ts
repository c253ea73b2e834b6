/**
 * The concurrency limiter: model calls of a tenant run freely until the API pushes back; then fewer, and slowly more again. Each
 * test has a tenant, and so a limiter, of its own.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { CallOutcome } from "../../src/contracts/model-call.ts";
import {
  ConcurrencyLimiter,
  type LimiterState,
  MAX_CONCURRENT_CALLS,
  stateAfter,
  UNLIMITED,
} from "../../src/orchestrator/concurrency-limiter.ts";
import { until } from "../support/door.ts";
import { counted, door, newTenant, tooMany } from "../support/limited-tenant.ts";
import { installModel, saying, scriptModel } from "../support/model.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

afterEach(() => scriptModel(() => undefined));

describe("the limiter's state after a call", () => {
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

describe("a slot", () => {
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
