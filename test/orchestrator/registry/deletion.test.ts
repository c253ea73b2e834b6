/**
 * Deleting an instance for good.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { request, spawn, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { objectOf } from "../../support/objects.ts";
import { use } from "../../support/tool-calls.ts";
import { keysOf, read, terminate, write } from "../../support/workspace.ts";

installModel();

beforeEach(() => scriptModel(() => undefined));

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
