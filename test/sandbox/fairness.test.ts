/** Scripts and programs that wait keep nobody else waiting: neither those of another tenant nor those of their own. */
import { describe, expect, it } from "vitest";
import { Program } from "../../src/sandbox/code/program.ts";
import type { PosixFiles } from "../../src/sandbox/posix-files.ts";
import { TestShell } from "../support/shell.ts";

/** Of an isolate at once, and more than that. */
const MANY = 7;

async function whileOthersWait(wait: (ended: () => boolean) => Promise<unknown>, work: () => Promise<void>) {
  let ended = false;
  const waiting = Array.from({ length: MANY }, () => wait(() => ended).catch(() => "stopped"));
  try {
    await work();
    expect(await Promise.race([...waiting, "all wait"])).toBe("all wait");
  } finally {
    ended = true;
    await Promise.all(waiting);
  }
}

describe("scripts that sleep", () => {
  const sleeping = (ended: () => boolean) => new TestShell().run("sleep 25", { tenant: "sleepy" }, ended);

  it.each(["other", "sleepy"])("leave their places to scripts of the tenant %s", async (tenant) => {
    await whileOthersWait(sleeping, async () => {
      expect(await new TestShell().run("echo awake", { tenant })).toMatchObject({ stdout: "awake\n" });
    });
  });

  it("and hold much memory take no more than their tenant's places", async () => {
    const heavy = (ended: () => boolean) =>
      new TestShell().run("x=$(printf '%3000000s'); sleep 25", { tenant: "heavy" }, ended);
    await whileOthersWait(heavy, async () => {
      expect(await new TestShell().run("echo awake", { tenant: "other" })).toMatchObject({ stdout: "awake\n" });
    });
  });

  it("go on where they were", async () => {
    const { stdout } = await new TestShell().run("x=1; sleep 0.05; x=$((x + 1)); sleep 0.05; echo $x");
    expect(stdout).toBe("2\n");
  });
});

describe("programs that wait", () => {
  const run = (tenant: string, code: string, signal = new AbortController().signal) =>
    new Program({} as PosixFiles, tenant).run({
      source: { code, typescript: false },
      cwd: "/workspace",
      argv: [],
      env: {},
      timeoutMs: 30_000,
      signal,
    });

  it.each([
    ["leave their places to programs of their tenant", "sleepy", 3, "setTimeout(() => {}, 25_000)"],
    ["leave their places to programs of others", "other", MANY, "setTimeout(() => {}, 25_000)"],
    [
      "and hold much memory leave the place of others",
      "other",
      MANY,
      "globalThis.all = new Uint8Array(9e6); setTimeout(() => {}, 25_000)",
    ],
  ])("%s", async (_name, tenant, count, code) => {
    const abort = new AbortController();
    const waiting = Array.from({ length: count }, () => run("sleepy", code, abort.signal).catch(() => null));
    expect(await run(tenant, "console.log('awake')")).toMatchObject({ stdout: "awake\n" });
    abort.abort();
    await Promise.all(waiting);
  });

  it("go on where they were", async () => {
    const { stdout } = await run(
      "a",
      "let n = 1; for (const ms of [10, 20]) await new Promise((go) => setTimeout(go, ms)).then(() => n++); console.log(n)",
    );
    expect(stdout).toBe("3\n");
  });
});
