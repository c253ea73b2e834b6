/**
 * An instance's files: from inside with its tools, from outside over both doors, and kept apart from everyone else's.
 */

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Buffer } from "node:buffer";
import { Workspace as Computer } from "@cloudflare/computer";
import { unzipSync } from "fflate";
import { beforeEach, describe, expect, it } from "vitest";
import type { WorkspaceLimits } from "../../src/contracts/workspace.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { Keeper, PART_BYTES } from "../../src/workspace/keep.ts";
import { keyOf, prefixOf } from "../../src/workspace/keys.ts";
import { FILE_TOOLS } from "../../src/workspace/tools.ts";
import { Workspace } from "../../src/workspace/workspace.ts";
import { toolContext } from "../support/context.ts";
import { type Json, output, request, send, spawn, status, tool, until } from "../support/door.ts";
import { mcp } from "../support/mcp.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";

const model = installModel();
beforeEach(() => scriptModel(() => undefined));

const bytesOf = (text: string) => new TextEncoder().encode(text);
const LIMITS: WorkspaceLimits = { bytes: 200 * 1024 * 1024, files: 10_000, fileBytes: 60 * 1024 * 1024 };

const BUCKET = env.FILES ?? expect.fail("The tests have a bucket.");
const PREFIX = "claude_orchestrator/default/";
const keysOf = async (id: string) => {
  const { objects } = await BUCKET.list({ prefix: `${PREFIX}${id}/` });
  return objects.map(({ key }) => key.slice(PREFIX.length + id.length + 1)).sort();
};

interface File {
  path: string;
  type: string;
  size: number;
  version: string;
}

interface Call {
  name: string;
  input: Record<string, unknown>;
}

/** A model that makes the calls of each round at once, one round after the other, and then says what they gave. Returns the results. */
async function useInRounds(id: string, ...rounds: Call[][]) {
  const results: { text: string; isError: boolean }[] = [];
  const marker = crypto.randomUUID();
  let round = 0;
  scriptModel((call) => {
    if (!JSON.stringify(call.body.messages).includes(marker)) return undefined;
    results.push(...call.toolResults.map(({ text, isError }) => ({ text, isError })));
    const calls = rounds[round++] ?? [];
    if (calls.length === 0) return { blocks: [{ type: "text", text: "Done." }] };
    return { blocks: calls.map((next) => ({ type: "tool_use", ...next })) };
  });
  const answer = await send(id, `Work on ${marker}.`, { timeout_seconds: 50 });
  expect(answer).toMatchObject({ success: true, status: "completed" });
  return results;
}

/** A model that makes these calls, one after the other, and then says what they gave. Returns the results. */
const use = (id: string, ...calls: Call[]) => useInRounds(id, ...calls.map((call) => [call]));

async function files(id: string): Promise<File[]> {
  const answer = await tool("list_instance_files", { instance_id: id, limit: 1000 });
  expect(answer).toMatchObject({ success: true });
  return (answer.files as File[]).filter((file) => file.type === "file");
}

const write = (id: string, path: string, content: string, more: Record<string, unknown> = {}): Promise<Json> =>
  tool("write_instance_file", { instance_id: id, path, content, ...more });
const read = (id: string, path: string, more: Record<string, unknown> = {}): Promise<Json> =>
  tool("retrieve_instance_file", { instance_id: id, path, ...more });

const share = (from: string, path: string, to: string, more: Record<string, unknown> = {}): Promise<Json> =>
  tool("share_file", { from_instance_id: from, path, to_instance_id: to, ...more });

const resource = (uri: string) => mcp("resources/read", { uri });

/** Runs against a workspace in a real object's storage, without the doors. */
async function inObject<T>(id: string, work: (files: Workspace, state: DurableObjectState) => Promise<T>): Promise<T> {
  return runInDurableObject(objectOf(id), (_instance, state) => work(new Workspace(state.storage, LIMITS), state));
}

/** The code of a failure, and its message. */
async function failure(work: Promise<unknown>): Promise<{ code: string; message: string; details?: object }> {
  return work.then(
    () => expect.fail("It did not fail."),
    (error) => error as { code: string; message: string },
  );
}

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

