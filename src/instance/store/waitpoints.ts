/**
 * The table `waitpoint`: what suspended tool calls wait for (messages, instances, jobs, questions), one row each, until the
 * instance is notified of it.
 */
import type { Tx } from "../../platform/transaction.ts";

export function insertWaitpoints(tx: Tx, callId: number, ids: readonly string[]): void {
  for (const id of ids) tx.exec("INSERT OR IGNORE INTO waitpoint (call_id, id) VALUES (?, ?)", callId, id);
}

/** The call waits for nothing any more. */
export function deleteWaitpoints(tx: Tx, callId: number): void {
  tx.exec("DELETE FROM waitpoint WHERE call_id = ?", callId);
}

/** `id` has happened. Returns the calls that waited for it. */
export function takeWaitpoints(tx: Tx, id: string): number[] {
  const calls = tx.exec<{ call_id: number }>("DELETE FROM waitpoint WHERE id = ? RETURNING call_id", id).toArray();
  return calls.map(({ call_id }) => call_id);
}
