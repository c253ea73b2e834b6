/**
 * What a user has: the package as npm packs it, in a clean folder, with the programs of the README as they stand there; the
 * demo; and the OpenAPI document in the hands of a public validator.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Validator } from "@seriousme/openapi-schema-validator";
import { unzipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MadroxServer } from "../../scripts/local-server.ts";
import { smoke } from "../../scripts/smoke.ts";
import { PROGRAMS, programFor, ROOT, SAID } from "./programs.ts";

/** Not the synchronous one: connections that the server closes meanwhile have to be seen, or the next call takes one of them. */
const run = promisify(execFile);

const server = new MadroxServer({ env: { ANTHROPIC_API_KEY: "", LOG_LEVEL: "ERROR" } });
const folder = mkdtempSync(join(tmpdir(), "madrox-user-"));

beforeAll(async () => {
  await server.start();
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT });
  const unpacked = join(folder, "node_modules", "madrox");
  mkdirSync(unpacked, { recursive: true });
  const [tarball = ""] = execFileSync("ls", [folder], { encoding: "utf8" }).match(/\S+\.tgz/) ?? [];
  execFileSync("tar", ["-xzf", join(folder, tarball), "-C", unpacked, "--strip-components=1"]);
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Somebody who has nothing but the client that was made from the document. */
const USER_OF_GENERATED = `import * as api from "./api.ts";

const made = await api.spawnClaude({ name: "Ada", role: "architect" }, { idempotencyKey: crypto.randomUUID() });
if (made.status !== 200) throw new Error(made.data.message);
const id: string = made.data.instance_id;
const sent = await api.sendToInstance({ instance_id: id, message: "Hello" });
const output = await api.getInstanceOutput({ instance_id: id });
const stored = await api.putFile(id, "notes.txt", new Blob(["text"]));
const file = await api.retrieveInstanceFile({ instance_id: id, path: "notes.txt" });
await api.terminateInstance({ instance_id: id });
const seen = await api.getInstance(id);
const missing = await api.getInstance(id.replace(/.{4}$/, "0000"));
const wrong = await api.spawnClaude({ name: "" });
console.log(
  JSON.stringify({
    made: made.status,
    answered: sent.status === 200 && sent.data.status,
    rows: output.status === 200 && output.data.output.map((row) => row.type),
    stored: stored.status,
    file: file.status === 200 && file.data.content,
    state: seen.status === 200 && seen.data.status.state,
    missing: [missing.status, missing.status === 404 && missing.data.error],
    wrong: [wrong.status, wrong.status === 400 && wrong.data.error],
  }),
);
`;