describe("from outside", () => {
  it("binary content goes in and out whole, and in pieces", async () => {
    const id = await spawn();
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const content = btoa(String.fromCharCode(...bytes));
    expect(await write(id, "b.bin", content, { encoding: "base64" })).toMatchObject({
      success: true,
      size: 256,
      created: true,
    });
    expect(await read(id, "b.bin")).toMatchObject({
      content,
      encoding: "base64",
      media_type: "application/octet-stream",
    });
    expect(await read(id, "b.bin", { encoding: "utf-8" })).toMatchObject({ success: false, error: "invalid_input" });
    expect(await read(id, "b.bin", { offset: 65, length: 2 })).toMatchObject({ content: "AB", next_offset: 67 });
    await write(id, "ü.txt", "aüb");
    expect(await read(id, "ü.txt", { length: 2 })).toMatchObject({ content: "a", next_offset: 1, size: 4 });
    expect(await read(id, "u\u0308.txt", { offset: 1 })).toMatchObject({ content: "üb", path: "ü.txt" });
  });

  it("a stale overwrite is a conflict that names the version, and loses nothing", async () => {
    const id = await spawn();
    const first = await write(id, "a.txt", "one", { expected_version: "new" });
    const second = await write(id, "a.txt", "two", { expected_version: first.version });
    expect(second).toMatchObject({ success: true, created: false });
    for (const expected_version of [first.version, "new"]) {
      const stale = await write(id, "a.txt", "three", { expected_version });
      expect(stale).toMatchObject({ success: false, error: "conflict", details: { version: second.version } });
    }
    expect((await read(id, "a.txt")).content).toBe("two");
    await tool("write_instance_file", { instance_id: id, path: "k", content: "1", idempotency_key: "k1" });
    const again = await tool("write_instance_file", {
      instance_id: id,
      path: "k",
      content: "1",
      idempotency_key: "k1",
    });
    expect(again).toMatchObject({ success: true, created: true });
  });

  it("REST takes and gives files as they are, and no browser runs them", async () => {
    const id = await spawn();
    const page = "<script>alert(1)</script>";
    const url = `/instances/${id}/files/site/${encodeURIComponent('in "dex ü.html')}`;
    const put = await request(url, { method: "PUT", body: page, headers: { "if-none-match": "*" } });
    expect(put.status).toBe(201);
    const etag = put.headers.get("etag") ?? "";
    expect(await put.json()).toMatchObject({ success: true, path: 'site/in "dex ü.html', size: page.length });
    const got = await request(url);
    expect(await got.text()).toBe(page);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "content-length": String(page.length),
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox; default-src 'none'",
      "content-disposition": "attachment; filename=\"in__dex__.html\"; filename*=UTF-8''in%20%22dex%20%C3%BC.html",
      etag,
    });
    const part = await request(url, { headers: { range: "bytes=1-6" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([
      206,
      `bytes 1-6/${page.length}`,
      "script",
    ]);
    expect((await request(url, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await request(url, { method: "PUT", body: "x", headers: { "if-match": '"0"' } })).status).toBe(409);
    expect((await request(`/instances/${id}/files?recursive=false`).then((r) => r.json())) as Json).toMatchObject({
      files: [{ path: "site", type: "folder" }],
    });
    expect((await request(url, { method: "DELETE", headers: { "if-match": etag } })).status).toBe(200);
    expect((await request(url)).status).toBe(404);
    expect((await request(url, { method: "POST" })).status).toBe(405);
    expect((await request(`/instances/${id}/files/empty`, { method: "PUT" })).status).toBe(201);
  });

  it("REST gives the part that was asked for, or says that there is none", async () => {
    const id = await spawn();
    const url = `/instances/${id}/files/ten.txt`;
    const put = await request(url, { method: "PUT", body: "0123456789" });
    const etag = put.headers.get("etag") ?? "";
    await request(`/instances/${id}/files/empty`, { method: "PUT" });
    const get = async (headers: Record<string, string>, path = url, method = "GET") => {
      const response = await request(path, { method, headers });
      const text = await response.text();
      return [response.status, response.headers.get("content-range"), response.status === 416 ? "" : text];
    };
    const cases: [range: string, status: number, contentRange: string | null, body: string][] = [
      ["bytes=0-0", 206, "bytes 0-0/10", "0"],
      ["bytes=8-", 206, "bytes 8-9/10", "89"],
      ["bytes=-3", 206, "bytes 7-9/10", "789"],
      ["bytes=-99", 206, "bytes 0-9/10", "0123456789"],
      ["bytes=5-99", 206, "bytes 5-9/10", "56789"],
      ["Bytes=1-2", 206, "bytes 1-2/10", "12"],
      ["bytes=10-", 416, "bytes */10", ""],
      ["bytes=99-100", 416, "bytes */10", ""],
      ["bytes=-0", 416, "bytes */10", ""],
      ["bytes=5-2", 200, null, "0123456789"],
      ["bytes=0-1,3-4", 200, null, "0123456789"],
      ["lines=1-2", 200, null, "0123456789"],
      ["bytes=-", 200, null, "0123456789"],
    ];
    for (const [range, status, contentRange, body] of cases) {
      expect(await get({ range }), range).toEqual([status, contentRange, body]);
    }
    expect(await get({ range: "bytes=0-" }, `/instances/${id}/files/empty`)).toEqual([416, "bytes */0", ""]);
    expect(await get({ range: "bytes=1-2", "if-range": etag })).toEqual([206, "bytes 1-2/10", "12"]);
    for (const other of ['"0"', `W/${etag}`, "Sat, 21 Nov 2026 00:00:00 GMT"]) {
      expect(await get({ range: "bytes=1-2", "if-range": other })).toEqual([200, null, "0123456789"]);
    }
    for (const same of [etag, `W/${etag}`, `"0", ${etag}`, "*"]) {
      expect(await get({ range: "bytes=99-", "if-none-match": same })).toEqual([304, null, ""]);
    }
    const failed = await request(url, { headers: { range: "bytes=99-" } });
    expect(await failed.json()).toMatchObject({
      success: false,
      error: "range_not_satisfiable",
      details: { size: 10 },
    });
  });

  it("a file that is written again while it is read comes whole, alone and in an archive", async () => {
    const id = await spawn();
    await inObject(id, async (workspace) => {
      await workspace.write("a.txt", bytesOf("before"), {});
      const { body, version } = await workspace.open("a.txt", null);
      const written = await workspace.write("a.txt", bytesOf("after"), {});
      expect(written.version).not.toBe(version);
      expect(await new Response(body).text()).toBe("before");
      const large = new Uint8Array(1_500_000);
      await workspace.write("large", large, {});
      const old = await workspace.open("large", null);
      await workspace.write("large", large.fill(1), {});
      expect(await failure(new Response(old.body).arrayBuffer())).toMatchObject({ code: "conflict" });
      await workspace.write("z/1.txt", bytesOf("old"), {});
      await workspace.write("z/2.txt", bytesOf("gone"), {});
      const archive = (await workspace.zip()).body.getReader();
      const pieces = [(await archive.read()).value ?? new Uint8Array()];
      await workspace.write("z/1.txt", bytesOf("new"), {});
      await workspace.delete("z/2.txt", { recursive: false });
      for (let piece = await archive.read(); !piece.done; piece = await archive.read()) pieces.push(piece.value);
      const zipped = unzipSync(new Uint8Array(await new Blob(pieces).arrayBuffer()));
      expect(new TextDecoder().decode(zipped["z/1.txt"])).toBe("new");
      expect(Object.keys(zipped)).not.toContain("z/2.txt");
    });
  });

  it("HEAD says of a file what GET would, without the file", async () => {
    const id = await spawn();
    const url = `/instances/${id}/files/a.txt`;
    await request(url, { method: "PUT", body: "0123456789" });
    for (const headers of [new Headers(), new Headers({ range: "bytes=1-2" })]) {
      const [got, head] = [await request(url, { headers }), await request(url, { method: "HEAD", headers })];
      expect([head.status, await head.text()]).toEqual([got.status, ""]);
      expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(got.headers));
      await got.body?.cancel();
    }
    expect((await request(`/instances/${id}/files/b.txt`, { method: "HEAD" })).status).toBe(404);
    const zip = await request(`/instances/${id}/workspace.zip`, { method: "HEAD" });
    expect([zip.status, zip.headers.get("content-type")]).toEqual([200, "application/zip"]);
    const refused = await request(url, { method: "PATCH" });
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT, DELETE"]);
  });

  it("the whole workspace is a zip, byte for byte", async () => {
    const id = await spawn();
    const big = new Uint8Array(1_500_000).map((_, i) => (i * 7) % 251);
    const expected: Record<string, Uint8Array> = {
      "a/ü.txt": bytesOf("Grüße"),
      "a/b/empty": new Uint8Array(),
      "big.bin": big,
    };
    for (const [path, body] of Object.entries(expected)) {
      const url = `/instances/${id}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
      expect((await request(url, { method: "PUT", body })).status).toBe(201);
    }
    const zip = await request(`/instances/${id}/workspace.zip`);
    expect(zip.headers.get("content-type")).toBe("application/zip");
    const found = unzipSync(new Uint8Array(await zip.arrayBuffer()));
    expect(
      Object.keys(found)
        .filter((name) => !name.endsWith("/"))
        .sort(),
    ).toEqual(Object.keys(expected).sort());
    for (const [path, body] of Object.entries(expected)) expect(found[path]).toEqual(body);
  });
});

describe("a file that is handed over", () => {
  it("arrives byte for byte, from a child to its sibling, also after the child has ended", async () => {
    const parent = await spawn();
    const [from, to] = [await spawn({ parent_instance_id: parent }), await spawn({ parent_instance_id: parent })];
    const bytes = new Uint8Array(1_500_000).map((_, i) => (i * 7) % 251);
    await request(`/instances/${from}/files/out/data.bin`, { method: "PUT", body: bytes });
    const copied = await share(from, "out/data.bin", to, { to_path: "in/data.bin" });
    expect(copied).toMatchObject({ success: true, path: "in/data.bin", size: bytes.length, created: true });
    await tool("terminate_instance", { instance_id: from });
    expect(await share(from, "out/data.bin", to)).toMatchObject({ success: true, path: "out/data.bin" });
    for (const path of ["in/data.bin", "out/data.bin"]) {
      const got = await request(`/instances/${to}/files/${path}`);
      expect(new Uint8Array(await got.arrayBuffer())).toEqual(bytes);
    }
    expect(await share(to, "in/data.bin", from)).toMatchObject({ success: false, error: "conflict" });
  });

  it("replaces nothing unless told to, and then only what it was told to", async () => {
    const [from, to] = [await spawn(), await spawn()];
    await write(from, "a.txt", "new");
    const { version } = await write(to, "a.txt", "old");
    const refused = await share(from, "a.txt", to);
    expect(refused).toMatchObject({ success: false, error: "conflict", details: { version } });
    expect(refused.message).toContain("Set overwrite");
    expect(await share(from, "a.txt", to, { expected_version: "0" })).toMatchObject({ error: "conflict" });
    expect((await read(to, "a.txt")).content).toBe("old");
    expect(await share(from, "a.txt", to, { expected_version: version })).toMatchObject({ created: false, size: 3 });
    await write(from, "a.txt", "newer");
    expect(await share(from, "a.txt", to, { overwrite: true })).toMatchObject({ success: true, size: 5 });
    expect((await read(to, "a.txt")).content).toBe("newer");
  });

  it("is handed over once for one key, even when it is gone by then", async () => {
    const [from, to] = [await spawn(), await spawn()];
    await write(from, "a.txt", "one");
    const key = { idempotency_key: crypto.randomUUID() };
    const first = await share(from, "a.txt", to, key);
    await request(`/instances/${from}/files/a.txt`, { method: "DELETE" });
    expect(await share(from, "a.txt", to, key)).toEqual(first);
    expect(await share(from, "a.txt", to, { ...key, to_path: "b.txt" })).toMatchObject({ error: "conflict" });
  });

  it("has to be there, to be a file, and to fit", async () => {
    const [from, to, nobody] = [await spawn(), await spawn(), newInstanceId()];
    await write(from, "folder/a.txt", "x");
    expect(await share(from, "b.txt", to)).toMatchObject({ success: false, error: "not_found" });
    expect(await share(from, "folder", to)).toMatchObject({ success: false, error: "conflict" });
    expect(await share(nobody, "a.txt", to)).toMatchObject({ success: false, error: "not_found" });
    expect(await share(from, "folder/a.txt", nobody)).toMatchObject({ success: false, error: "not_found" });
    expect(await files(to)).toEqual([]);
    const tight: WorkspaceLimits = { bytes: 1_000, files: 5, fileBytes: 600 };
    await write(from, "big.txt", "x".repeat(700));
    await runInDurableObject(objectOf(to), async (_instance, { storage }) => {
      const body = (await (await request(`/instances/${from}/files/big.txt`)).body) ?? expect.fail("no body");
      const kept = failure(new Workspace(storage, tight).upload("big.txt", body, { expected: "new" }));
      expect(await kept).toMatchObject({ code: "too_large" });
    });
    expect(await files(to)).toEqual([]);
  });
});

describe("files as MCP resources", () => {
  const contentOf = async (uri: string) => {
    const { result } = (await resource(uri)) as { result?: { contents: Record<string, string>[] } };
    return result?.contents[0] ?? expect.fail(`${uri} can't be read.`);
  };

  it("are read as text or bytes, with their type, however the URI is written", async () => {
    const id = await spawn();
    await write(id, "docs/a b.md", "# Grüße");
    await write(id, "b.bin", "//79", { encoding: "base64" });
    for (const path of ["docs/a%20b.md", "docs%2Fa%20b.md", "docs/a b.md"]) {
      const uri = `workspace://${id}/${path}`;
      expect(await contentOf(uri)).toEqual({ uri, mimeType: "text/markdown", text: "# Grüße" });
    }
    expect(await contentOf(`workspace://${id}/b.bin`)).toMatchObject({
      mimeType: "application/octet-stream",
      blob: "//79",
    });
    await tool("terminate_instance", { instance_id: id });
    expect(await contentOf(`workspace://${id}/docs/a%20b.md`)).toMatchObject({ text: "# Grüße" });
  });

  it("are listed by instance, each with the URI that reads it", async () => {
    const id = await spawn({ name: "Lister" });
    await write(id, "src/ü?.txt", "found");
    const { result } = (await mcp("resources/list")) as { result: { resources: Record<string, string>[] } };
    const listed = result.resources.find((one) => one.uri === `workspace://${id}/`);
    expect(listed).toMatchObject({ name: "files of Lister", mimeType: "application/json" });
    const folder = await contentOf(String(listed?.uri));
    const listing = JSON.parse(String(folder.text)) as { files: { uri: string; path: string; size: number }[] };
    expect(listing.files).toMatchObject([{ path: "src/ü?.txt", size: 5, version: expect.any(String) }]);
    expect(await contentOf(String(listing.files[0]?.uri))).toMatchObject({ text: "found" });
    expect((await contentOf(`workspace://${id}/src`)).text).toBe(folder.text);
    await tool("terminate_instance", { instance_id: id });
    const after = (await mcp("resources/list")) as { result: { resources: { uri: string }[] } };
    expect(after.result.resources.map(({ uri }) => uri)).not.toContain(listed?.uri);
    expect(after.result.resources.length).toBeLessThanOrEqual(50);
    const { result: templates } = (await mcp("resources/templates/list")) as {
      result: { resourceTemplates: { uriTemplate: string }[] };
    };
    expect(templates.resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain(
      "workspace://{instance_id}/{+path}",
    );
  });

  it("that are not there, too large or nobody's say so", async () => {
    const id = await spawn();
    await request(`/instances/${id}/files/big.txt`, { method: "PUT", body: "x".repeat(1024 * 1024 + 1) });
    expect(await resource(`workspace://${id}/big.txt`)).toMatchObject({
      error: {
        code: -32602,
        message: expect.stringMatching(/1048577 bytes.*retrieve_instance_file/),
        data: { error: "too_large", size: 1024 * 1024 + 1 },
      },
    });
    const missing = [`${id}/none.txt`, `${newInstanceId()}/a.txt`, "nobody/a.txt", `${newInstanceId()}/`];
    for (const uri of [...missing.map((rest) => `workspace://${rest}`), "file:///etc/passwd", "nonsense"]) {
      expect(await resource(uri), uri).toMatchObject({ error: { code: -32602, data: { uri } } });
    }
    expect(await resource(`workspace://${id}/%ff`)).toMatchObject({ error: { data: { error: "invalid_input" } } });
  });
});

/** Paths that lead nowhere, and never out. */
const BAD_PATHS: [string, string][] = [
  ["a parent folder", "../secret"],
  ["parents in the middle", "a/../../secret"],
  ["two dots at the end", "a/.."],
  ["three dots", "..."],
  ["an absolute path", "/etc/passwd"],
  ["two slashes", "//etc/passwd"],
  ["an empty segment", "a//b"],
  ["a slash at the end", "a/"],
  ["a backslash", "..\\secret"],
  ["a drive", "C:\\windows"],
  ["a NUL", "a\0b"],
  ["a line feed", "a\nb"],
  ["an escape character", "a\u001b[0m"],
  ["a line separator", "a\u2028b"],
  ["fullwidth dots", "．．/secret"],
  ["a two dot leader", "\u2025/secret"],
  ["a fullwidth slash", "a／b"],
  ["a fullwidth backslash", "a＼b"],
  ["a lone surrogate", "a\ud800"],
  ["4 KB", `${"x/".repeat(2_048)}x`],
  ["a name of 300 bytes", "x".repeat(300)],
  ["100 levels", `${"x/".repeat(99)}x`],
  ["nothing", ""],
  ["a dot", "."],
];

describe("a path that is none", () => {
  it("is refused at every door that takes one, and changes nothing", async () => {
    const id = await spawn();
    await write(id, "a.txt", "safe");
    const before = await files(id);
    for (const [what, path] of BAD_PATHS) {
      const context = `${what} (${JSON.stringify(path).slice(0, 60)})`;
      const copies = [
        await share(id, path, id, { to_path: "copy" }),
        await share(id, "a.txt", id, { to_path: path, overwrite: true }),
      ];
      for (const answer of [await write(id, path, "evil"), await read(id, path), ...copies]) {
        expect(answer, context).toMatchObject({ success: false, error: "invalid_input" });
        expect(answer.message.length, context).toBeLessThan(500);
      }
      // Below /files/ the URL's own rules come first: they never lead anywhere else than to a refusal.
      const url = `/instances/${id}/files/${encodeURIComponent(path.toWellFormed())}`;
      if (path.isWellFormed() && path !== "" && path !== ".") {
        for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
          const response = await request(url, { method, ...(method === "PUT" ? { body: "evil" } : {}) });
          expect(response.status, `${method} ${context}`).toBeGreaterThanOrEqual(400);
          expect(response.status, `${method} ${context}`).toBeLessThan(500);
          if (method !== "HEAD") expect(await response.json()).toMatchObject({ success: false });
        }
        for (const written of [path, encodeURIComponent(path)]) {
          expect(await resource(`workspace://${id}/${written}`), context).toMatchObject({ error: { code: -32602 } });
        }
      }
    }
    const paths = BAD_PATHS.map(([, path]) => path).filter((path) => path.isWellFormed());
    // A folder may be named with a slash at the end, and the workspace itself by nothing or a dot.
    const folders = paths.filter((path) => !["", "."].includes(path));
    const calls = [
      ...paths.flatMap((path) => [
        { name: "write_file", input: { path, content: "evil" } },
        { name: "read_file", input: { path } },
        { name: "edit_file", input: { path, old_text: "safe", new_text: "evil" } },
        { name: "move_file", input: { from: "a.txt", to: path } },
        { name: "move_file", input: { from: path, to: "b.txt" } },
        { name: "delete_file", input: { path, recursive: true } },
      ]),
      ...folders.flatMap((folder) => [
        { name: "list_files", input: { folder } },
        { name: "find_files", input: { folder, pattern: "*" } },
        { name: "search_files", input: { folder, pattern: "safe" } },
      ]),
    ];
    const results = await useInRounds(id, calls);
    expect(results).toHaveLength(calls.length);
    for (const result of results) expect(result).toMatchObject({ isError: true });
    for (const path of folders) {
      expect(await tool("list_instance_files", { instance_id: id, path }), path).toMatchObject({ success: false });
    }
    expect(await files(id)).toEqual(before);
    expect(await keysOf(id)).toEqual([]);
  });

  it("is a symbolic link: nothing follows it, and nothing goes through it", async () => {
    const id = await spawn();
    await write(id, "real/a.txt", "safe");
    await runInDurableObject(objectOf(id), (_instance, { storage }) => {
      const provider = new Computer({ storage }).provider();
      provider.symlinkSync("/workspace/real/a.txt", "/workspace/file");
      provider.symlinkSync("/workspace/real", "/workspace/folder");
      provider.symlinkSync("/", "/workspace/root");
    });
    await evictDurableObject(objectOf(id));
    for (const path of ["file", "folder", "folder/a.txt", "root/incoming", "root/workspace/real/a.txt"]) {
      expect(await read(id, path), path).toMatchObject({ success: false });
      expect(await write(id, path, "evil"), path).toMatchObject({ success: false });
      expect(await share(id, path, id, { to_path: "copy" }), path).toMatchObject({ success: false });
      expect(await resource(`workspace://${id}/${path}`), path).toMatchObject({ error: { code: -32602 } });
      for (const method of ["PUT", "DELETE"]) {
        const response = await request(`/instances/${id}/files/${path}`, { method, body: "evil" });
        expect(((await response.json()) as Json).success, `${method} ${path}`).toBe(false);
      }
    }
    expect((await files(id)).map((file) => file.path)).toEqual(["real/a.txt"]);
    expect((await read(id, "real/a.txt")).content).toBe("safe");
    const zip = await request(`/instances/${id}/workspace.zip`);
    expect(Object.keys(unzipSync(new Uint8Array(await zip.arrayBuffer())))).toEqual(["real/", "real/a.txt"]);
  });

  it("names a folder to look in: the same, but the workspace itself may be named", async () => {
    const id = await spawn();
    await write(id, "a/b.txt", "x");
    const list = (path: string) => tool("list_instance_files", { instance_id: id, path });
    for (const path of ["", ".", "a", "a/", "./a"]) expect(await list(path)).toMatchObject({ success: true });
    for (const path of ["..", "../a", "/a", "a\\b", "a//"])
      expect(await list(path)).toMatchObject({ error: "invalid_input" });
    const cursor = await tool("list_instance_files", { instance_id: id, cursor: "../x" });
    expect(cursor).toMatchObject({ success: false, error: "invalid_input" });
  });

  it("only looks like one: it is just a name", async () => {
    const id = await spawn();
    const names = ["%2e%2e%2fsecret", "CON", "aux.txt", "..a", "a..b", ".hidden", "~", "a b", "ﷺ", "$(x)", "-rf", "*"];
    for (const name of names) expect(await write(id, name, name), name).toMatchObject({ success: true, path: name });
    expect((await files(id)).map((file) => file.path).sort()).toEqual(names.sort());
    for (const name of names) expect((await read(id, name)).content).toBe(name);
  });
});

describe("quotas", () => {
  const small: WorkspaceLimits = { bytes: 1_000, files: 5, fileBytes: 600 };
  const tight = <T>(id: string, work: (files: Workspace) => Promise<T>) =>
    runInDurableObject(objectOf(id), (_instance, { storage }) => work(new Workspace(storage, small)));

  it("refuse what is over, with the numbers, and change nothing", async () => {
    const id = await spawn();
    await tight(id, async (workspace) => {
      const file = (size: number) => new Uint8Array(size);
      await workspace.write("a", file(600), {});
      expect(await failure(workspace.write("b", file(601), {}))).toMatchObject({
        code: "too_large",
        message: expect.stringContaining("601 bytes, and a file has at most 600"),
      });
      expect(await failure(workspace.write("b", file(401), {}))).toMatchObject({
        code: "limit_reached",
        details: { used_bytes: 600, limit_bytes: 1_000, needed_bytes: 401 },
      });
      await workspace.write("a", file(500), {});
      await workspace.write("b", file(500), {});
      expect(await failure(workspace.write("c/d/e/f", file(0), {}))).toMatchObject({
        details: { used_files: 2, limit_files: 5, needed_files: 4 },
      });
      expect(await workspace.usage()).toMatchObject({ bytes: 1_000, files: 2 });
      expect(await failure(workspace.move("a", "x/y/z/w/a", { overwrite: false }))).toMatchObject({
        code: "limit_reached",
      });
      const stream = new Blob([file(700)]).stream();
      expect(await failure(workspace.upload("a", stream, {}))).toMatchObject({ code: "too_large" });
      const grown = new Blob([file(501)]).stream();
      expect(await failure(workspace.upload("a", grown, {}))).toMatchObject({ code: "limit_reached" });
      await workspace.upload("a", new Blob([file(500)]).stream(), {});
      expect(await workspace.usage()).toMatchObject({ bytes: 1_000, files: 2 });
      await workspace.delete("b", { recursive: false });
      await workspace.write("c/d", file(500), {});
    });
  });

  it("hold for what is stored: a file that is written again and again leaves nothing behind", async () => {
    const id = await spawn();
    await inObject(id, async (workspace, { storage }) => {
      await workspace.write("a", crypto.getRandomValues(new Uint8Array(50_000)), {});
      const before = storage.sql.databaseSize;
      for (let i = 0; i < 100; i++) await workspace.write("a", crypto.getRandomValues(new Uint8Array(50_000)), {});
      const body = new Blob([crypto.getRandomValues(new Uint8Array(50_000))]).stream();
      await workspace.upload("a", body, {});
      await workspace.write("b", bytesOf("b"), {});
      await workspace.move("b", "a", { overwrite: true });
      expect(storage.sql.databaseSize - before).toBeLessThan(200_000);
      const counted = storage.sql.exec("SELECT COUNT(*) AS n FROM vfs_blob_bytes").one();
      expect(counted).toEqual({ n: 1 });
    });
  });
});

describe("size", () => {
  it("5,000 small files are listed in pages, and a folder of 1,200 is moved whole", async () => {
    const id = await spawn();
    await inObject(id, async (workspace) => {
      for (let i = 0; i < 5_000; i++)
        await workspace.write(`${i < 1_200 ? "old" : "many"}/${i}.txt`, bytesOf(`${i}`), {});
      await workspace.move("old", "new/place", { overwrite: false });
      const query = { folder: "", recursive: true, pattern: "*.txt", limit: 999 };
      const paths: string[] = [];
      for (let cursor: string | null = null, more = true; more; ) {
        const page = await workspace.list({ ...query, cursor });
        paths.push(...page.entries.map((entry) => entry.path));
        cursor = page.next;
        more = cursor !== null;
      }
      expect(paths).toHaveLength(5_000);
      expect(new Set(paths).size).toBe(5_000);
      expect(paths.filter((path) => path.startsWith("new/place/"))).toHaveLength(1_200);
      expect((await workspace.read("new/place/1199.txt", { offset: 0, length: 9 })).bytes).toEqual(bytesOf("1199"));
      expect(await workspace.delete("new", { recursive: true })).toEqual({ files: 1_200, bytes: 3_690 });
      expect(await workspace.usage()).toMatchObject({ files: 3_801 });
    });
  });

  it("a file of 50 MB goes in and out as a stream", async () => {
    const id = await spawn();
    const piece = crypto.getRandomValues(new Uint8Array(65_536));
    // Whatever the rest is: the end that is read below is no text.
    piece.set([0xff, 0xfe, 0xff], piece.length - 3);
    const size = 50 * 1024 * 1024;
    let sent = 0;
    const body = new ReadableStream({
      type: "bytes",
      pull(controller) {
        controller.enqueue(piece.slice());
        sent += piece.length;
        if (sent >= size) controller.close();
      },
    });
    const url = `/instances/${id}/files/big.bin`;
    const put = await request(url, { method: "PUT", body });
    expect(await put.json()).toMatchObject({ success: true, size });
    const got = await request(url);
    let at = 0;
    let wrong = 0;
    for await (const chunk of got.body as unknown as AsyncIterable<Uint8Array>) {
      for (let i = 0; i < chunk.length; i += 997) if (chunk[i] !== piece[(at + i) % piece.length]) wrong++;
      at += chunk.length;
    }
    expect([at, wrong]).toEqual([size, 0]);
    expect(await read(id, "big.bin", { offset: size - 3 })).toMatchObject({
      length: 3,
      next_offset: null,
      encoding: "base64",
    });
    const over = await request(url, { method: "PUT", body: new Uint8Array(size + 1) });
    expect([over.status, ((await over.json()) as Json).error]).toEqual([413, "too_large"]);
    expect((await files(id)).map((file) => file.size)).toEqual([size]);
  });
});

describe("a search", () => {
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

describe("a workspace that is shared", () => {
  it("is the parent's, down to grandchildren; own ones are apart", async () => {
    const parent = await spawn();
    const child = await spawn({ parent_instance_id: parent, workspace: "parent" });
    const grandchild = await spawn({ parent_instance_id: child, workspace: "parent" });
    const apart = await spawn({ parent_instance_id: parent });
    await use(grandchild, { name: "write_file", input: { path: "plan.md", content: "from below" } });
    await use(apart, { name: "write_file", input: { path: "plan.md", content: "mine" } });
    for (const id of [parent, child, grandchild]) expect((await read(id, "plan.md")).content).toBe("from below");
    expect((await read(apart, "plan.md")).content).toBe("mine");
    expect(await tool("spawn_claude", { name: "x", workspace: "parent" })).toMatchObject({ error: "invalid_input" });
    await tool("terminate_instance", { instance_id: child });
    expect((await read(child, "plan.md")).content).toBe("from below");
    expect(await write(child, "plan.md", "late")).toMatchObject({ success: false, error: "conflict" });
    expect(await write(parent, "plan.md", "on")).toMatchObject({ success: true });
  });

  it("refuses the stale one of two edits, and loses neither", async () => {
    const parent = await spawn();
    const child = await spawn({ parent_instance_id: parent, workspace: "parent" });
    const { version } = await write(parent, "list.txt", "a\nb\n");
    const edit = (old_text: string, expected_version?: unknown) => ({
      name: "edit_file",
      input: {
        path: "list.txt",
        old_text,
        new_text: old_text.toUpperCase(),
        ...(expected_version ? { expected_version } : {}),
      },
    });
    expect((await use(child, edit("a", version)))[0]).toMatchObject({ isError: false });
    const [stale, again] = await use(parent, edit("b", version), edit("b"));
    expect(stale).toMatchObject({ isError: true, text: expect.stringContaining("somebody changed it") });
    expect(again).toMatchObject({ isError: false });
    expect((await read(child, "list.txt")).content).toBe("A\nB\n");
  });
});

const terminate = (id: string) => tool("terminate_instance", { instance_id: id });

describe("the files of an instance that has ended", () => {
  it("are kept under its prefix, and read through the same calls", async () => {
    const id = await spawn();
    const big = new Uint8Array(1_200_000).map((_, i) => (i * 7) % 251);
    await use(id, { name: "write_file", input: { path: "a/ü.txt", content: "Grüße" } });
    await request(`/instances/${id}/files/big.bin`, { method: "PUT", body: big });
    await request(`/instances/${id}/files/empty`, { method: "PUT" });
    const before = await files(id);
    const zip = async () => new Uint8Array(await (await request(`/instances/${id}/workspace.zip`)).arrayBuffer());
    const zipped = unzipSync(await zip());
    await terminate(id);
    await until(async () => (await keysOf(id)).length === 3);
    await until(() =>
      runInDurableObject(objectOf(id), (_instance, { storage }) => {
        const { n } = storage.sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM vfs_blob_bytes").one();
        return n === 0;
      }),
    );
    expect(await keysOf(id)).toEqual(["a/ü.txt", "big.bin", "empty"]);
    expect((await status(id)).workspace_prefix).toBe(`${PREFIX}${id}/`);
    await evictDurableObject(objectOf(id));
    expect(await files(id)).toEqual(before);
    expect((await read(id, "a/ü.txt")).content).toBe("Grüße");
    expect(await read(id, "big.bin", { offset: 1_199_998 })).toMatchObject({ length: 2, size: 1_200_000 });
    const got = await request(`/instances/${id}/files/big.bin`, { headers: { range: "bytes=600000-1100000" } });
    expect(new Uint8Array(await got.arrayBuffer())).toEqual(big.subarray(600_000, 1_100_001));
    expect(unzipSync(await zip())).toEqual(zipped);
    expect(await write(id, "late.txt", "x")).toMatchObject({ success: false, error: "conflict" });
    expect((await request(`/instances/${id}/files/big.bin`, { method: "DELETE" })).status).toBe(409);
  });

  it("are all there, once, wherever keeping them broke off", async () => {
    const contents = { "a.txt": "one", "b/c.bin": "x".repeat(600_000), "d/e/f": "" };
    for (const when of ["before", "after"] as const) {
      for (let step = 1; step <= 4; step++) {
        const id = await spawn();
        await send(id, "hello");
        await inObject(id, async (workspace) => {
          for (const [path, text] of Object.entries(contents)) await workspace.write(path, bytesOf(text), {});
        });
        let puts = 0;
        const breaking = new Proxy(BUCKET, {
          get: (bucket, name: keyof R2Bucket) =>
            name !== "put"
              ? bucket[name].bind(bucket as never)
              : async (key: string, body: ReadableStream, options: R2PutOptions) => {
                  const strike = ++puts === step;
                  if (strike && when === "before") {
                    await body.cancel();
                    throw new Error("The object dies.");
                  }
                  const put = await bucket.put(key, body, options);
                  if (strike) throw new Error("The object dies.");
                  return put;
                },
        });
        const prefix = prefixOf("claude_orchestrator", "default", id);
        await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
          const keep = (bucket: R2Bucket) => {
            const keeper = new Keeper(storage, bucket, prefix);
            return { keeper, workspace: new Workspace(storage, LIMITS, keeper) };
          };
          const first = keep(breaking);
          const broke = await first.workspace.keep().then(
            () => false,
            () => true,
          );
          expect(broke).toBe(step <= 3);
          expect(first.keeper.pending).toBe(step <= 3);
          for (const again of [keep(breaking), keep(BUCKET)]) {
            for (const [path, text] of Object.entries(contents)) {
              const piece = await again.workspace.read(path, { offset: 0, length: 1_000_000 });
              expect(piece.bytes).toEqual(bytesOf(text));
            }
            await again.workspace.keep().catch(() => undefined);
          }
          expect(keep(BUCKET).keeper.pending).toBe(false);
        });
        expect(await keysOf(id)).toEqual(Object.keys(contents).sort());
        for (const [path, text] of Object.entries(contents)) {
          expect(await (await BUCKET.get(keyOf(prefix, path)))?.text()).toBe(text);
        }
      }
    }
  });
});

/** A bucket whose `strike`th call of an upload in parts is the last one: made, or not made, and then the object dies. */
function dyingBucket(strike: number, when: "before" | "after"): { bucket: R2Bucket; calls: string[] } {
  const calls: string[] = [];
  const dying =
    <Args extends unknown[], Result>(name: string, work: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      calls.push(name);
      const strikes = calls.length === strike;
      if (strikes && when === "before") throw new Error("The object dies.");
      const result = await work(...args);
      if (strikes) throw new Error("The object dies.");
      return result;
    };
  const bucket = new Proxy(BUCKET, {
    get: (real, name: keyof R2Bucket) => {
      if (name === "createMultipartUpload") return dying("create", real.createMultipartUpload.bind(real));
      if (name !== "resumeMultipartUpload") return real[name].bind(real as never);
      return (key: string, id: string) => {
        const upload = real.resumeMultipartUpload(key, id);
        return {
          uploadPart: dying("part", upload.uploadPart.bind(upload)),
          complete: dying("complete", upload.complete.bind(upload)),
          abort: upload.abort.bind(upload),
        };
      };
    },
  });
  return { bucket, calls };
}

describe("a large file of an instance that has ended", () => {
  const size = 2 * PART_BYTES + 1_000;
  const bytes = new Uint8Array(size).map((_, i) => (i * 7) % 251);
  /** Compared as a whole: element by element takes seconds. */
  const isKept = async (id: string) => {
    const object = await BUCKET.get(`${PREFIX}${id}/big.bin`);
    return object !== null && Buffer.from(await object.arrayBuffer()).equals(bytes);
  };

  it.each(
    ["before", "after"].flatMap((when) =>
      [1, 2, 3, 4, 5].map((strike) => [when, strike] as ["before" | "after", number]),
    ),
  )("is there once, and no part twice, when its object dies %s call %i of its upload", async (when, strike) => {
    const id = await spawn();
    await send(id, "hello");
    const prefix = prefixOf("claude_orchestrator", "default", id);
    const { bucket, calls } = dyingBucket(strike, when);
    await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
      const keep = () => {
        const keeper = new Keeper(storage, bucket, prefix);
        return { keeper, workspace: new Workspace(storage, LIMITS, keeper) };
      };
      await keep().workspace.upload("big.bin", new Blob([bytes]).stream(), {});
      expect(await failure(keep().workspace.keep())).toMatchObject({ message: "The object dies." });
      expect(keep().keeper.pending).toBe(true);
      const piece = await keep().workspace.read("big.bin", { offset: PART_BYTES - 1, length: 3 });
      expect([...piece.bytes]).toEqual([...bytes.subarray(PART_BYTES - 1, PART_BYTES + 2)]);
      await keep().workspace.keep();
      expect(keep().keeper.pending).toBe(false);
      expect(storage.sql.exec("SELECT * FROM sending_file").toArray()).toEqual([]);
    });
    // What was under way is done again, and nothing else.
    expect(calls).toHaveLength(6);
    expect(await keysOf(id)).toEqual(["big.bin"]);
    expect(await isKept(id)).toBe(true);
  });

  it("is sent anew when R2 has forgotten its parts, and leaves none behind when it is deleted", async () => {
    const id = await spawn();
    await send(id, "hello");
    const prefix = prefixOf("claude_orchestrator", "default", id);
    await runInDurableObject(objectOf(id), async (_instance, { storage }) => {
      const workspace = (bucket: R2Bucket) => new Workspace(storage, LIMITS, new Keeper(storage, bucket, prefix));
      const uploads = () =>
        storage.sql.exec<{ key: string; upload_id: string }>("SELECT key, upload_id FROM sending_file").toArray();
      await workspace(BUCKET).upload("big.bin", new Blob([bytes]).stream(), {});
      await failure(workspace(dyingBucket(3, "before").bucket).keep());
      for (const { key, upload_id: upload } of uploads()) await BUCKET.resumeMultipartUpload(key, upload).abort();
      await failure(workspace(BUCKET).keep());
      await failure(workspace(dyingBucket(3, "before").bucket).keep());
      const [open] = uploads();
      expect(await new Keeper(storage, BUCKET, prefix).erase()).toBe(0);
      const upload = BUCKET.resumeMultipartUpload(open?.key ?? "", open?.upload_id ?? "");
      expect((await failure(upload.uploadPart(1, "x"))).message).toContain("does not exist");
      await workspace(BUCKET)
        .keep()
        .catch(() => undefined);
      await workspace(BUCKET).keep();
    });
    expect(await isKept(id)).toBe(true);
  });
});

describe("deleting an instance", () => {
  it("removes conversation, files and record for good, says so, and touches nobody else's", async () => {
    const [id, other] = [await spawn(), await spawn()];
    for (const one of [id, other]) {
      await use(one, { name: "write_file", input: { path: "a.txt", content: one } });
      await terminate(one);
      await until(async () => (await keysOf(one)).length === 1);
    }
    const deleted = await request(`/instances/${id}`, { method: "DELETE" });
    expect([deleted.status, await deleted.json()]).toMatchObject([
      200,
      { success: true, instance_id: id, removed: { messages: 1, files: 1, bytes: id.length, kept_objects: 1 } },
    ]);
    expect(await keysOf(id)).toEqual([]);
    for (const path of [`/instances/${id}`, `/instances/${id}/files`, `/instances/${id}/files/a.txt`]) {
      expect((await request(path)).status).toBe(404);
    }
    expect((await request(`/instances/${id}`, { method: "DELETE" })).status).toBe(404);
    const left = await runInDurableObject(objectOf(id), (_instance, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'message' OR name LIKE 'vfs%'").toArray(),
    );
    expect(left).toEqual([]);
    expect(await keysOf(other)).toEqual(["a.txt"]);
    expect((await read(other, "a.txt")).content).toBe(other);
  });

  it("is refused while it is not terminated, or holds files of others", async () => {
    const parent = await spawn();
    const child = await spawn({ parent_instance_id: parent, workspace: "parent" });
    const remove = async (id: string) => (await request(`/instances/${id}`, { method: "DELETE" })).status;
    await write(parent, "a.txt", "x");
    expect(await remove(parent)).toBe(409);
    await terminate(parent);
    expect(await remove(parent)).toBe(409);
    expect(await remove(child)).toBe(200);
    expect(await remove(parent)).toBe(200);
    expect(await remove("inst_nonsense")).toBe(400);
  });

  it("goes on by itself when its caller has gone", async () => {
    const id = await spawn();
    await write(id, "a.txt", "x");
    await terminate(id);
    await until(async () => (await keysOf(id)).length === 1);
    const orchestrator = env.ORCHESTRATOR.getByName("default");
    await runInDurableObject(orchestrator, (_instance, { storage }) => {
      storage.sql.exec("INSERT INTO outbox (id, target, call, due_at) VALUES (?, ?, 'erase', 0)", `erase:${id}`, id);
    });
    await runInDurableObject(orchestrator, (instance) => instance.alarm());
    expect((await request(`/instances/${id}`)).status).toBe(404);
    expect(await keysOf(id)).toEqual([]);
  });
});

describe("a storage key", () => {
  it("is made from a tenant, an instance and a path of a workspace, and from nothing else", () => {
    const id = `inst_${"A".repeat(26)}`;
    const prefix = prefixOf("p", "acme", id);
    expect(keyOf(prefix, "a/b.txt")).toBe(`p/acme/${id}/a/b.txt`);
    for (const [, path] of BAD_PATHS) expect(() => keyOf(prefix, path)).toThrow();
    for (const tenant of ["", "a/b", "..", "a b", "x".repeat(31)]) expect(() => prefixOf("p", tenant, id)).toThrow();
    for (const wrong of ["", "../x", `${id}/..`, id.toLowerCase()])
      expect(() => prefixOf("p", "acme", wrong)).toThrow();
  });
});
