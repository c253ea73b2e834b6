/**
 * Paths: what is none is refused wherever a path is taken, and what only looks so is a name.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { Workspace as Computer } from "@cloudflare/computer";
import { unzipSync } from "fflate";
import { beforeEach, describe, expect, it } from "vitest";
import { type Json, request, spawn, tool } from "../support/door.ts";
import { installModel, scriptModel } from "../support/model.ts";
import { objectOf } from "../support/objects.ts";
import { useInRounds } from "../support/tool-calls.ts";
import { BAD_PATHS, files, keysOf, read, resource, share, write } from "../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

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
