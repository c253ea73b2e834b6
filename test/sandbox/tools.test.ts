import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { unzipSync } from "fflate";
import { afterEach, describe, expect, it } from "vitest";
import type { WorkspaceApi } from "../../src/contracts/workspace.ts";
import { MadroxError } from "../../src/platform/errors.ts";
import { PosixFiles } from "../../src/sandbox/posix-files.ts";
import { output, request, send, spawn, status, tool, until } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { type Call, type Result, use } from "../support/tool-calls.ts";

const model = installModel();
afterEach(() => scriptModel(() => undefined));

async function one(instanceId: string, step: Call): Promise<Result> {
  return (await use(instanceId, step))[0] ?? expect.fail("no result");
}

const bash = (command: string, more = {}): Call => ({ name: "bash", input: { command, ...more } });
const code = (text: string, more = {}): Call => ({ name: "run_code", input: { code: text, ...more } });
const write = (path: string, content: string): Call => ({ name: "write_file", input: { path, content } });

const PROGRAM = `export function median(values: number[]): number {
  const sorted = values.sort();
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
`;
const TESTS = `import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { median } from "./median.ts";

describe("median", () => {
  it("takes the middle", () => assert.equal(median([3, 1, 2]), 2));
  it("sorts by value", () => assert.equal(median([10, 9, 1]), 9));
  it("leaves its input alone", () => {
    const values = [3, 1, 2];
    median(values);
    assert.deepEqual(values, [3, 1, 2]);
  });
});
`;

describe("work with a shell and programs", () => {
  it("goes from a failing test to a green one, to the reviewer and out of the house", async () => {
    const developer = await spawn({ role: "backend_developer" });
    const [, , red, , green, piped] = await use(
      developer,
      write("src/median.ts", PROGRAM),
      write("src/median.test.ts", TESTS),
      { name: "run_code", input: { path: "src/median.test.ts" } },
      {
        name: "edit_file",
        input: { path: "src/median.ts", old_text: "values.sort()", new_text: "[...values].sort((a, b) => a - b)" },
      },
      { name: "run_code", input: { path: "src/median.test.ts" } },
      bash("cd src && node --test median.test.ts | grep -c '^  ok' && wc -l < median.ts"),
    );
    expect(red?.isError).toBe(false);
    expect(red?.text).toContain("Exit code 1.");
    expect(red?.text).toMatch(/not ok 2 - sorts by value[\s\S]*actual: 10\s+expected: 9/);
    expect(green?.text).toContain("# pass 3\n# fail 0");
    expect(piped?.text).toBe("3\n5\n");

    const reviewer = await spawn({ role: "code_reviewer", parent_instance_id: developer, workspace: "parent" });
    const read = await one(reviewer, { name: "read_file", input: { path: "src/median.ts" } });
    expect(read.text).toContain("(a, b) => a - b");

    const zip = unzipSync(new Uint8Array(await (await request(`/instances/${developer}/workspace.zip`)).arrayBuffer()));
    expect(
      Object.keys(zip)
        .filter((name) => !name.endsWith("/"))
        .sort(),
    ).toEqual(["src/median.test.ts", "src/median.ts"]);
  });

  it("gives shell and programs the same files, also in a workspace of another instance", async () => {
    const parent = await spawn({ tools: "full" });
    const child = await spawn({ tools: "full", parent_instance_id: parent, workspace: "parent" });
    const [made, moved, read] = await use(
      child,
      bash(
        "mkdir -p a/b && echo one > a/b/x.txt && echo two >> a/b/x.txt && cp -r a c && rm -r a && ls -R; cat /dev/null",
      ),
      code(
        "import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'; await mkdir('d'); await rename('c/b/x.txt', 'd/y.txt'); await writeFile('d/z.bin', new Uint8Array([0, 255])); console.log(await readdir('d'), (await readFile('d/z.bin'))[1], (await stat('d')).isDirectory())",
      ),
      bash("cat d/y.txt; wc -c < d/z.bin; rmdir d; echo $?; cat nope"),
    );
    expect(made).toEqual({ text: expect.stringContaining("x.txt"), isError: false });
    expect(moved?.text).toBe("[ 'y.txt', 'z.bin' ] 255 true\n");
    expect(read?.text).toMatch(
      /^Exit code 1.\none\ntwo\n2\n1\n[\s\S]*not empty[\s\S]*cat: nope: No such file or directory/,
    );
    const listed = await tool("list_instance_files", { instance_id: parent, recursive: true });
    expect((listed.files as { path: string }[]).map(({ path }) => path)).toContain("d/y.txt");
  });

  it("has them by preset and role: a reader has none", async () => {
    const tools = async (input: Record<string, unknown>) =>
      (await tool("spawn_claude", { name: "Ada", ...input })).tools as string[];
    expect(await tools({ tools: "full" })).toEqual(expect.arrayContaining(["bash", "run_code"]));
    for (const input of [{ tools: "standard" }, { role: "code_reviewer" }]) {
      expect(await tools(input)).not.toEqual(expect.arrayContaining(["bash"]));
    }
    for (const role of ["testing_specialist", "debugger", "frontend_developer"]) {
      expect(await tools({ role })).toEqual(expect.arrayContaining(["bash", "run_code"]));
    }
    expect(await tools({ tools: "full" })).not.toEqual(expect.arrayContaining(["web_search"]));
  });
});

