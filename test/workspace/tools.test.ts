/**
 * The file tools of an instance: what they do, what they say, and who has them.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { FILE_TOOLS } from "../../src/workspace/tools.ts";
import { toolContext } from "../support/context.ts";
import { output, send, spawn, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";
import { use } from "../support/tool-calls.ts";
import { bytesOf, failure, files, inObject, read, write } from "../support/workspace.ts";

const model = installModel();

beforeEach(() => scriptModel(() => undefined));

describe("an instance's own files", () => {
  it("are written, read, edited (wrong, then right), found, searched, moved and deleted by its tools", async () => {
    const id = await spawn();
    const source = "export function add(a: number, b: number) {\n  return a - b;\n}\n";
    const results = await use(
      id,
      { name: "write_file", input: { path: "src/add.ts", content: source } },
      { name: "write_file", input: { path: "notes/todo.md", content: "# To do\n\n- fix add\n" } },
      { name: "list_files", input: { recursive: true } },
      { name: "edit_file", input: { path: "src/add.ts", old_text: "  return a  - b;", new_text: "  return a + b;" } },
      { name: "edit_file", input: { path: "src/add.ts", old_text: "  return a - b;", new_text: "  return a + b;" } },
      { name: "read_file", input: { path: "src/add.ts", start_line: 2, max_lines: 1 } },
      { name: "search_files", input: { pattern: "A + B", ignore_case: true, context: 1 } },
      { name: "search_files", input: { pattern: "^- \\w+ add$", regex: true, include: "*.md" } },
      { name: "find_files", input: { pattern: "**/*.ts" } },
      { name: "move_file", input: { from: "notes", to: "docs/notes" } },
      { name: "delete_file", input: { path: "docs" } },
      { name: "delete_file", input: { path: "docs", recursive: true } },
      { name: "list_files", input: { recursive: true } },
    );
    expect(results.map(({ isError }) => isError)).toEqual(results.map((_, i) => i === 3 || i === 10));
    expect(results[2]?.text).toBe(`notes/\nnotes/todo.md (19 bytes)\nsrc/\nsrc/add.ts (${source.length} bytes)`);
    expect(results[3]?.text).toContain("Line 2 comes near (its white space differs");
    expect(results[4]?.text).toMatch(/^Replaced at line 2 of src\/add\.ts: \d+ bytes, version \d+\.$/);
    expect(results[5]?.text).toMatch(/^src\/add\.ts, lines 2 to 2, .* Go on with start_line=3\.\n {2}return a \+ b;$/);
    expect(results[6]?.text).toContain("src/add.ts:2:   return a + b;");
    expect(results[6]?.text).toContain("src/add.ts-3- }");
    expect(results[7]?.text).toContain("notes/todo.md:3: - fix add");
    expect(results[8]?.text).toBe(`src/add.ts (${source.length} bytes)`);
    expect(results[12]?.text).toBe(`src/\nsrc/add.ts (${source.length} bytes)`);
    expect((await output(id)).filter((row) => row.type === "tool_result")).toHaveLength(13);
  });

  it("survive the eviction of its object, and are there from outside", async () => {
    const id = await spawn();
    await use(id, { name: "write_file", input: { path: "a.txt", content: "kept" } });
    await evictDurableObject(objectOf(id));
    expect(await read(id, "a.txt")).toMatchObject({
      success: true,
      content: "kept",
      encoding: "utf-8",
      size: 4,
      media_type: "text/plain",
      next_offset: null,
    });
  });

  it("cost an instance nothing that has none", async () => {
    const id = await spawn();
    await send(id, "hello");
    const tables = await runInDurableObject(objectOf(id), (_instance, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name LIKE '%vfs%'").toArray(),
    );
    expect(tables).toEqual([]);
  });

  it("are apart from those of another with the same paths", async () => {
    const ids = await Promise.all([spawn(), spawn()]);
    await Promise.all(
      ids.map(async (id) => {
        for (let i = 0; i < 20; i++) await write(id, `same/${i % 5}.txt`, `${id} ${i}`);
      }),
    );
    for (const id of ids) {
      expect((await files(id)).map((file) => file.path)).toEqual([0, 1, 2, 3, 4].map((i) => `same/${i}.txt`));
      for (let i = 0; i < 5; i++) expect((await read(id, `same/${i}.txt`)).content).toBe(`${id} ${15 + i}`);
    }
  });

  it("are changed once by a call that runs again after a crash", async () => {
    const id = await spawn();
    await inObject(id, async (workspace, { storage }) => {
      storage.sql.exec(
        "CREATE TABLE IF NOT EXISTS idempotency (key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, answer TEXT NOT NULL, created_at INTEGER NOT NULL)",
      );
      const edit = FILE_TOOLS.find((known) => known.name === "edit_file") ?? expect.fail("no edit_file");
      await workspace.write("a.txt", bytesOf("x"), {});
      const context = toolContext({ instanceId: id, key: "call-1", workspace });
      const run = () => edit.run({ path: "a.txt", old_text: "x", new_text: "xx" }, context);
      expect(await run()).toEqual(await run());
      expect((await workspace.lines("a.txt", { start: 1, max: 9, column: 0 })).text).toBe("xx");
    });
  });
});

