/**
 * How an instance ends, and what has to be over before anything of it is deleted.
 */
import { err, type Result } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { hasUnreported } from "../reporting/report.ts";
import { cancelOpenTurn } from "../store/inbox.ts";
import { emit, selfOf } from "../store/instance-row.ts";
import { nextNews, ring, ringAtRest } from "../store/watchers.ts";

/** Takes no more messages, and cancels those in the queue. `force`: the running turn is stopped too. Repeating it changes nothing. */
export function end(storage: DurableObjectStorage, instanceId: string, force: boolean, now: number): void {
  inTransaction(storage, (tx) => {
    const self = selfOf(tx);
    if (!self || self.ended === 2 || (self.ended === 1 && !force)) return;
    const error = JSON.stringify({
      code: "cancelled",
      message: "The instance was terminated before this message's turn.",
    });
    const queued = tx.exec<{ n: number }>("SELECT n FROM message WHERE state = 'queued'").toArray();
    tx.exec("UPDATE message SET state = 'cancelled', finished_at = ?, error = ? WHERE state = 'queued'", now, error);
    for (const { n } of queued) {
      emit(tx, now, "message.cancelled", { message_id: messageIdOf(instanceId, n) });
      ring(tx, n, now);
    }
    const finishing = !force && self.open_n !== null;
    tx.exec("UPDATE self SET ended = ?, queued = 0, last_activity = ?", finishing ? 1 : 2, now);
    if (force) cancelOpenTurn(tx, "the instance was terminated");
    emit(tx, now, "instance.stopped", { force, finishing });
    ringAtRest(tx, now);
  });
}

/** Whether the instance has ended, its running turn included. */
export function hasEnded(sql: SqlStorage): boolean {
  return selfOf(sql)?.ended === 2;
}

/** Why nothing of an instance may be deleted yet, or null. What is on its way would be lost with it. */
export function deletionRefusal(sql: SqlStorage, instanceId: string): Result<never> | null {
  if (!hasEnded(sql)) {
    return err(
      "conflict",
      `${instanceId} has not ended yet. Wait until its running turn is over, or end it with force.`,
    );
  }
  if (nextNews(sql) === null && !hasUnreported(sql)) return null;
  return err(
    "conflict",
    `The last answers and events of ${instanceId} are still on their way to who waits for them. Try again.`,
  );
}
