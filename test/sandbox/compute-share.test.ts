import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ComputeShare } from "../../src/sandbox/compute-share.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Computes slices of so many ms, as fast as it may, for a while. Returns how many. */
async function slices(share: ComputeShare, tenant: string, ms: number, forMs: number, clock: boolean): Promise<number> {
  const end = Date.now() + forMs;
  let count = 0;
  while (Date.now() < end) {
    const since = Date.now();
    if (clock) vi.setSystemTime(since + ms);
    count += 1;
    await share.rest(tenant, { ms, since });
  }
  return count;
}

describe("a tenant's share of the isolate's time", () => {
  it("is a third at most, where the clock stands still while code runs", async () => {
    const share = new ComputeShare();
    const running = slices(share, "a", 20, 10_000, false);
    await vi.advanceTimersByTimeAsync(11_000);
    // Slices of 20 ms rest for 40: the time of the slices themselves is not in this clock. And 300 ms of credit.
    expect(await running).toBeLessThanOrEqual((10_000 + 300) / 40 + 1);
  });

  it("is shared by all scripts of the tenant", async () => {
    const share = new ComputeShare();
    const running = Promise.all([1, 2, 3].map(() => slices(share, "a", 20, 10_000, false)));
    await vi.advanceTimersByTimeAsync(11_000);
    const counts = await running;
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual((10_000 + 300) / 40 + 3);
    // And none of them goes without.
    expect(Math.min(...counts)).toBeGreaterThan(10);
  });

  it("is divided between tenants that compute", async () => {
    const share = new ComputeShare();
    const running = Promise.all(["a", "b"].map((tenant) => slices(share, tenant, 20, 10_000, false)));
    await vi.advanceTimersByTimeAsync(11_000);
    const [a = 0, b = 0] = await running;
    expect(a + b).toBeLessThanOrEqual((10_000 + 600) / 40 + 20);
    expect(Math.abs(a - b)).toBeLessThanOrEqual(10);
  });

  it("is not measured for what is short: such a script never rests", async () => {
    const share = new ComputeShare();
    const before = Date.now();
    const running = (async () => {
      for (let i = 0; i < 10; i++) await share.rest("a", { ms: 15, since: Date.now() });
    })();
    await vi.runAllTimersAsync();
    await running;
    expect(Date.now() - before).toBeLessThan(15);
  });

  it.each([
    ["its clock stands still", 0, 2_000],
    ["it took half of that", 500, 1_000 - 300],
    ["it took next to nothing: a quarter of it counts", 1, 500 - 1],
    ["it took for ever: twice of it counts", 60_000, 4_000 - 300],
  ])("is known from work of 1,000 ms and from the clock: %s", async (_name, took, expected) => {
    const share = new ComputeShare();
    // The credit is used up.
    const first = share.rest("a", { ms: 150, since: Date.now() });
    await vi.runAllTimersAsync();
    await first;
    const since = Date.now();
    vi.setSystemTime(since + took);
    const rest = share.rest("a", { ms: 1_000, since }).then(() => Date.now() - since - took);
    await vi.runAllTimersAsync();
    expect(await rest).toBeCloseTo(expected, -1);
  });

  it("keeps nobody who is stopped", async () => {
    const share = new ComputeShare();
    const abort = new AbortController();
    const rest = share.rest("a", { ms: 60_000, since: Date.now() }, abort.signal);
    abort.abort();
    await rest;
  });
});