describe("a program that is hostile or goes wrong", () => {
  const cases: [name: string, step: Call, said: RegExp][] = [
    ["an endless loop in shell", bash("while true; do :; done"), /Stopped at a limit: .*too many commands/],
    ["a fork bomb", bash(":(){ :|:& };:"), /Stopped at a limit: .*recursion depth/],
    [
      "100 MB of output",
      bash("x=$(printf '%100000d' 1); for i in {1..1000}; do echo \"$x\"; done"),
      /Stopped at a limit: .*output/,
    ],
    ["a sleep of 10 minutes", bash("sleep 600", { timeout_seconds: 0.2 }), /Stopped: it took longer than 0.2 s/],
    ["steps that each compute long", bash("x=$(printf '%200000d' 1); while true; do y=($x); done"), /Stopped/],
    ["a loop in awk", bash("awk 'BEGIN { while (1) {} }'"), /Stopped at a limit: .*iterations/],
    ["an endless loop in code", code("for (;;) {}"), /Stopped: it computed for too long/],
    ["a native step without end", code("Array(4e9).indexOf(1)"), /Stopped: it computed for too long/],
    ["a loop in code from the shell", bash("node -e 'for (;;) {}'"), /node: Stopped: it computed for too long/],
    [
      "a loop that catches what stops it",
      code("for (;;) try { for (;;) {} } catch {}"),
      /Stopped: it computed for too long/,
    ],
    ["memory without end", code("'x'.repeat(3e8)"), /out of memory/],
    ["recursion without end", code("(function f() { f(); })()"), /stack overflow/],
    ["output without end", code("for (;;) console.log('x'.repeat(1e5))"), /Stopped: it wrote more than/],
    ["a wait of 10 minutes", code("setTimeout(() => {}, 6e5)", { timeout_seconds: 0.2 }), /Stopped: it took longer/],
    ["a promise that nobody settles", code("await new Promise(() => {})"), /Exit code 13/],
    ["the network from code", code("await fetch('https://example.com')"), /'fetch' is not defined/],
    ["the network from the shell", bash("curl https://example.com"), /curl: command not found/],
    [
      "bindings",
      code("console.log(typeof INSTANCE, typeof env, process.env.ANTHROPIC_API_KEY)"),
      /undefined undefined undefined/,
    ],
    [
      "the way to the host",
      code("console.log(typeof __host, globalThis.constructor.constructor('return typeof fetch')())"),
      /undefined undefined/,
    ],
    [
      "files above the workspace",
      code("await (await import('node:fs/promises')).readFile('../../etc/passwd')"),
      /EACCES|ENOENT/,
    ],
    ["a module above the workspace", code("import '../secret.js'"), /Cannot find module/],
    ["a package", code("import 'lodash'"), /there are no packages here/],
    ["code that is none", code("let = ="), /SyntaxError/],
    ["a status that is none", code("process.exit('x')"), /^Exit code 1\.\n[\s\S]*"code" argument must be an integer/],
    ["a status that is none, at the end", code("process.exitCode = NaN"), /^Exit code 1\.\n[\s\S]*"code" argument/],
    ["a status beyond a byte", code("process.exitCode = 258"), /^Exit code 2\.$/],
    ["a module of the library", code("import 'library:host'"), /Cannot find package 'library:host'/],
    ["types that are none", code("const x: = 1", { language: "typescript" }), /Unexpected token/],
    ["neither code nor path", { name: "run_code", input: {} }, /either code or path/],
  ];

  it.each(cases)("%s: stopped, said, and the turn goes on", async (_name, step, said) => {
    const id = await spawn({ tools: "full" });
    const results = await use(id, step, bash("echo still here"));
    expect(results[0]?.text).toMatch(said);
    if (/Stopped/.test(said.source) && step.name === "bash" && !String(step.input.command).startsWith("node")) {
      expect(results[0]?.isError).toBe(true);
    }
    expect(results[1]).toEqual({ text: "still here\n", isError: false });
  });

  it("holds the quotas of the workspace, and calls them what commands know", async () => {
    const full = async () => {
      throw new MadroxError("limit_reached", "The workspace is full.");
    };
    const files = new PosixFiles({ write: full, makeFolder: full, stat: full } as unknown as WorkspaceApi);
    await expect(files.write("a", new Uint8Array(1))).rejects.toThrow(/^ENOSPC: no space left: The workspace is full/);
    const id = await spawn({ tools: "full" });
    const tooDeep = await one(id, bash("p=d; for i in {1..70}; do p=$p/d; done; mkdir -p $p || echo refused"));
    expect(tooDeep.text).toContain("refused");
  });

  it("lets others work meanwhile", async () => {
    const [busy, other] = await Promise.all([spawn({ tools: "full" }), spawn({ tools: "full" })]);
    scriptModel((call) => {
      if (call.toolResults.length > 0) return { blocks: [{ type: "text", text: "done" }] };
      if (call.lastUserText === "loop") return { blocks: [{ type: "tool_use", ...code("for (;;) {}") }] };
      return undefined;
    });
    const [looped, answered] = await Promise.all([
      send(busy, "loop", { timeout_seconds: 50 }),
      send(other, "hello", { timeout_seconds: 50 }),
    ]);
    expect(looped.status).toBe("completed");
    expect(answered.status).toBe("completed");
  });
});

