/**
 * Who waits for whom: the table `wait_edge`, which nothing else writes. A wait that would close a circle is refused.
 */
import { err, ok, type Result } from "../../platform/errors.ts";
import { first } from "../../platform/sqlite.ts";
import type { Tx } from "../../platform/transaction.ts";

/**
 * Notes that an instance is about to wait for others (a job waits for all its members), unless somebody of them waits for it: `conflict`, and nothing is noted.
 * `seq`: the instance's newest event; a later report of it that does not wait takes the note away.
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

/** The instance works or rests again, by a report of this sequence: it waits for nobody. */
export function waitOver(tx: Tx, waiter: string, seq: number): void {
  tx.exec("DELETE FROM wait_edge WHERE waiter = ? AND seq < ?", waiter, seq);
}

/** The instance has ended: it waits for nobody. */
export function forgetWaits(tx: Tx, waiter: string): void {
  tx.exec("DELETE FROM wait_edge WHERE waiter = ?", waiter);
}
