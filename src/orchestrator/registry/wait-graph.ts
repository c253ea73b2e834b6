/**
 * The table `wait_edge`: who waits for whom. A wait that would close a cycle is refused, as it would never end.
 */
import { err, ok, type Result } from "../../platform/errors.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/**
 * Records that an instance waits for others (a job waits for all its members). `conflict` when any of those waits for it, directly
 * or not, and then nothing is recorded. `seq`: the instance's newest event; a later report in which it does not wait ends the wait.
 */
export function waitFor(tx: Tx, waiter: string, targets: readonly string[], seq: number): Result<null> {
  const circle = first<{ id: string }>(
    tx,
    `WITH RECURSIVE reached(id) AS (
         SELECT value FROM json_each(?)
         UNION SELECT target FROM wait_edge JOIN reached ON waiter = reached.id
         UNION SELECT coordinator_id FROM job JOIN reached ON job_id = reached.id WHERE finished_at IS NULL
         UNION SELECT value FROM job JOIN reached ON job_id = reached.id, json_each(participants) WHERE finished_at IS NULL)
       SELECT id FROM reached WHERE id = ?`,
    JSON.stringify(targets),
    waiter,
  );
  if (circle) {
    return err(
      "conflict",
      targets.includes(waiter)
        ? "An instance can't wait for itself."
        : "What this would wait for is itself waiting for this instance: it would never end. Finish your turn, or ask for less than its answer.",
      { waiter, targets: targets.slice(0, 20) },
    );
  }
  for (const target of targets)
    tx.exec("INSERT OR REPLACE INTO wait_edge (waiter, target, seq) VALUES (?, ?, ?)", waiter, target, seq);
  return ok(null);
}

/** The instance works or rests, by a report of this sequence: ends its earlier waits. */
export function waitOver(tx: Tx, waiter: string, seq: number): void {
  tx.exec("DELETE FROM wait_edge WHERE waiter = ? AND seq < ?", waiter, seq);
}

/** The instance has ended: ends its waits. */
export function forgetWaits(tx: Tx, waiter: string): void {
  tx.exec("DELETE FROM wait_edge WHERE waiter = ?", waiter);
}