describe("the secrets of an instance", () => {
  const VALUE = "s3cr3t-value-0815";

  it("reach shell and code, and are shown nowhere", async () => {
    const spawned = await tool("spawn_claude", {
      name: "Ada",
      tools: "full",
      environment_vars: { API_TOKEN: VALUE, MODE: "dev" },
    });
    const id = String(spawned.instance_id);
    const results = await use(
      id,
      bash('echo "$API_TOKEN/$MODE" $(echo -n "$API_TOKEN" | wc -c)'),
      code("console.log(process.env.API_TOKEN, process.env.MODE, process.env.API_TOKEN.length)"),
      bash("node -e 'console.log(process.env.API_TOKEN.length)'"),
      code("throw new Error(process.env.API_TOKEN)"),
    );
    expect(results.map(({ text }) => text.split("\n")[0])).toEqual([
      "[secret API_TOKEN]/dev 17",
      "[secret API_TOKEN] dev 17",
      "17",
      "Exit code 1.",
    ]);
    const shown = JSON.stringify([
      spawned,
      results,
      await output(id),
      await status(id),
      await (await request(`/instances/${id}`)).json(),
      model.callsAbout(String(results[0]?.text.slice(0, 10))),
      await tool("get_instance_tree", {}),
    ]);
    expect(shown).not.toContain(VALUE);
    const stored = await runInDurableObject(env.INSTANCE.getByName(`default/${id}`), (_instance, state) =>
      JSON.stringify(state.storage.sql.exec("SELECT * FROM spec").toArray()),
    );
    expect(stored).not.toContain(VALUE);
    expect(stored).toContain('"secrets":"1.tenant.');
    // The registry lets go of them once the instance has them.
    const left = await runInDurableObject(env.ORCHESTRATOR.getByName("default"), (_orchestrator, state) => [
      ...state.storage.sql.exec("SELECT secrets FROM first_use WHERE instance_id = ?", id),
    ]);
    expect(left).toEqual([{ secrets: null }]);
  });

  it("are sealed with ENCRYPTION_KEY where there is one, and can't be opened with another", async () => {
    const { seal, open, keyNameOf } = await import("../../src/platform/secrets.ts");
    const secrets = { environment: { A: VALUE }, tokens: {} };
    const sealed = await seal(secrets, "k".repeat(32), "deployment", "one");
    expect(sealed).not.toContain(VALUE);
    expect(keyNameOf(sealed)).toBe("deployment");
    expect(await open(sealed, "k".repeat(32), "one")).toEqual(secrets);
    await expect(open(sealed, "j".repeat(32), "one")).rejects.toThrow(/ENCRYPTION_KEY/);
    await expect(open(sealed, "k".repeat(32), "two")).rejects.toThrow(/ENCRYPTION_KEY/);
  });

  it.each([
    ["a name with a space", { "A B": "x" }],
    ["too much", { A: "x".repeat(40_000) }],
    ["a NUL", { A: "\0" }],
  ])("are refused with %s, without being repeated", async (_name, environment_vars) => {
    const answer = await tool("spawn_claude", { name: "Ada", environment_vars });
    expect(answer).toMatchObject({ success: false, error: "invalid_input" });
    expect(JSON.stringify(answer).length).toBeLessThan(2_000);
  });

  it("can't be given by an instance", async () => {
    const parent = await spawn({ tools: ["spawn_claude"] });
    for (const given of [{ environment_vars: { A: "b" } }, { web: { search_max_uses: 1 } }, { tools: ["web_fetch"] }]) {
      const result = await one(parent, { name: "spawn_claude", input: { name: "Bob", ...given } });
      expect(JSON.parse(result.text)).toMatchObject({ success: false, error: "forbidden" });
    }
  });
});

