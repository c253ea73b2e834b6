/**
 * The Orchestrator's alarm: everything that is due is done, whatever fails beside it.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, expect, it } from "vitest";
import { LOCAL } from "../../src/contracts/principal.ts";
import { contextOf } from "../../src/http/context.ts";
import { newInstanceId } from "../../src/platform/ids.ts";
import { dispatch } from "../../src/tools/runtime/dispatch.ts";
import { installModel, scriptModel } from "../support/model.ts";

installModel();
beforeAll(() => scriptModel(() => undefined));

/** A tenant of its own, with an instance that was never used. */
async function tenantWith(name: string): Promise<ReturnType<typeof env.ORCHESTRATOR.getByName>> {
  const principal = { ...LOCAL, tenant: name };
  const context = contextOf(env, [], { principal, signal: new AbortController().signal });
  await dispatch(context, "spawn_claude", { name: "Ada" });
  return env.ORCHESTRATOR.getByName(name);
}

it("does what is due beside a duty that fails, and does not ring again at once for that one", async () => {
  const object = await tenantWith("a-failing-duty");
  const rang = Date.now();
  await runInDurableObject(object, async (_object, { storage }) => {
    const { sql } = storage;
    sql.exec("UPDATE instance SET unused_until = 1, last_activity = 1");
    // To an object that there is not: what it answers is no matter here.
    const other = newInstanceId();
    sql.exec("INSERT INTO outbox (id, target, call, due_at) VALUES (?, ?, 'stop', 1)", `stop:${other}`, other);
    await storage.setAlarm(rang + 60_000);
    const { exec } = sql;
    sql.exec = ((query: string, ...values: SqlStorageValue[]) => {
      if (query.includes("SET state = 'terminated'")) throw new Error("this duty fails");
      return exec.call(sql, query, ...values);
    }) as typeof sql.exec;
  });
  await runDurableObjectAlarm(object);
  const { pending, alarm } = await runInDurableObject(object, async (_object, { storage }) => ({
    pending: storage.sql.exec("SELECT id FROM outbox").toArray(),
    alarm: await storage.getAlarm(),
  }));
  expect(pending).toEqual([]);
  // A while later, and not never: the duty is still to be done.
  expect(alarm).toBeGreaterThan(rang + 30_000);
  expect(alarm).toBeLessThan(rang + 120_000);
});

it("rings for the earliest of all that is to be done, and not at all when there is nothing", async () => {
  const object = await tenantWith("an-idle-deadline");
  const look = () =>
    runInDurableObject(object, async (_object, { storage }) => ({
      alarm: await storage.getAlarm(),
      unused: storage.sql.exec<{ at: number }>("SELECT unused_until AS at FROM instance").one().at,
    }));
  const before = await look();
  expect(before.alarm).toBe(before.unused);
  await runInDurableObject(object, (_object, { storage }) => {
    storage.sql.exec("UPDATE instance SET unused_until = NULL");
    storage.sql.exec("DELETE FROM event");
  });
  await runDurableObjectAlarm(object);
  expect((await look()).alarm).toBeNull();
});
