/**
 * What becomes of a job when whoever started it ends, and when it is over for long enough or somebody deletes it.
 */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { orchestratorOf } from "../../../src/contracts/stubs.ts";
import { type Json, request, spawn, tool, until } from "../../support/door.ts";
import { coordinate, finished, playPlainly, team, view } from "../../support/jobs.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { registry } from "../../support/objects.ts";

installModel();
beforeAll(() => playPlainly(() => undefined));
afterEach(() => playPlainly(() => undefined));

const OPTIONS = { choices: null, quorum: 0.5, threshold: null, rounds: 1, split: false, step_timeout_seconds: 600 };

/** Starts a job as an instance does, or (null) as somebody outside. */
async function start(creator: string | null, coordinator: string, participant: string, within: string | null = null) {
  const made = await orchestratorOf(env, "default").coordinate({
    tenant: "default",
    type: "sequential",
    coordinator_id: coordinator,
    participant_ids: [participant],
    task: "Build a bridge.",
    options: OPTIONS,
    max_cost: null,
    creator,
    within_job: within,
  });
  if (!made.ok) throw new Error(made.error.message);
  return made.value.job_id;
}

const stall = () => scriptModel(() => ({ fault: { kind: "stall", pings: true, pingMs: 500 } }));

async function atWork(jobId: string): Promise<string> {
  const step = await until(async () => (await view(jobId)).steps.find(({ message_ids }) => message_ids.length > 0));
  return String(step.message_ids[0]);
}

/** A job of two that is over. */
async function ended(): Promise<string> {
  const { Cora, Ada } = await team("Cora", "Ada");
  const jobId = await coordinate({ coordinator_id: Cora, participant_ids: [Ada] });
  expect((await finished(jobId)).status).toBe("completed");
  await until(async () => (await orchestratorOf(env, "default").job(jobId))?.finished_at);
  return jobId;
}

async function remove(jobId: string): Promise<{ status: number; body: Json }> {
  const response = await request(`/jobs/${jobId}`, { method: "DELETE" });
  return { status: response.status, body: (await response.json()) as Json };
}

const ledgerOf = (jobId: string) =>
  runInDurableObject(registry(), (_object, { storage: { sql } }) =>
    sql.exec("SELECT instance_id, settled_nano FROM ledger WHERE job = ? AND kind = 'settled'", jobId).toArray(),
  );

const tablesOf = (jobId: string) =>
  runInDurableObject(env.JOB.getByName(`default/${jobId}`), (_object, { storage: { sql } }) =>
    sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name IN ('job', 'step')").toArray(),
  );

describe("the end of whoever started a job", () => {
  it("cancels the job, however far below it started it, and what its instances do for it", async () => {
    stall();
    const top = await spawn();
    const lead = await spawn({ parent_instance_id: top });
    const [one, two] = [await spawn({ parent_instance_id: lead }), await spawn({ parent_instance_id: lead })];
    const jobId = await start(lead, one, two);
    const messageId = await atWork(jobId);
    await tool("terminate_instance", { instance_id: top });
    const job = await view(jobId);
    expect(job).toMatchObject({ status: "cancelled", failure: { code: "cancelled" } });
    expect(job.failure?.message).toContain("the instance that started it was terminated");
    const { done } = (await tool("wait", { ids: [messageId] })) as Json & { done: Json[] };
    expect(done).toMatchObject([{ status: "cancelled" }]);
  });

  it("leaves alone what somebody else has started", async () => {
    stall();
    const [bystander, one, two] = [await spawn(), await spawn(), await spawn()];
    const jobId = await start(null, one, two);
    await atWork(jobId);
    await tool("terminate_instance", { instance_id: bystander });
    expect((await tool("get_job_status", { job_id: jobId })).status).toBe("running");
    await tool("cancel_job", { job_id: jobId });
  });
});

describe("deleting a job", () => {
  it("takes all of it but what it cost, says what that was, and is on record", async () => {
    const jobId = await ended();
    const cost = await ledgerOf(jobId);
    expect(await remove(jobId)).toMatchObject({
      status: 200,
      body: { job_id: jobId, removed: { steps: 2, answers: 2 } },
    });
    expect((await tool("get_job_status", { job_id: jobId })).error).toBe("not_found");
    expect((await request(`/jobs/${jobId}`)).status).toBe(404);
    expect(await tablesOf(jobId)).toEqual([]);
    expect(await ledgerOf(jobId)).toEqual(cost);
    expect(cost).toHaveLength(2);
    expect((await remove(jobId)).body.error).toBe("not_found");
    const { events } = await orchestratorOf(env, "default").events({
      after: 0,
      instance_id: jobId,
      limit: 500,
      waitMs: 0,
    });
    expect(events.slice(-3).map(({ kind, data }) => [kind, data.tool, data.outcome])).toEqual([
      ["job.deleted", undefined, undefined],
      ["audit.called", "delete_job", "ok"],
      ["audit.called", "delete_job", "not_found"],
    ]);
  });

  it("is refused while the job, or one that its cap binds, is not over", async () => {
    stall();
    const [lead, one, two] = [await spawn(), await spawn(), await spawn()];
    const outer = await start(null, lead, one);
    await atWork(outer);
    expect(await remove(outer)).toMatchObject({ status: 409, body: { error: "conflict" } });
    const inner = await start(null, one, two, outer);
    await tool("cancel_job", { job_id: outer });
    expect((await remove(outer)).body).toMatchObject({ error: "conflict", details: { within: inner } });
    await tool("cancel_job", { job_id: inner });
    expect((await remove(outer)).status).toBe(200);
  });

  it.each(["job_1", "inst_01K0000000000000000000000A"])("is refused for %s, which is no job's id", async (id) => {
    expect(await remove(id)).toMatchObject({ status: 400, body: { error: "invalid_input" } });
  });
});

describe("the retention of a job", () => {
  it("ends on a whole day after its end, and then the job is deleted", async () => {
    const jobId = await ended();
    const DAY_MS = 24 * 60 * 60 * 1000;
    const kept = await runInDurableObject(registry(), (_object, { storage: { sql } }) => {
      const row = sql
        .exec<{ kept_until: number; finished_at: number }>("SELECT * FROM job WHERE job_id = ?", jobId)
        .one();
      sql.exec("UPDATE job SET kept_until = ? WHERE job_id = ?", Date.now() - 1, jobId);
      return row;
    });
    expect(kept.kept_until % DAY_MS).toBe(0);
    expect(kept.kept_until - kept.finished_at).toBeGreaterThanOrEqual(30 * DAY_MS);
    expect(kept.kept_until - kept.finished_at).toBeLessThan(31 * DAY_MS);
    await runDurableObjectAlarm(registry());
    expect(await orchestratorOf(env, "default").job(jobId)).toBeNull();
    expect(await tablesOf(jobId)).toEqual([]);
    expect(await ledgerOf(jobId)).toHaveLength(2);
  });
});