describe("web tools", () => {
  const searched = (id: string) => [
    { type: "raw" as const, block: { type: "server_tool_use", id, name: "web_search", input: { query: "q" } } },
    {
      type: "raw" as const,
      block: {
        type: "web_search_tool_result",
        tool_use_id: id,
        content: [
          { type: "web_search_result", url: "https://a.org", title: "A", encrypted_content: "e1==", page_age: null },
        ],
      },
    },
  ];

  it("go to the API as its own tools, are counted, paid for and replayed as they came", async () => {
    const spawned = await tool("spawn_claude", {
      name: "Ada",
      tools: "none",
      web: { search_max_uses: 2, fetch_max_uses: 1 },
    });
    expect(spawned.tools).toEqual(["web_search", "web_fetch"]);
    const id = String(spawned.instance_id);
    const word = `find ${crypto.randomUUID()}`;
    scriptModel((call) => {
      if (!call.lastUserText.includes(word)) return undefined;
      return call.step === 0
        ? { blocks: searched("srvtoolu_1"), stopReason: "pause_turn" }
        : { blocks: [{ type: "text", text: "found" }] };
    });
    expect(await send(id, word, { timeout_seconds: 50 })).toMatchObject({ status: "completed" });
    const bodies = model.callsAbout(word);
    expect(bodies[0]?.tools).toEqual([
      { type: "web_search_20250305", name: "web_search", max_uses: 2 },
      { type: "web_fetch_20250910", name: "web_fetch", max_uses: 1, max_content_tokens: 25_000 },
    ]);
    expect(JSON.stringify(bodies[1]?.messages)).toContain('"encrypted_content":"e1=="');
    const ledger = await runInDurableObject(env.ORCHESTRATOR.getByName("default"), (_orchestrator, state) =>
      state.storage.sql
        .exec<{ web_searches: number; settled_nano: number }>(
          "SELECT web_searches, settled_nano FROM ledger WHERE instance_id = ? AND kind = 'settled' ORDER BY id",
          id,
        )
        .toArray(),
    );
    expect(ledger.map((row) => row.web_searches)).toEqual([1, 0]);
    expect(ledger[0]?.settled_nano).toBeGreaterThan(10_000_000);
  });

  it("make the caps of the instance and of those above it soft", async () => {
    const parent = await spawn({ max_cost: 5 });
    expect((await status(parent)).remaining).toMatchObject({ cap: "hard" });
    const child = await spawn({ parent_instance_id: parent, tools: ["web_search"] });
    for (const id of [parent, child]) {
      expect((await status(id)).remaining).toMatchObject({ cap: "soft" });
      expect((await send(id, "Hello")).remaining).toMatchObject({ cap: "soft" });
    }
    await tool("terminate_instance", { instance_id: child, force: true });
    await until(async () => ((await status(parent)).remaining as { cap: string }).cap === "hard");
  });

  it("can't be put behind approval, which happens inside the model call", async () => {
    const answer = await tool("spawn_claude", { name: "A", tools: ["web_search"], require_approval: ["web_search"] });
    expect(answer).toMatchObject({ success: false, error: "invalid_input" });
    const waits = await tool("spawn_claude", { name: "A", tools: "full", require_approval: ["bash"] });
    expect(waits).toMatchObject({ success: true });
  });
});

it.each([
  ["exit x", 2],
  ["exit 256", 0],
  ["exit 257", 1],
  ["exit -1", 255],
])("%s ends with a status that is a byte, as in bash", async (script, status) => {
  const id = await spawn({ tools: ["bash"] });
  const { text } = await one(id, bash(script));
  if (status === 0) expect(text).toMatch(/without any output/);
  else expect(text).toMatch(new RegExp(`^Exit code ${status}\\.`));
});
