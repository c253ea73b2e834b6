/**
 * The commits of a Durable Object as points at which its process may die.
 */
import { runInDurableObject } from "cloudflare:test";
import type { Instance } from "../../src/instance/instance.ts";
import type { Job } from "../../src/jobs/job.ts";
import type { Orchestrator } from "../../src/orchestrator/orchestrator.ts";

const WRITES = /^\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER)/i;

interface Trap {
  /** Commits so far. */
  commits: number;
  sprung: boolean;
}

/**
 * Watches an object's commits: transactions, single writes and alarms. After the `deadly` one nothing is written any more
 * but what the same stretch of JavaScript still writes, which storage commits together with it. That is where a process
 * may die; to make it die is left to the caller.
 */
export async function watchCommits(
  stub: DurableObjectStub<Instance> | DurableObjectStub<Orchestrator> | DurableObjectStub<Job>,
  deadly = Number.POSITIVE_INFINITY,
): Promise<Trap> {
  const trap: Trap = { commits: 0, sprung: false };
  let dead = false;
  let depth = 0;
  const committed = () => {
    trap.commits += 1;
    if (trap.commits !== deadly) return;
    let hops = 50;
    const hop = () => {
      hops -= 1;
      if (hops > 0) queueMicrotask(hop);
      else {
        dead = true;
        trap.sprung = true;
      }
    };
    hop();
  };
  const alive = () => {
    if (dead) throw new Error("this object is dead");
  };
  await runInDurableObject(stub as DurableObjectStub<Instance>, (_object, { storage }) => {
    const { sql } = storage;
    const real = {
      transaction: storage.transactionSync.bind(storage),
      exec: sql.exec.bind(sql),
      setAlarm: storage.setAlarm.bind(storage),
      deleteAlarm: storage.deleteAlarm.bind(storage),
    };
    storage.transactionSync = <T>(work: () => T): T => {
      alive();
      depth += 1;
      try {
        return real.transaction(work);
      } finally {
        depth -= 1;
        committed();
      }
    };
    sql.exec = ((query: string, ...values: SqlStorageValue[]) => {
      const writes = depth === 0 && WRITES.test(query);
      if (writes) alive();
      const cursor = real.exec(query, ...values);
      if (writes) committed();
      return cursor;
    }) as typeof sql.exec;
    storage.setAlarm = async (time) => {
      alive();
      const set = real.setAlarm(time);
      committed();
      await set;
    };
    storage.deleteAlarm = async () => {
      alive();
      const deleted = real.deleteAlarm();
      committed();
      await deleted;
    };
  });
  return trap;
}
