/**
 * Coordinated tasks whose process dies, at every step and in between: they come to the same end, and nobody is asked twice.
 */

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { CoordinationType } from "../../src/contracts/job.ts";
import { orchestratorOf } from "../../src/contracts/stubs.ts";
import { coordinate as commitJob } from "../../src/orchestrator/registry/jobs.ts";
import { inTransaction } from "../../src/platform/transaction.ts";
import { installClock } from "../support/clock.ts";
import { watchCommits } from "../support/commits.ts";
import { output, until } from "../support/door.ts";
import { coordinate, playPlainly, schemaOf, team, view } from "../support/jobs.ts";
import { installModel } from "../support/model.ts";

installModel();

/** A job of each type that goes through every phase of that type. */
const TYPES: [string, Record<string, unknown>, string[]][] = [
  ["sequential", {}, ["work:0", "work:1", "result"]],
  ["parallel", { split: true }, ["split", "work:0", "work:1", "result"]],
  ["consensus", {}, ["propose:0", "propose:1", "cluster:1", "vote:1:0", "vote:1:1", "tiebreak"]],
  ["delegated", {}, ["plan:1", "task:a", "task:b", "task:c", "result"]],
];

const instance = (id: string | undefined) => env.INSTANCE.getByName(`default/${id}`);
const job = (id: string) => env.JOB.getByName(`default/${id}`);

/** Ada and Ben vote against each other, so that the tie has to be broken. The nth call of all is never answered. */
function playUntil(dead: number): () => boolean {
  let calls = 0;
  playPlainly((name, _text, call) => {
    calls += 1;
    if (calls === dead) return { fault: { kind: "stall", pings: true, pingMs: 500 } };
    if (!(schemaOf(call)?.properties as Record<string, unknown> | undefined)?.choice) return undefined;
    return { choice: name === "Ben" ? "Steel" : "Stone", confidence: 0.6, reasons: `reasons of ${name}` };
  });
  return () => calls >= dead;
}

async function start(type: string, options: Record<string, unknown>) {
  const ids = await team("Cora", "Ada", "Ben");
  const input = { coordinator_id: ids.Cora, participant_ids: [ids.Ada, ids.Ben], coordination_type: type, options };
  return { ids, jobId: await coordinate(input) };
}

const clock = installClock();

/** Waits until the registry says that the job is over. Nobody is asked but alarms. */
async function endsByAlarms(jobId: string, ids: Record<string, string>): Promise<void> {
  await until(async () => {
    const record = await orchestratorOf(env, "default").job(jobId);
    if (record?.finished_at) return true;
    for (const stub of [env.ORCHESTRATOR.getByName("default"), job(jobId), ...Object.values(ids).map(instance)]) {
      await runDurableObjectAlarm(stub as ReturnType<typeof instance>);
    }
    clock.aheadMs += 1_000;
    return false;
  }, 500_000);
}

/** Everything that has to hold afterwards: the same steps and result as without a crash, and nobody was asked twice. */
async function holds(jobId: string, ids: Record<string, string>, steps: string[]): Promise<void> {
  const ended = await view(jobId);
  expect(ended.failure).toBeUndefined();
  expect(ended.status).toBe("completed");
  expect(ended.steps.map((step) => step.step)).toEqual(steps);
  if (ended.type === "consensus") expect(ended.result).toMatchObject({ decision: "Stone", tie_broken_by: ids.Cora });
  else expect(ended.result).toMatchObject({ summary: "the work of Cora" });
  for (const id of Object.values(ids)) {
    const received = (await output(id)).filter((row) => row.type === "user").map((row) => row.message_id);
    expect(received.toSorted()).toEqual(
      ended.steps
        .filter((step) => step.instance_id === id)
        .flatMap((step) => step.message_ids)
        .toSorted(),
    );
  }
  expect(ended.steps.every((step) => step.message_ids.length === 1)).toBe(true);
}

it.each(TYPES)(
  "while the model works on any step, a %s job comes to the same end",
  async (type, options, steps) => {
    for (let dead = 1; dead <= steps.length; dead++) {
      const reached = playUntil(dead);
      const { ids, jobId } = await start(type, options);
      await until(async () => reached());
      await abortAllDurableObjects();
      await endsByAlarms(jobId, ids);
      await holds(jobId, ids, steps);
    }
  },
  60_000,
);

it.each(TYPES)(
  "of the job alone, after any of its commits, a %s job comes to the same end",
  async (type, options, steps) => {
    const whole = await (async () => {
      playUntil(0);
      const ids = await team("Cora", "Ada", "Ben");
      const jobId = await held(ids, type, options);
      const trap = await watchCommits(job(jobId));
      await job(jobId).wake();
      await endsByAlarms(jobId, ids);
      await holds(jobId, ids, steps);
      return trap.commits;
    })();
    let sprung = 0;
    for (let deadly = 1; deadly <= whole; deadly += 5) {
      playUntil(0);
      const ids = await team("Cora", "Ada", "Ben");
      const jobId = await held(ids, type, options);
      const trap = await watchCommits(job(jobId), deadly);
      await job(jobId)
        .wake()
        .catch(() => undefined);
      await until(async () => trap.sprung || (await orchestratorOf(env, "default").job(jobId))?.finished_at !== null);
      if (trap.sprung) sprung += 1;
      await abortAllDurableObjects();
      await endsByAlarms(jobId, ids);
      await holds(jobId, ids, steps);
    }
    expect(sprung).toBeGreaterThan(0);
  },
  60_000,
);

/** A job that is committed, and whose object has not heard of it yet. */
async function held(ids: Record<string, string>, type: string, options: Record<string, unknown>): Promise<string> {
  const stub = env.ORCHESTRATOR.getByName("default");
  return runInDurableObject(stub, (_object, { storage }) => {
    const request = {
      tenant: "default",
      type: type as CoordinationType,
      coordinator_id: ids.Cora ?? "",
      participant_ids: [ids.Ada ?? "", ids.Ben ?? ""],
      task: "Build a bridge.",
      options: {
        choices: null,
        quorum: 0.5,
        threshold: null,
        rounds: 1,
        split: false,
        step_timeout_seconds: 600,
        ...options,
      },
      max_cost: null,
      creator: null,
      within_job: null,
    };
    const made = inTransaction(storage, (tx) => commitJob(tx, request, Date.now()));
    if (!made.ok) throw new Error(made.error.message);
    return made.value.job_id;
  });
}
