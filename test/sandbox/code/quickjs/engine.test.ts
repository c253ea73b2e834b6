import { describe, expect, it } from "vitest";
import { Engine, OutOfFuel } from "../../../../src/sandbox/code/quickjs/engine.ts";

const MB = 1024 * 1024;

/** Runs a module with so much fuel. Returns the values that it pushed to `out`, and what was computed between two pauses. */
async function run(code: string, fuel = 200_000_000) {
  const pauses: number[] = [];
  const engine = await Engine.create({
    fuel,
    pause: async (units) => {
      pauses.push(units);
      await scheduler.wait(0);
    },
  });
  const { context } = engine;
  const dump = () => context.dump(context.getProp(context.global, "out"));
  let stopped: unknown = null;
  try {
    const { error } = await engine.evaluate(`globalThis.out = []; ${code}`, "test");
    if (error) stopped = context.dump(error);
    else await engine.runJobs();
  } catch (error) {
    stopped = error;
  }
  return { engine, out: stopped === null ? (dump() as unknown[]) : [], pauses, stopped };
}

describe("the memory of a program's engine", () => {
  it.each([
    ["strings", "const all = []; for (;;) all.push('x'.repeat(1e6) + all.length)"],
    ["small strings", "const all = []; for (let i = 0; ; i++) all.push('item ' + i)"],
    ["buffers", "const all = []; for (;;) all.push(new Uint8Array(1e6))"],
    ["one buffer", "new ArrayBuffer(5e8)"],
    ["arrays", "const all = []; for (;;) all.push(new Array(1e5).fill(1))"],
    ["maps", "const all = new Map(); for (let i = 0; ; i++) all.set(i, { i })"],
    ["closures", "const all = []; for (let i = 0; ; i++) all.push(() => i)"],
    ["a string that doubles", "let all = 'x'; for (;;) all += all"],
    ["an expression's captures", "/(?:(a)|b)*/.exec('ab'.repeat(5e6))"],
    ["big numbers", "let all = 3n; for (;;) all = all * all"],
  ])("ends at 32 MB for %s, and the program hears of it", async (_name, code) => {
    const { engine, out, stopped } = await run(
      `try { ${code} } catch (error) { out.push(String(error)) } out.push(1 + 1)`,
    );
    expect(engine.memoryBytes).toBeLessThanOrEqual(32 * MB);
    // Or it has computed for too long before.
    if (stopped === null) expect(out).toEqual([expect.any(String), 2]);
    else expect(stopped).toBeInstanceOf(OutOfFuel);
  });

  it("begins small, so that a program that waits holds little", async () => {
    const { engine, out } = await run("out.push(1)");
    expect(out).toEqual([1]);
    expect(engine.memoryBytes).toBeLessThanOrEqual(7 * MB);
  });
});

describe("what a program's engine computes", () => {
  const endless: [name: string, code: string][] = [
    ["an empty loop", "for (;;) {}"],
    ["a loop that catches", "for (;;) try { for (;;) {} } catch {}"],
    ["a native search", "Array(4e9).indexOf(1)"],
    ["a native sort", "for (;;) Array.from({ length: 1e5 }, (_, i) => (i * 7919) % 1e5).sort()"],
    ["a backtracking expression", "/^(a+)+$/.test('a'.repeat(40) + 'b')"],
    ["big numbers", "for (let n = 3n; ; ) n = (n ** 50n) % (1n << 100000n)"],
    ["JSON", "const o = { a: 'x'.repeat(1e5) }; for (;;) JSON.parse(JSON.stringify(o))"],
    ["a generator", "function* g() { for (;;) yield 1 } for (const x of g()) out = x"],
    ["jobs without end", "const again = () => Promise.resolve().then(again); again()"],
    ["a getter while it is shown", "for (;;) JSON.stringify({ get a() { return 'x'.repeat(1e4) } })"],
    ["compiling", "for (;;) new Function('a'.repeat(1e4) + '=1')"],
    ["strings", "for (let s = 'ab'.repeat(1e5); ; ) s.replaceAll('b', 'c').split('c').join('b')"],
  ];

  it.each(endless)("is cut into slices and ends with its fuel: %s", async (_name, code) => {
    const { pauses, stopped } = await run(code, 20_000_000);
    expect(stopped).toBeInstanceOf(OutOfFuel);
    expect(pauses.length).toBeGreaterThanOrEqual(18);
    expect(Math.max(...pauses)).toBeLessThan(1_200_000);
  });

  it("ends when its host does not go on, also in native code", async () => {
    const engine = await Engine.create({ fuel: 200_000_000, pause: () => Promise.reject(new Error("enough")) });
    await expect(engine.evaluate("try { Array(4e9).indexOf(1) } catch {}", "test")).rejects.toThrow("enough");
  });

  it("goes on where it was after a pause, with what it had", async () => {
    const { out, pauses } = await run("let n = 0; for (let i = 0; i < 3e6; i++) n += i; out.push(n)");
    expect(out).toEqual([(3e6 * (3e6 - 1)) / 2]);
    expect(pauses.length).toBeGreaterThan(0);
  });

  it("is brief where it can't be suspended", async () => {
    const { engine } = await run("globalThis.slow = { get a() { for (;;) {} } }");
    const { context } = engine;
    const slow = context.getProp(context.global, "slow");
    expect(() => engine.brief(() => context.dump(slow))).toThrow();
    await expect(engine.evaluate("1", "test")).rejects.toThrow(OutOfFuel);
  });
});