// Before the programs: they hold this process up, and a connection that is kept meanwhile is closed by the server.
describe("the OpenAPI document", () => {
  it("is valid OpenAPI 3.1", async () => {
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Record<string, unknown>;
    const validator = new Validator();
    expect(await validator.validate(document)).toMatchObject({ valid: true });
    expect(validator.version).toBe("3.1");
  });

  it("gives a public generator a client that has its types and works", async () => {
    const generated = join(folder, "generated");
    mkdirSync(join(generated, "node_modules"), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", "@oazapfts"), join(generated, "node_modules", "@oazapfts"));
    writeFileSync(join(generated, "package.json"), '{"type": "module"}');
    const node = (script: string[], ...args: string[]) =>
      run(process.execPath, [join(ROOT, "node_modules", ...script), ...args], { cwd: generated });
    await node(["oazapfts", "dist", "cli.js"], `${server.url}/openapi.json`, "api.ts");
    writeFileSync(join(generated, "user.ts"), USER_OF_GENERATED);
    writeFileSync(join(generated, "wrong.ts"), 'import * as api from "./api.ts";\napi.spawnClaude({ nome: "Ada" });\n');
    const strict = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--types", ""];
    const check = (file: string) =>
      node(
        ["typescript", "bin", "tsc"],
        ...strict,
        "--allowImportingTsExtensions",
        "--lib",
        "es2024,dom,dom.iterable",
        file,
      );
    await check("user.ts");
    await expect(check("wrong.ts")).rejects.toThrow();
    const { stdout: said } = await run(process.execPath, ["user.ts"], { cwd: generated });
    expect(JSON.parse(said)).toEqual({
      made: 200,
      answered: "completed",
      rows: ["user", "response"],
      stored: 201,
      file: "text",
      state: "terminated",
      missing: [404, "not_found"],
      wrong: [400, "invalid_input"],
    });
  });
});

describe("the client of the README", () => {
  it("has three programs", () => expect(PROGRAMS).toHaveLength(3));

  it.each(PROGRAMS.map((program, i) => [i + 1, program] as const))("runs as program %i", async (i, program) => {
    const file = join(folder, `program-${i}.mjs`);
    writeFileSync(file, programFor(program, { url: server.url }));
    const { stdout: said } = await run(process.execPath, [file], { cwd: folder });
    expect(said).toMatch(SAID);
  });

  it("has types that need nothing else", async () => {
    const names = PROGRAMS.map((program, i) => {
      writeFileSync(
        join(folder, `typed-${i}.ts`),
        `declare const process: { stdout: { write(text: string): void } };\n${program}`,
      );
      return `typed-${i}.ts`;
    });
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2024,dom"];
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    await run(process.execPath, [tsc, ...options, "--types", "", ...names], { cwd: folder });
  });
});

describe("a server without a key", () => {
  it("says wherever something is read that no model said it", async () => {
    const made = await server.tool("spawn_claude", { name: "Ada" });
    const other = await server.tool("spawn_claude", { name: "Tess" });
    const id = made.instance_id;
    expect(made.simulated).toBe(true);
    expect(await server.tool("get_instance_status", { instance_id: id })).toMatchObject({
      status: { simulated: true },
    });

    const sent = await server.tool("send_to_instance", { instance_id: id, message: "Hello" });
    expect(sent).toMatchObject({ status: "completed", response: { simulated: true } });
    const waited = await server.tool("wait", { ids: [sent.message_id] });
    expect(waited).toMatchObject({ done: [{ response: { simulated: true } }] });
    const { output } = await server.tool("get_instance_output", { instance_id: id });
    const marks = (output as { type: string; simulated?: true }[]).map((row) => [row.type, row.simulated]);
    expect(marks).toEqual([
      ["user", undefined],
      ["response", true],
    ]);
    const tree = await server.tool("get_instance_tree", { root_id: id });
    expect(tree).toMatchObject({ tree: [{ simulated: true }], text: expect.stringContaining("(simulated)") });

    const job = await server.tool("coordinate_instances", {
      coordinator_id: id,
      participant_ids: [other.instance_id],
      task_description: "Say hello.",
    });
    await server.tool("wait", { ids: [job.task_id], timeout_seconds: 50 });
    const done = await server.tool("get_job_status", { job_id: job.task_id });
    expect(done).toMatchObject({ status: "completed", simulated: true });
    for (const step of done.steps as object[]) expect(step).toMatchObject({ simulated: true });
  });
});

describe("the smoke test of a deployment", () => {
  it("finds nothing wrong with a server that is well", async () => {
    expect(await smoke(server.url)).toEqual([
      expect.stringMatching(/^alive, version /),
      `described at ${server.url}/docs`,
      expect.stringMatching(/^its storage answers: \d+ instances$/),
      expect.stringMatching(/^MCP at .* tools$/),
    ]);
  });

  it("says that a server is open to strangers", async () => {
    await expect(smoke(server.url, "a-key-that-nobody-asked-for")).rejects.toThrow("answers 200 and not 401");
  });
});

describe("the demo", () => {
  it("delivers an app that passes its own tests", async () => {
    const env = { ...process.env, ANTHROPIC_API_KEY: "", TMPDIR: folder };
    const { stdout: said } = await run(process.execPath, ["scripts/demo.ts"], { cwd: ROOT, env });
    expect(said).toContain("a simulator answers with prepared text");
    expect(said).toContain("The job is completed.");
    const zip = said.match(/The app: (.*\.zip)/)?.[1] ?? "";
    const files = unzipSync(readFileSync(zip));
    expect(Object.keys(files).sort()).toEqual(["README.md", "index.html", "review.md", "tasks.js", "tasks.test.js"]);
    const app = join(folder, "app");
    mkdirSync(app);
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(app, name), bytes);
    await run(process.execPath, ["--test"], { cwd: app });
  });
});
