/**
 * How an instance ends, and what has to be over before anything of it is deleted.
 */
import { err, type Failure, type Result } from "../../platform/errors.ts";
import { messageIdOf } from "../../platform/ids.ts";
import { inTransaction } from "../../platform/transaction.ts";
import { emit, hasUnreported } from "../store/events.ts";
import { instanceRow, setLifecycle } from "../store/instance-row.ts";
import { cancelAllQueued } from "../store/messages.ts";
import { hasDue, markDue, markRestDue } from "../store/subscriptions.ts";
import { requestCancel } from "../store/turns.ts";

/** Takes no more messages, and cancels those in the queue. `force`: the running turn is stopped too. Repeating it changes nothing. */
export function end(storage: DurableObjectStorage, instanceId: string, force: boolean, now: number): void {
  inTransaction(storage, (tx) => {
    const instance = instanceRow(tx);
    if (!instance || instance.lifecycle === "terminated") return;
    if (instance.lifecycle === "finishing" && !force) return;
    const error: Failure = {
      code: "cancelled",
      message: "The instance was terminated before this message's turn.",
    };
    for (const n of cancelAllQueued(tx, error, now)) {
      emit(tx, now, "message.cancelled", { message_id: messageIdOf(instanceId, n) });
      markDue(tx, n, now);
    }
    const finishing = !force && instance.open_n !== null;
    setLifecycle(tx, finishing ? "finishing" : "terminated", now);
    if (force) requestCancel(tx, "the instance was terminated");
    emit(tx, now, "instance.stopped", { force, finishing });
    markRestDue(tx, now);
  });
}

/** Whether the instance has ended, its running turn included. */
export function hasEnded(sql: SqlStorage): boolean {
  return instanceRow(sql)?.lifecycle === "terminated";
}

/** Why nothing of an instance may be deleted yet, or null. What is on its way would be lost with it. */
export function deletionRefusal(sql: SqlStorage, instanceId: string): Result<never> | null {
  if (!hasEnded(sql)) {
    return err(
      "conflict",
      `${instanceId} has not ended yet. Wait until its running turn is over, or end it with force.`,
    );
  }
  if (!hasDue(sql) && !hasUnreported(sql)) return null;
  return err(
    "conflict",
    `The last answers and events of ${instanceId} are still on their way to who waits for them. Try again.`,
  );
}
