/** No script holds its isolate: what one computes is counted, for all commands there are, and bounded. */
import { beforeAll, describe, expect, it } from "vitest";
import { HOSTILE, HOSTILE_CONSTRUCTS, hostileFiles } from "../../../scripts/meter-shell/hostile.ts";
import { createShell } from "../../../src/sandbox/shell/just-bash.js";
import { SCRIPT_UNITS, SLICE_UNITS, STEP_UNITS } from "../../../src/sandbox/shell/work-limits.ts";
import { TestShell } from "../../support/shell.ts";

/** A hundredth of what there is, so that the many calls end soon. */
const WORK = { step: STEP_UNITS / 100, script: SCRIPT_UNITS / 100 };
/** What one native step and one look at the meter may take beyond. */
const BEYOND = 300_000;
const calls = [...Object.entries(HOSTILE), ...Object.entries(HOSTILE_CONSTRUCTS)];
const { files, text } = hostileFiles(20_000);

const PAGES = import.meta.glob<string>("../../../docs/shell.md", { query: "?raw", import: "default", eager: true });

function commandsOf(): string[] {
  const { getCommandNames } = createShell({
    refill: () => 1_000_000,
    due: false,
    pause: async () => {},
    refused: (error) => error,
  });
  return [...getCommandNames().filter((name) => name !== "html-to-markdown"), "node"].sort();
}

describe("the work of a script", () => {
  const shell = new TestShell();
  beforeAll(() =>
    shell.write(
      Object.fromEntries(Object.entries(files).map(([path, content]) => [path.slice("/workspace/".length), content])),
    ),
  );

  it.each(calls)("is bounded, in each step and as a whole: %s", async (_name, script) => {
    const { work, stopped, exitCode } = await shell.run(script, { env: { x: text }, work: WORK });
    expect(work.step).toBeLessThan(WORK.step + BEYOND);
    expect(work.total).toBeLessThan(WORK.script + BEYOND);
    if (work.step > WORK.step || work.total > WORK.script) {
      expect(stopped).toMatch(/^Stopped: (?:one step of it|it) computed for too long/);
      expect(exitCode).toBe(124);
    }
  });

  it.each([
    ["a regular expression of grep", `grep -E '(a{1,30}){1,30}b' long`],
    ["a regular expression of sed", `sed -E 's/(a{1,30}){1,30}b/c/' long`],
    ["a regular expression of awk", `awk '/(a{1,30}){1,30}b/' long`],
    ["a regular expression of jq", `jq -R 'test("(a{1,30}){1,30}b")' long`],
    ["a regular expression of the language", "[[ $(cat long) =~ (a{1,30}){1,30}b ]]"],
    ["a comparison of many lines", "diff lines other"],
  ])("stops at a step's bound: %s", async (_name, script) => {
    const { work, stopped } = await shell.run(script, { work: { step: 2_000_000, script: SCRIPT_UNITS } });
    expect(work.step).toBeGreaterThan(2_000_000);
    expect(work.step).toBeLessThan(2_000_000 + BEYOND);
    expect(stopped).toMatch(/^Stopped: one step of it computed for too long\. Give a command less at once/);
  });

  it("rests between its commands, so that only single commands are large steps", async () => {
    const { work, stdout } = await shell.run("for i in {1..600}; do x=$i; done; echo $x");
    expect(stdout).toBe("600\n");
    expect(work.total).toBeGreaterThan(4 * SLICE_UNITS);
    expect(work.step).toBeLessThan(1.5 * SLICE_UNITS);
  });

  it("is the same each time", async () => {
    const works = await Promise.all(
      [1, 2, 3].map(async () => (await shell.run("sort lines | uniq -c | awk '{n += $1} END {print n}'")).work.total),
    );
    // The meter is looked at each 10,000 units.
    expect(Math.max(...works) - Math.min(...works)).toBeLessThanOrEqual(20_000);
  });

  it("goes on for others of the isolate after a script was stopped in the middle of anything", async () => {
    await shell.run(`grep -E '(a{1,30}){1,30}b' long`, { work: WORK });
    expect(await shell.run("echo still here")).toMatchObject({ stdout: "still here\n", stopped: null });
  });
});

describe("the table of commands", () => {
  const rows = Object.values(PAGES)
    .join("")
    .split("\n")
    .filter((line) => /^\| `/.test(line));

  it("has every command that there is, and no other", () => {
    expect(Object.keys(HOSTILE).sort()).toEqual(commandsOf());
    expect(rows).toHaveLength(calls.length);
    for (const [i, [name]] of calls.entries()) expect(rows[i]).toMatch(`| \`${name}\` |`);
  });
});

describe("a regular expression of a script", () => {
  const shell = new TestShell();
  it.each([
    ["grep", "echo aab | grep -P '(?=a)a+b'"],
    ["grep, a reference back", String.raw`echo abab | grep -E '(ab)\1'`],
    ["sed", String.raw`echo abab | sed -E 's/(ab)\1/x/'`],
    ["awk", "echo a | awk '/(?=a)a/'"],
    ["jq", `echo '"a"' | jq 'test("(?=a)")'`],
    ["rg", "echo a | rg '(?=a)a'"],
    ["the language", "[[ a =~ (?=a) ]]"],
  ])("is refused with a sentence where RE2 has no such thing: %s", async (_name, script) => {
    const { stderr, exitCode } = await shell.run(script);
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/The expression .* can't be used: there is no look-around and no reference back here/);
  });

  it("that can't be used is none of the next script's", async () => {
    await shell.run(String.raw`echo abab | sed -E 's/(ab)\1/x/'`);
    expect(await shell.run("echo a | sed s/a/b/")).toMatchObject({ stdout: "b\n", stderr: "", exitCode: 0 });
  });

  it("is RE2's wherever it comes from: a backtracking engine would never end", async () => {
    await shell.write({ t: `${"a".repeat(64)}\n` });
    const { stdout, stopped } = await shell.run(
      `x=$(cat t); grep -cE '(a+)+b' t; sed -nE '/(a+)+b/p' t; awk '/(a+)+b/' t; [[ $x =~ (a+)+b ]] || echo no
       jq -R 'test("(a+)+b")' t; expr "$x" : '\\(a\\(a*\\)*\\)*b'; find . -regex '.*(a+)+b'; rg -c '(a+)+b' t; echo "\${x//+(a|aa)b/}"`,
    );
    expect(stopped).toBeNull();
    expect(stdout).toContain("no\nfalse\n0\n");
  });
});
