/**
 * Prometheus takes a counter that falls for a restart and counts it anew: so none may ever fall, whatever is deleted.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeAll, expect, it } from "vitest";
import { metricsFrom, prometheus } from "../../../src/orchestrator/registry/metrics.ts";
import { countersAfter, parseCounters } from "../../../src/orchestrator/store/counters.ts";
import { request, send, spawn, tool } from "../../support/door.ts";
import { coordinate, finished } from "../../support/jobs.ts";
import { installModel, scriptModel } from "../../support/model.ts";

installModel();
beforeAll(() =>
  scriptModel(({ lastUserText }) =>
    lastUserText.startsWith("Fail")
      ? { fault: { kind: "status", status: 400, type: "invalid_request_error", message: "No." } }
      : undefined,
  ),
);

const registry = () => env.ORCHESTRATOR.getByName("default");

/** The samples of all counters, and of what a histogram counts, by their names with labels. */
async function counters(): Promise<Map<string, number>> {
  const text = await (await request("/metrics")).text();
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  const samples = [...text.matchAll(/^(madrox_\w+)(\{.*\})? (\S+)$/gm)].filter(([, name = ""]) => {
    const type = types.get(name) ?? types.get(name.replace(/_(bucket|sum|count)$/, ""));
    if (type === undefined) throw new Error(`${name} has no type.`);
    return type !== "gauge";
  });
  return new Map(samples.map(([, name = "", labels = "", value]) => [name + labels, Number(value)]));
}

/** Whoever has ended and is to be kept, or all jobs that are over, are so no longer: the alarm does what is then due. */
async function retentionEnds(table: "instance" | "job"): Promise<void> {
  await runInDurableObject(registry(), async (_object, { storage }) => {
    storage.sql.exec(`UPDATE ${table} SET kept_until = 1 WHERE kept_until IS NOT NULL`);
    await storage.setAlarm(Date.now() + 60_000);
  });
  await runDurableObjectAlarm(registry());
}

interface Fleet {
  live: string[];
  ended: string[];
  jobs: string[];
}

const pick = (ids: readonly string[], nth: number) => ids[nth % Math.max(1, ids.length)];

const OPERATIONS: Record<string, (fleet: Fleet, nth: number) => Promise<unknown>> = {
  spawn: async (fleet) => fleet.live.push(await spawn()),
  "a message": async ({ live }, nth) => live.length > 0 && send(pick(live, nth) ?? "", "Hello."),
  "a message that fails": async ({ live }, nth) => live.length > 0 && send(pick(live, nth) ?? "", "Fail."),
  terminate: async (fleet, nth) => {
    const id = pick(fleet.live, nth);
    if (id === undefined) return;
    await tool("terminate_instance", { instance_id: id });
    fleet.live = fleet.live.filter((other) => other !== id);
    fleet.ended.push(id);
  },
  delete: async (fleet, nth) => {
    const id = pick(fleet.ended, nth);
    if (id === undefined) return;
    await request(`/instances/${id}`, { method: "DELETE" });
    fleet.ended = fleet.ended.filter((other) => other !== id);
  },
  "the end of the retention of instances": () => retentionEnds("instance"),
  "a job": async (fleet) => {
    const [coordinator_id, participant] = fleet.live;
    if (!coordinator_id || !participant) return;
    const job = await coordinate({ coordinator_id, participant_ids: [participant] });
    await finished(job);
    fleet.jobs.push(job);
  },
  "deletion of a job": async (fleet) => {
    const job = fleet.jobs.pop();
    if (job !== undefined) await request(`/jobs/${job}`, { method: "DELETE" });
  },
  "the end of the retention of jobs": () => retentionEnds("job"),
};

it("no counter ever falls, and what was counted of somebody who is deleted stays counted", async () => {
  const fleet: Fleet = { live: [], ended: [], jobs: [] };
  let before = await counters();
  const step = fc.tuple(fc.constantFrom(...Object.keys(OPERATIONS)), fc.nat(20));
  // Deleting comes to something only after the rest has happened.
  const whole = ["spawn", "spawn", "a message", "a message that fails", "a job", "terminate", "delete"].map(
    (name): [string, number] => [name, 0],
  );
  const run = async (steps: readonly [string, number][]) => {
    for (const [name, nth] of [...whole, ...steps]) {
      await OPERATIONS[name]?.(fleet, nth);
      const after = await counters();
      for (const [sample, value] of before)
        expect([name, sample, (after.get(sample) ?? 0) >= value]).toEqual([name, sample, true]);
      before = after;
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 10 }), run), {
    numRuns: 6,
    seed: 20_261_129,
    endOnFailure: true,
  });
  expect(before.get("madrox_instances_created_total")).toBeGreaterThan(10);
  expect(before.get("madrox_instances_terminated_total")).toBeGreaterThan(5);
  expect(before.get("madrox_response_seconds_count")).toBeGreaterThan(5);
}, 60_000);

it("the sum of the response times is what was measured, and no multiple of a rounded mean", () => {
  const totals = { total_instances: 0, deleted_instances: 0, active_instances: 0, bound_violations: 0 };
  const tokens = { tokens_input: 0, tokens_output: 0, tokens_cache_read: 0, tokens_cache_write: 0 };
  const balance = { settled_nano: 0, unsettled_nano: 0, reserved_nano: 0 };
  const limiter = { running: 0, allowed: 0, queued: 0, blockedUntil: 0 };
  fc.assert(
    fc.property(fc.array(fc.nat(2_000), { minLength: 1, maxLength: 20 }), (durations) => {
      let counted = parseCounters(null);
      let sum = 0;
      for (const [seq, duration_ms] of durations.entries()) {
        counted = countersAfter(counted, { seq, at: 0, kind: "message.completed", data: { duration_ms } });
        sum += duration_ms;
        const text = prometheus(
          metricsFrom({ ...totals, ...tokens, counters: JSON.stringify(counted) }, balance, limiter),
        );
        expect(text).toContain(`madrox_response_seconds_sum ${sum / 1_000}\n`);
      }
    }),
  );
});
