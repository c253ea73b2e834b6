/**
 * A change and its record never part: whichever object a call changes, and after whichever of its commits that object dies, there
 * is as much on record as was done.
 */

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it } from "vitest";
import { installClock } from "../../support/clock.ts";
import { watchCommits } from "../../support/commits.ts";
import { request, send, spawn, tool, until } from "../../support/door.ts";
import { installModel, scriptModel } from "../../support/model.ts";
import { objectOf, registry } from "../../support/objects.ts";

installModel();

const clock = installClock();
afterEach(() => scriptModel(() => undefined));

/** Anything that has an event log of its own. */
type Watched = ReturnType<typeof registry> | ReturnType<typeof objectOf> | ReturnType<typeof jobObject>;

/** The job that an instance coordinates. */
const jobs = new Map<string, string>();
const jobObject = (id: string) => env.JOB.getByName(`default/${jobs.get(id)}`);

/** One number from the database of an object that is not asked itself. */
function count(stub: Watched, query: string, ...values: string[]) {
  return runInDurableObject(stub as ReturnType<typeof objectOf>, (_object, { storage: { sql } }) => {
    const known = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'event'").toArray().length > 0;
    return known ? sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${query}`, ...values).one().n : 0;
  });
}

/** An idle deadline, which is an hour ahead, is not what brings a record to the log. */
async function runWhenDue(stub: ReturnType<typeof objectOf>): Promise<void> {
  const alarm = await runInDurableObject(stub, (_object, { storage }) => storage.getAlarm());
  if (alarm !== null && alarm <= Date.now()) await runDurableObjectAlarm(stub);
}

/** Until all that is owed is done and told, with nobody asked but alarms. */
async function settled(id: string): Promise<void> {
  await until(async () => {
    const owed = await count(registry(), "outbox WHERE target = ?", id);
    const unreported = await count(objectOf(id), "event WHERE seq > (SELECT reported_seq FROM instance)");
    const due = jobs.has(id) ? await count(jobObject(id), "job WHERE report_due IS NOT NULL") : 0;
    if (owed + unreported + due === 0) return true;
    clock.aheadMs += 10_000;
    const stubs: Watched[] = [registry(), objectOf(id), ...(jobs.has(id) ? [jobObject(id)] : [])];
    for (const stub of stubs) await runWhenDue(stub as ReturnType<typeof objectOf>);
    return false;
  }, 500_000);
}

const post = (path: string, body: object) =>
  request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** A job that the instance coordinates, and that does not end by itself. */
async function coordinate(id: string): Promise<unknown> {
  scriptModel(() => ({ fault: { kind: "stall", pings: true, pingMs: 500 } }));
  const other = await spawn();
  const job = await tool("coordinate_instances", {
    coordinator_id: id,
    participant_ids: [other],
    task_description: "Build a bridge.",
  });
  if (job.success) jobs.set(id, String(job.job_id));
  return job;
}

/** The same, at rest until its instances answer. */
async function underWay(id: string): Promise<void> {
  await coordinate(id);
  await until(
    async () => (await count(jobObject(id), "step, job WHERE step.state = 'running' AND report_due IS NULL")) > 0,
  );
}

/** The same, and it is over. */
async function ended(id: string): Promise<void> {
  await underWay(id);
  await tool("cancel_job", { job_id: jobs.get(id) });
  await until(
    async () => (await count(registry(), "job WHERE job_id = ? AND finished_at > 0", jobs.get(id) ?? "")) > 0,
  );
}

const TEMPLATE = {
  title: "A team",
  summary: "Two of them.",
  supervisor: { name: "Lead", prompt: "Lead." },
  members: [{ name: "Ada", prompt: "Work." }],
};

interface Change {
  /** What a call of it does on record. */
  tool: string;
  /** Whose commits are watched. */
  of: (id: string) => Watched;
  /** What has to be so before. */
  before?: (id: string) => Promise<unknown>;
  call: (id: string) => Promise<unknown>;
  /** How often it was done. */
  done: (id: string) => Promise<number>;
}

const CHANGES: Change[] = [
  {
    tool: "spawn_claude",
    of: registry,
    call: (id) => tool("spawn_claude", { name: "Ada", parent_instance_id: id }),
    done: (id) => count(registry(), "instance WHERE parent_id = ?", id),
  },
  {
    tool: "set_limits",
    of: registry,
    call: (id) => tool("set_limits", { instance_id: id, max_cost: 5 }),
    done: (id) => count(registry(), "limits WHERE scope = ?", id),
  },
  {
    tool: "terminate_instance",
    of: registry,
    call: (id) => tool("terminate_instance", { instance_id: id }),
    done: (id) => count(registry(), "instance WHERE active = 0 AND instance_id = ?", id),
  },
  {
    tool: "delete_instance",
    of: registry,
    before: (id) => tool("terminate_instance", { instance_id: id }),
    call: (id) => request(`/instances/${id}`, { method: "DELETE" }),
    done: async (id) => 1 - (await count(registry(), "instance WHERE instance_id = ?", id)),
  },
  {
    tool: "coordinate_instances",
    of: registry,
    call: coordinate,
    done: (id) => count(registry(), "job WHERE coordinator_id = ?", id),
  },
  {
    tool: "cancel_job",
    of: jobObject,
    before: underWay,
    call: (id) => tool("cancel_job", { job_id: jobs.get(id) }),
    done: (id) => count(jobObject(id), "job WHERE state = 'cancelled'"),
  },
  {
    tool: "delete_job",
    of: registry,
    before: ended,
    call: (id) => request(`/jobs/${jobs.get(id)}`, { method: "DELETE" }),
    done: async (id) => 1 - (await count(registry(), "job WHERE coordinator_id = ?", id)),
  },
  {
    tool: "store_template",
    of: registry,
    call: (id) => post("/templates", { ...TEMPLATE, name: id.toLowerCase() }),
    done: (id) => count(registry(), "team_template WHERE name = ?", id.toLowerCase()),
  },
  {
    tool: "send_to_instance",
    of: objectOf,
    call: (id) => send(id, "Good day.", { wait_for_response: false }),
    done: (id) => count(objectOf(id), "message"),
  },
  {
    tool: "interrupt_instance",
    of: objectOf,
    call: (id) => tool("interrupt_instance", { instance_id: id }),
    done: (id) => count(objectOf(id), "event WHERE kind = 'audit.called'"),
  },
  {
    tool: "write_instance_file",
    of: objectOf,
    before: (id) => tool("list_instance_files", { instance_id: id }),
    call: (id) => tool("write_instance_file", { instance_id: id, path: "a.txt", content: "a" }),
    done: (id) => count(objectOf(id), "vfs_dirents WHERE name = 'a.txt'"),
  },
];

async function onRecord(change: Change, id: string): Promise<number> {
  const where = "event WHERE kind = 'audit.called' AND data ->> 'tool' = ? AND data ->> 'outcome' = 'ok'";
  if (change.tool === "spawn_claude") {
    const children = `${where} AND instance_id IN (SELECT instance_id FROM instance WHERE parent_id = ?)`;
    return count(registry(), children, change.tool, id);
  }
  const about = "instance_id IN (?2, ?3) OR data ->> 'subject' = lower(?2)";
  return count(registry(), `${where} AND (${about})`, change.tool, id, jobs.get(id) ?? id);
}

it.each(CHANGES)(
  "$tool is on record as often as it was done, after any commit",
  async (change) => {
    const seen = new Set<number>();
    for (let deadly = 1; deadly <= 8; deadly++) {
      const id = await spawn();
      await change.before?.(id);
      const trap = await watchCommits(change.of(id), deadly);
      await change.call(id);
      if (trap.commits >= deadly) await until(async () => trap.sprung);
      await abortAllDurableObjects();
      await settled(id);
      const done = await change.done(id);
      expect([deadly, await onRecord(change, id)]).toEqual([deadly, done]);
      seen.add(done);
      if (!trap.sprung) break;
    }
    expect(seen).toContain(1);
  },
  60_000,
);