describe("a text that is read by lines", () => {
  it("comes in answers that say how to get the rest, however long its lines are", async () => {
    const id = await spawn();
    await inObject(id, async (workspace) => {
      const long = Array.from({ length: 150_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
      const text = `first\n${long}\nlast`;
      await workspace.write("long.txt", bytesOf(text), {});
      let got = "";
      let range = { start: 1, max: 2_000, column: 0 };
      for (let calls = 0; calls < 10; calls++) {
        const page = await workspace.lines("long.txt", range);
        got += page.text;
        if (!page.next) break;
        if (page.next.column === 0) got += "\n";
        range = { ...range, start: page.next.line, column: page.next.column };
      }
      expect(got).toBe(text);
    });
  });
});

describe("an edit that does not fit", () => {
  it("says what comes near, how often it is there, or that the line ends differ", async () => {
    const id = await spawn();
    await inObject(id, async (workspace) => {
      await workspace.write("a.txt", bytesOf("one apple\ntwo pears\nthree apples\ntwo pears\n"), {});
      const edit = (old: string, all = false) => workspace.edit("a.txt", { old, new: "$& plums", all }, {});
      expect((await failure(edit("thre aples"))).message).toContain('line 3: "three apples"');
      expect((await failure(edit("two pears"))).message).toContain("2 times (lines 2, 4)");
      expect((await failure(edit("zzzzzz"))).message).toContain("Nothing in it comes near");
      expect(await edit("two pears", true)).toMatchObject({ replacements: 2, line: 2 });
      expect((await workspace.lines("a.txt", { start: 2, max: 1, column: 0 })).text).toBe("$& plums");
      await workspace.write("w.txt", bytesOf("a\r\nb\r\n"), {});
      const windows = workspace.edit("w.txt", { old: "a\nb", new: "c", all: false }, {});
      expect((await failure(windows)).message).toContain("\\r\\n");
    });
  });
});

describe("the tools of an instance", () => {
  const given = async (input: Record<string, unknown>) =>
    ((await tool("spawn_claude", { name: "Ada", ...input })).tools as string[]).filter((name) =>
      FILE_TOOLS.some((known) => known.name === name),
    );
  const READING = ["read_file", "list_files", "find_files", "search_files"];
  const ALL = FILE_TOOLS.map((known) => known.name);

  it("are chosen at spawn: a preset, a list, or what the role needs", async () => {
    expect(await given({ tools: "none" })).toEqual([]);
    expect(await given({ tools: "read_only" })).toEqual(READING);
    expect(await given({ tools: "standard" })).toEqual(ALL);
    expect(await given({ tools: "full" })).toEqual(ALL);
    expect(await given({ tools: ["write_file", "read_file"] })).toEqual(["read_file", "write_file"]);
    expect(await given({ tools: [] })).toEqual([]);
    expect(await given({ role: "code_reviewer" })).toEqual(READING);
    expect(await given({ role: "backend_developer" })).toEqual(ALL);
  });

  it("that there are not are named, with those there are", async () => {
    const answer = await tool("spawn_claude", { name: "Ada", tools: ["read_file", "fly"] });
    expect(answer).toMatchObject({ success: false, error: "invalid_input", details: { issues: [{ field: "tools" }] } });
    expect(answer.message).toContain('no "fly"');
    expect(answer.message).toContain("read_file, write_file");
  });

  it("are what its model is offered, and no other runs", async () => {
    const id = await spawn({ tools: "read_only" });
    const marker = crypto.randomUUID();
    await send(id, marker);
    const [call = {}] = model.callsAbout(marker);
    expect((call.tools as { name: string }[]).map(({ name }) => name)).toEqual(expect.arrayContaining(READING));
    expect((call.tools as { name: string }[]).map(({ name }) => name)).not.toContain("write_file");
    const [refused] = await use(id, { name: "write_file", input: { path: "a", content: "b" } });
    expect(refused).toMatchObject({ isError: true, text: "There is no tool named write_file." });
    expect(await files(id)).toEqual([]);
  });
});
