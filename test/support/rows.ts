/**
 * How many rows the databases of all objects read and write: exact, and the same on every machine, where a time is not.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";

export interface Rows {
  read: number;
  written: number;
}

type Exec = SqlStorage["exec"];

let cursors: { rowsRead: number; rowsWritten: number }[] = [];

/** Begins to count every statement of every object in this isolate. Once a test file, before the first count. */
export async function watchRows(): Promise<void> {
  await runInDurableObject(env.ORCHESTRATOR.getByName("rows"), (_object, { storage }) => {
    const prototype = Object.getPrototypeOf(storage.sql) as { exec: Exec };
    const { exec } = prototype;
    prototype.exec = function (this: SqlStorage, ...statement: Parameters<Exec>) {
      const cursor = exec.apply(this, statement);
      cursors.push(cursor);
      return cursor;
    } as Exec;
  });
}

/** The rows that all objects read and write while `work` runs. Nothing else may run meanwhile. */
export async function rowsOf(work: () => Promise<unknown>): Promise<Rows> {
  cursors = [];
  await work();
  // Only now: a cursor counts on while it is read.
  return cursors.reduce<Rows>(
    (sum, { rowsRead, rowsWritten }) => ({ read: sum.read + rowsRead, written: sum.written + rowsWritten }),
    { read: 0, written: 0 },
  );
}
