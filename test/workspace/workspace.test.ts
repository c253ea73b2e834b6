/**
 * A workspace as a whole: its quotas, its size, and who shares it.
 */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import type { WorkspaceLimits } from "../../src/contracts/workspace.ts";
import { Workspace } from "../../src/workspace/workspace.ts";
import { type Json, request, spawn, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";
import { use } from "../support/tool-calls.ts";
import { bytesOf, failure, files, inObject, read, write } from "../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

describe("the quotas of a workspace", () => {
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

describe("a large workspace", () => {
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
