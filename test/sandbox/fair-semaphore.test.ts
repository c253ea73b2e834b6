import { describe, expect, it } from "vitest";
import { FairSemaphore, type Permit } from "../../src/sandbox/fair-semaphore.ts";

const never = new AbortController().signal;
const soon = () => new Promise((next) => setTimeout(next, 60));

/** Work that goes on until it is told to end. */
function work(semaphore: FairSemaphore, tenant: string, begun: string[], name = tenant, signal = never) {
  let end = () => {};
  const ending = new Promise<void>((resolve) => {
    end = resolve;
  });
  let permit: Permit | undefined;
  const done = semaphore.run(tenant, signal, async (given) => {
    permit = given;
    begun.push(name);
    await ending;
  });
  return { end, done, permit: () => permit ?? expect.fail("it has not begun") };
}

describe("permits of a fair semaphore", () => {
  it("go to the tenant that holds the fewest, and within a tenant by the order of coming", async () => {
    const semaphore = new FairSemaphore({ permits: 2, perTenant: 2, loanMs: 60_000 });
    const begun: string[] = [];
    const greedy = [1, 2, 3, 4].map((n) => work(semaphore, "greedy", begun, `greedy ${n}`));
    const modest = work(semaphore, "modest", begun);
    await soon();
    expect(begun).toEqual(["greedy 1", "greedy 2"]);
    greedy[0]?.end();
    await soon();
    expect(begun).toEqual(["greedy 1", "greedy 2", "modest"]);
    for (const { end } of [...greedy, modest]) end();
    await Promise.all([...greedy, modest].map(({ done }) => done));
    expect(begun).toEqual(["greedy 1", "greedy 2", "modest", "greedy 3", "greedy 4"]);
  });

  it("are never all one tenant's where that is forbidden", async () => {
    const semaphore = new FairSemaphore({ permits: 3, perTenant: 2, loanMs: 60_000 });
    const begun: string[] = [];
    const all = [1, 2, 3].map((n) => work(semaphore, "greedy", begun, `greedy ${n}`));
    all.push(work(semaphore, "modest", begun));
    await soon();
    expect(begun).toEqual(["greedy 1", "greedy 2", "modest"]);
    for (const { end } of all) end();
    await Promise.all(all.map(({ done }) => done));
  });

  it("are given back while their holder sleeps, and taken again after it", async () => {
    const semaphore = new FairSemaphore({ permits: 1, perTenant: 1, loanMs: 60_000 });
    const begun: string[] = [];
    const sleeper = work(semaphore, "a", begun, "sleeper");
    const other = work(semaphore, "a", begun, "other");
    await soon();
    let wake = () => {};
    const slept = sleeper.permit().without(
      () =>
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
    );
    await soon();
    expect(begun).toEqual(["sleeper", "other"]);
    wake();
    let awake = false;
    void slept.then(() => {
      awake = true;
    });
    await soon();
    expect(awake).toBe(false);
    other.end();
    await slept;
    sleeper.end();
    await Promise.all([sleeper.done, other.done]);
  });

  it("are not waited for once the signal is aborted", async () => {
    const semaphore = new FairSemaphore({ permits: 1, perTenant: 1, loanMs: 60_000 });
    const begun: string[] = [];
    const first = work(semaphore, "a", begun, "first");
    const abort = new AbortController();
    const second = work(semaphore, "a", begun, "second", abort.signal);
    const third = work(semaphore, "a", begun, "third");
    abort.abort(new Error("no time"));
    await expect(second.done).rejects.toThrow("no time");
    first.end();
    await soon();
    expect(begun).toEqual(["first", "third"]);
    third.end();
    await third.done;
    await expect(semaphore.run("a", AbortSignal.abort(new Error("late")), soon)).rejects.toThrow("late");
  });

  it("that were lost with their object are lent again after a while", async () => {
    const semaphore = new FairSemaphore({ permits: 1, perTenant: 1, loanMs: 20 });
    const begun: string[] = [];
    const lost = work(semaphore, "a", begun, "lost");
    const next = work(semaphore, "b", begun, "next");
    await expect.poll(() => begun).toEqual(["lost", "next"]);
    // The first comes back after all: it gives back nothing that is not its own.
    lost.end();
    await lost.done;
    const later = work(semaphore, "c", begun, "later");
    expect(begun).toEqual(["lost", "next"]);
    next.end();
    await next.done;
    later.end();
    await later.done;
  });
});
