/**
 * Searching files, whatever the pattern.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { spawn } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { use } from "../support/tool-calls.ts";
import { bytesOf, inObject, write } from "../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("a search of files", () => {
  it("with a hostile pattern is bounded, and the instance goes on", async () => {
    const id = await spawn();
    await write(id, "evil.txt", `${"a".repeat(200_000)}!\n`.repeat(5));
    const started = Date.now();
    const patterns = ["(a+)+$", "(a|a)*b", "(.*a){25}b", "((a{1,30}){1,30})b", "(((a{10}){10}){10})b"];
    const results = await use(
      id,
      ...patterns.map((pattern) => ({ name: "search_files", input: { pattern, regex: true } })),
      { name: "search_files", input: { pattern: "((a{1,100}){1,9})b", regex: true } },
      { name: "search_files", input: { pattern: "(a)\\1", regex: true } },
      { name: "search_files", input: { pattern: "(?=a)", regex: true } },
      { name: "list_files", input: {} },
    );
    expect(Date.now() - started).toBeLessThan(20_000);
    for (const result of results.slice(0, 5)) expect(result.text).toMatch(/^0 matches/);
    expect(results[6]).toMatchObject({ isError: true, text: expect.stringContaining("RE2's syntax") });
    expect(results[7]).toMatchObject({ isError: true });
    expect(results[8]).toMatchObject({ isError: false });
  });

  it("goes on where it stopped, and finds everything once", async () => {
    const id = await spawn();
    await inObject(id, async (workspace) => {
      for (let i = 0; i < 30; i++) await workspace.write(`f${i}/a.txt`, bytesOf("hit\nmiss\nhit\n"), {});
      await workspace.write("binary", Uint8Array.of(104, 105, 116, 0xff), {});
      const query = {
        pattern: "hit",
        regex: false,
        ignoreCase: false,
        folder: "",
        include: null,
        context: 0,
        limit: 7,
      };
      const found: string[] = [];
      for (let cursor: string | null = null, more = true; more; ) {
        const page = await workspace.search({ ...query, cursor });
        found.push(...page.matches.map((match) => `${match.path}:${match.line}`));
        cursor = page.next;
        more = cursor !== null;
      }
      expect(found).toHaveLength(60);
      expect(new Set(found).size).toBe(60);
    });
  });

  // Lines, or one line: what an expression does to either has to be cut into pieces.
  it.each([
    ["lines", `${`c${"ab".repeat(450)}\n`.repeat(500)}hit\n`, 501],
    ["one line", `c${"ab".repeat(225_000)}hit`, 1],
  ])(
    "of a large file of %s gives way to others, stops, and goes on until everything was looked through",
    async (_what, content, last) => {
      const id = await spawn();
      await write(id, "large.txt", content);
      await inObject(id, async (workspace) => {
        const query = { regex: true, ignoreCase: false, folder: "", include: null, context: 0, limit: 5 };
        const pattern = "hit|a[ab]{450}[ab]*c$";
        let turns = 0;
        let others = true;
        const taken = (async () => {
          for (; others; turns++) await scheduler.wait(0);
        })();
        const found: number[] = [];
        const stops: (number | undefined)[] = [];
        for (let cursor: string | null = null, more = true; more; ) {
          const page = await workspace.search({ ...query, pattern, cursor });
          found.push(...page.matches.map(({ line }) => line));
          stops.push(page.searched?.line);
          expect(page.next).not.toBe(cursor);
          cursor = page.next;
          more = cursor !== null;
        }
        others = false;
        await taken;
        expect(found).toEqual([last]);
        expect(stops.length).toBeGreaterThan(2);
        expect(stops.at(-1)).toBeUndefined();
        expect(turns).toBeGreaterThan(4 * stops.length);
      });
    },
  );

  it("that stops within a file says so, and how to go on", async () => {
    const id = await spawn();
    await write(id, "large.txt", `c${"ab".repeat(450)}\n`.repeat(500));
    const input = { pattern: "a[ab]{450}[ab]*c$", regex: true };
    const [first] = await use(id, { name: "search_files", input });
    const [, line, cursor] =
      /^0 matches in 1 text files so far\. Searched up to line (\d+) of large\.txt\. Go on with cursor="(.*)"\.$/.exec(
        first?.text ?? "",
      ) ?? [];
    expect(Number(line)).toBeGreaterThan(100);
    const [second] = await use(id, { name: "search_files", input: { ...input, cursor } });
    expect(Number(/up to line (\d+)/.exec(second?.text ?? "")?.[1])).toBeGreaterThan(Number(line) + 100);
  });
});
