import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ComputeShare } from "../../src/sandbox/compute-share.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** As much rest as a tenant is let off. */
const CREDIT_MS = 300;

/** Computes slices of so many ms, as fast as it may, for a while. The clock stands still meanwhile. Returns how many. */
async function slices(share: ComputeShare, tenant: string, ms: number, forMs: number): Promise<number> {
  const end = Date.now() + forMs;
  let count = 0;
  for (; Date.now() < end; count++) await share.rest(tenant, { ms, since: Date.now() });
  return count;
}

/** Somebody else of the isolate is served while everybody rests. */
async function serveOthers(share: ComputeShare): Promise<void> {
  const turn = share.turn("nobody");
  vi.setSystemTime(Date.now() + 5);
  await vi.advanceTimersByTimeAsync(1);
  await turn;
}

describe("a tenant's share of the isolate's time", () => {
  it("is two thirds while nobody else has anything to do", async () => {
    const share = new ComputeShare();
    const running = slices(share, "a", 20, 3_000);
    await vi.advanceTimersByTimeAsync(3_500);
    const count = await running;
    // The time of the slices themselves is not in this clock.
    expect(count).toBeGreaterThan(3_000 / 10 - 10);
    expect(count).toBeLessThanOrEqual((3_000 + CREDIT_MS) / 10 + 1);
  });

  it("is a fifth while others are served", async () => {
    const share = new ComputeShare();
    const running = slices(share, "a", 20, 3_000);
    for (let i = 0; i < 35; i++) {
      await serveOthers(share);
      await vi.advanceTimersByTimeAsync(95);
    }
    expect(await running).toBeLessThanOrEqual((3_000 + CREDIT_MS) / 80 + 5);
  });

  it("is shared by all scripts of the tenant, and none of them goes without", async () => {
    const share = new ComputeShare();
    const running = Promise.all([1, 2, 3].map(() => slices(share, "a", 20, 3_000)));
    await vi.advanceTimersByTimeAsync(3_500);
    const counts = await running;
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual((3_000 + CREDIT_MS) / 10 + 3);
    expect(Math.min(...counts)).toBeGreaterThan(30);
  });

  it("is divided between tenants that compute", async () => {
    const share = new ComputeShare();
    const running = Promise.all(["a", "b"].map((tenant) => slices(share, tenant, 20, 3_000)));
    await vi.advanceTimersByTimeAsync(3_500);
    const [a = 0, b = 0] = await running;
    expect(a + b).toBeLessThanOrEqual((3_000 + 2 * CREDIT_MS) / 10 + 30);
    expect(Math.abs(a - b)).toBeLessThanOrEqual(30);
  });

  it("is not measured for what is short: such a script never rests", async () => {
    const share = new ComputeShare();
    const before = Date.now();
    const running = (async () => {
      for (let i = 0; i < 10; i++) await share.rest("a", { ms: 50, since: Date.now() });
    })();
    await vi.runAllTimersAsync();
    await running;
    expect(Date.now() - before).toBeLessThan(15);
  });

  it.each([
    ["its clock stands still", 0, 500],
    ["it took half of that", 400, 200 - CREDIT_MS],
    ["it took next to nothing: a quarter of it counts", 1, 125 - 1],
    ["it took for ever: twice of it counts", 60_000, 1_000 - CREDIT_MS],
  ])("is known from work of 1,000 ms and from the clock: %s", async (_name, took, expected) => {
    const share = new ComputeShare();
    // The credit is used up.
    share.account("a", { ms: CREDIT_MS * 2, since: Date.now() });
    const since = Date.now();
    vi.setSystemTime(since + took);
    const rest = share.rest("a", { ms: 1_000, since }).then(() => Date.now() - since - took);
    await vi.runAllTimersAsync();
    expect(await rest).toBeCloseTo(Math.max(0, expected), -1);
  });

  it("counts the last slice of a script for the next one, and for nobody else's", async () => {
    const share = new ComputeShare();
    share.account("a", { ms: 1_000, since: Date.now() });
    const before = Date.now();
    const others = share.turn("b").then(() => Date.now() - before);
    const own = share.turn("a").then(() => Date.now() - before);
    await vi.runAllTimersAsync();
    expect(await others).toBe(0);
    expect(await own).toBe(500 - CREDIT_MS);
  });

  it("keeps nobody who is stopped", async () => {
    const share = new ComputeShare();
    const abort = new AbortController();
    const rest = share.rest("a", { ms: 60_000, since: Date.now() }, abort.signal);
    abort.abort();
    await rest;
  });
});
