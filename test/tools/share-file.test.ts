/**
 * A file that one instance hands to another.
 */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import type { WorkspaceLimits } from "../../src/contracts/workspace.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { Workspace } from "../../src/workspace/workspace.ts";
import { request, spawn, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";
import { failure, files, read, share, write } from "../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

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
